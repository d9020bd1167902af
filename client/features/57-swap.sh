# needs: LTSP_API 1
# parameter: LOCAL_SWAP bool "1" Use swap on the client's own disks that has the label LTSP_SWAP (mkswap -L LTSP_SWAP)
# ltsp: local_swap
# shellcheck shell=dash disable=SC2154
# Swap on disks of the client. Only what was labelled for it: any other may belong to a system that sleeps there.

[ "$LOCAL_SWAP" != 0 ] || return 0
# Drivers of disks come with the booted system, so udev says what there is. A stick can be pulled out, and with it the
# memory of programs.
write "$run/udev/rules.d/90-ltsp-swap.rules" "ACTION!=\"remove\", SUBSYSTEM==\"block\", \
KERNEL==\"hd*|sd*|vd*|nvme*|mmcblk*\", ENV{ID_BUS}!=\"usb\", ENV{ID_FS_TYPE}==\"swap\", \
ENV{ID_FS_LABEL}==\"LTSP_SWAP\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"ltsp-swap@%k.service\""
write "$run/systemd/system/ltsp-swap@.service" "[Unit]
Description=Swap on /dev/%i
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$store/busybox swapon /dev/%i"
