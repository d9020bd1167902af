# needs: LTSP_API 1
# parameter: FSTAB_* text "" A line for a client's /etc/fstab
# ltsp: config_fstab
# shellcheck shell=dash disable=SC2154
# /etc/fstab: nothing of the image's own, whose disks are not here.

write "$new/etc/fstab" "# The root is put together by the boot initrd; FSTAB_x of ltsp.conf adds lines here."
# In a trial there is no server that anything could be mounted from.
[ "$trial" = 1 ] || family FSTAB >>"$new/etc/fstab"
