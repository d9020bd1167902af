# shellcheck shell=dash disable=SC2154
# What SESSION shows in the booted system: ltsp-session.service runs this, and starts it again when it ends.
# features/74-session.sh puts variables before this, and behind it the script of the one kind, session-KIND.sh, whose
# `session` it calls.

# is_away HOST PORT: whether no program answers there.
is_away() {
    ! "$busybox" nc -w 5 "$1" "$2" -e "$busybox" true >/dev/null 2>&1
}

# wait_for HOST PORT: wait for a server; meanwhile the screen says so.
wait_for() {
    is_away "$1" "$2" || return 0
    # Without a cursor, as nothing is to be typed.
    printf '\033c\033[?25l\n\n\n    %s\n\n    %s\n' "The server $1 does not answer." \
        "This screen tries again by itself; nothing has to be done here."
    while is_away "$1" "$2"; do sleep 5; done
}
