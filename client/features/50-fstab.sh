# needs: LTSP_API 1
# wants: FSTAB_*~nfs /usr/sbin/mount.nfs nfs-common|nfs-utils|nfs-utils mount.nfs
# wants: FSTAB_*~nfs4 /usr/sbin/mount.nfs4 nfs-common|nfs-utils|nfs-utils mount.nfs4
# wants: FSTAB_*~cifs /usr/sbin/mount.cifs cifs-utils|cifs-utils|cifs-utils mount.cifs
# wants: FSTAB_*~fuse.sshfs /usr/bin/sshfs sshfs|fuse-sshfs|sshfs sshfs
# parameter: FSTAB_* text "" A line for a client's /etc/fstab
# ltsp: config_fstab
# shellcheck shell=dash disable=SC2154
# /etc/fstab: nothing of the image's own, whose disks are not here.

write "$new/etc/fstab" "# The root is put together by the boot initrd; FSTAB_x of ltsp.conf adds lines here."
# In a trial there is no server that anything could be mounted from.
[ "$trial" = 1 ] || family FSTAB >>"$new/etc/fstab"
