# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# In a trial, the server boots this image before clients get it. The machine says on its console when people can log
# in, and what failed until then.

[ "$trial" = 1 ] || return 0
# A distribution's initrd, in which we may be a guest, has a systemd and a default.target of its own.
write "$run/systemd/system/default.target.d/ltsp.conf" "[Unit]
Wants=ltsp-trial.service"
write "$run/systemd/system/ltsp-trial.service" "[Unit]
Description=Say that the login of this trial is reached
After=default.target getty.target display-manager.service
ConditionPathExists=!/etc/initrd-release
[Service]
ExecStart=/bin/sh /run/ltsp-trial"
{
    keep failed_features "$failed_features"
    keep store "$store"
    keep server "$server"
    scripts live/login live/trial
} >"$run/ltsp-trial"
# A trial's root comes by NBD; this program of ours can also tell what is in memory, and images may have none that can.
if [ -x /ltsp/nbd/bin/nbd-client ]; then cp /ltsp/nbd/bin/nbd-client "$store/nbd-client"; fi
say "trial: its login will be told"
