# shellcheck shell=dash disable=SC2154
# The drivers for what the processor can: what ltsp-drivers.service runs. features/91-first.sh puts `busybox`, `store` and
# rest.sh before this, and has a rule of udev leave them out until this file is there.

rest
: >"$store/drivers-now"
udevadm trigger --action=add --subsystem-match=cpu
