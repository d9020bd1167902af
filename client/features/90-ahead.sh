# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# While a client waits for somebody, it reads what a login needs. So the first person does not wait for the network.

# In a trial nobody logs in.
if [ "$trial" = 1 ] || [ ! -e "$store/login/home" ] || is_masked ltsp-ahead.service; then return 0; fi
want_later ltsp-ahead.service
{
    echo "busybox=$store/busybox"
    scripts live/rest live/ahead
} >"$store/ahead"
# Only with what nobody else uses of the processor. A process that is idle is so among those of its own part of the
# system: beside the greeter's part, ours gets half of the processor, unless it is one of its own that weighs nothing.
write "$run/systemd/system/ltsp.slice" "[Unit]
Description=What may wait for everything else
[Slice]
CPUWeight=1"
write "$run/systemd/system/ltsp-ahead.service" "[Unit]
Description=Read ahead what a login needs
After=multi-user.target graphical.target
[Service]
Slice=ltsp.slice
Nice=19
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
ExecStart=$store/busybox sh $store/ahead"
