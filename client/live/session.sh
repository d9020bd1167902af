# shellcheck shell=dash disable=SC2154
# What SESSION shows in the booted system: ltsp-session.service runs this, and starts it again when it ends.
# features/74-session.sh puts variables before this, and behind it the script of the one kind, session-KIND.sh, whose
# `session` it calls; before that session-screen.sh, if the kind needs X.

# is_away HOST PORT: whether no program answers there; reason is what nc says of it.
is_away() {
    ! reason=$("$busybox" nc -w 5 "$1" "$2" -e "$busybox" true 2>&1 >/dev/null)
}

# wait_for HOST PORT: wait for a server; meanwhile the screen says so.
wait_for() {
    is_away "$1" "$2" || return 0
    # Without a cursor, as nothing is to be typed.
    printf '\033c\033[?25l\n\n\n    %s\n\n    %s\n\n    %s\n' "The server $1 does not answer." \
        "This screen tries again by itself; nothing has to be done here." "(port $2: ${reason#nc: })"
    while is_away "$1" "$2"; do sleep 5; done
}

# ask_name SENTENCE: clear the screen, say what it is for, and set name to what somebody types.
ask_name() {
    printf '\033c%s\n\n' "$1"
    name=''
    while [ -z "$name" ]; do
        printf 'Name: '
        read -r name || exit 0
    done
}

# pause: leave what was said on the screen until somebody has read it.
pause() {
    printf '\nPress Enter. '
    # shellcheck disable=SC3045
    read -r -t 30 _ || :
}
