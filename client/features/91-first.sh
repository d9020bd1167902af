# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# The login comes first. While a machine starts, a slow processor has more to do than people wait for; the consoles on which they
# log in come before the rest. And the drivers for what the processor can, such as those for virtual machines and for
# ciphers, are loaded once the machine is at rest: nothing before that needs them, and a program that asks the kernel for
# a cipher has it loaded at once.

for each in getty 'serial\x2dgetty'; do
    write "$run/systemd/system/system-$each.slice.d/ltsp.conf" "[Slice]
StartupCPUWeight=2000"
done
write "$run/systemd/system/systemd-user-sessions.service.d/ltsp.conf" "[Service]
StartupCPUWeight=2000"
# udev tells of all devices, one after the other. Consoles and keyboards come before the kernel's 150 modules here.
command=''
while read -r line; do
    case "$line" in
        ExecStart=*--prioritized-subsystem=*,tty,input)
            line=${line%,tty,input}
            command="
ExecStart=
${line%%subsystem=*}subsystem=tty,input,${line#*subsystem=}"
            ;;
    esac
done 2>/dev/null <"$new/usr/lib/systemd/system/systemd-udev-trigger.service" || :
write "$run/systemd/system/systemd-udev-trigger.service.d/ltsp.conf" "[Service]
StartupCPUWeight=2000$command"
# A trial loads all as before, so what they read is known.
if [ "$trial" = 1 ] || is_masked ltsp-drivers.service; then return 0; fi
want_later ltsp-drivers.service
{
    echo "busybox=$store/busybox store=$store"
    scripts live/rest live/drivers
} >"$store/drivers"
write "$run/udev/rules.d/79-ltsp-later.rules" "SUBSYSTEM==\"cpu\", TEST!=\"$store/drivers-now\", ENV{MODALIAS}=\"\""
write "$run/systemd/system/ltsp-drivers.service" "[Unit]
Description=Load the drivers for what the processor can
[Service]
RemainAfterExit=yes
ExecStart=$store/busybox sh $store/drivers"
