# shellcheck shell=dash disable=SC2154
# report STAGE (login, off, or again: its settings have changed since): what ltsp-report.service runs in the booted system. features/99-report.sh puts the
# client's variables, boot/report.sh and login.sh before this.

# The key that ltsp-key.service has made (key.sh).
# shellcheck disable=SC2034
{ read -r own_key <"$login/key.pub" && read -r own_kept <"$login/kept"; } 2>/dev/null || own_key='' own_kept=''
# What waits for the next boot (settings.sh).
read -r pending 2>/dev/null <"${login%/*}/news/pending" || pending=''
if [ "$1" = again ]; then
    # The moment of the login was another one.
    mark() { read -r uptime _ </proc/uptime; }
    set -- login
fi
if [ "$1" = login ]; then
    judge_login
    if [ -n "$why" ]; then
        set -- failed "it is up, but nobody can log in: $why."
    elif [ -n "$failed_features" ]; then
        set -- failed "it is up, but part of its setup failed: $failed_features. 'journalctl -k -t ltsp' there shows why."
    fi
fi
# What is wrong although people can log in (space.sh).
warning=''
[ "$1" != login ] || read -r warning 2>/dev/null <"$login/warning"
report "$1" "${2-$warning}"
# For a server that was restarted meanwhile (live.sh).
echo "$said" >"$login/report"
wait
