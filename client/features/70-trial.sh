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
    scripts live/login live/trial
} >"$run/ltsp-trial"
say "trial: its login will be told"
