# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# While a client waits for somebody, it reads what a login needs. So the first person does not wait for the network.

# In a trial nobody logs in.
if [ "$trial" = 1 ] || [ ! -e "$store/login/home" ] || is_masked ltsp-ahead.service; then return 0; fi
want ltsp-ahead.service
{
    echo "busybox=$store/busybox"
    cat "$ltsp/client/live/ahead.sh"
} >"$store/ahead"
# Only with what nobody else uses of the processor.
write "$run/systemd/system/ltsp-ahead.service" "[Unit]
Description=Read ahead what a login needs
After=multi-user.target graphical.target
[Service]
Nice=19
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
ExecStart=$store/busybox sh $store/ahead"
