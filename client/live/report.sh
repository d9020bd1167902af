# shellcheck shell=dash disable=SC2154
# report STAGE (login or off): what ltsp-report.service runs in the booted system. features/99-report.sh puts the
# client's variables, boot/report.sh and login.sh before this.

if [ "$1" = login ]; then
    judge_login
    if [ -n "$why" ]; then
        set -- failed "it is up, but nobody can log in: $why."
    elif [ -n "$failed_features" ]; then
        set -- failed "it is up, but part of its setup failed: $failed_features. 'journalctl -k -g ltsp:' there shows why."
    fi
fi
report "$1" "${2-}"
wait
