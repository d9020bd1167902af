# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# The running system tells the server once that people can log in, and once that it is shut down. No timer, and no
# process that stays. This is the last feature, because it tells which ones have failed.

mark setup
# A trial reports to nobody but its console.
if [ "$trial" = 1 ] || is_masked ltsp-report.service; then return 0; fi
want ltsp-report.service

{
    keep_report
    keep failed_features "$failed_features"
    echo "busybox=$store/busybox login=$store/login"
    scripts boot/report live/login live/report
} >"$store/report"
# It starts after the targets that want it, so it does not hold up the login that it tells of.
write "$run/systemd/system/ltsp-report.service" "[Unit]
Description=Tell the network boot server how far this client is
After=multi-user.target graphical.target
[Service]
RemainAfterExit=yes
ExecStart=-$store/busybox sh $store/report login
ExecStop=-$store/busybox sh $store/report off
TimeoutSec=10"
