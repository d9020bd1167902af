# shellcheck shell=dash disable=SC2154,SC2034
# What those kinds of SESSION share that have X.

# split_server HOST[:PORT]: set host, and port if there is one.
split_server() {
    case "$1" in
        \[*\]:*) port=${1##*:} ;;
        \[*) ;;
        *:*) port=${1##*:} ;;
    esac
    case "$1" in
        \[*) host=${1#\[} host=${host%%\]*} ;;
        *) host=${1%%:*} ;;
    esac
}

# start_x [OPTION…]: start a server of X on this console; set x_pid, and for programs DISPLAY, XAUTHORITY, WIDTH and HEIGHT.
start_x() {
    export DISPLAY=:0 XAUTHORITY="$HOME/.Xauthority"
    # One cookie that counts for each display, as libXau has it: family, host, display, name, 16 bytes.
    {
        printf '\377\377\0\0\0\0\0\022MIT-MAGIC-COOKIE-1\0\020'
        head -c 16 /dev/urandom
    } >"$XAUTHORITY"
    # Only root may make it in the /tmp that is for all; this one is the session's own.
    mkdir -m 1777 /tmp/.X11-unix
    mknod "$HOME/.display" p
    # It never goes dark, because nobody may come to wake it: -s and -dpms.
    "$x" :0 "vt${XDG_VTNR:-1}" -keeptty -displayfd 3 -auth "$XAUTHORITY" -background none -s 0 -dpms \
        -logfile "$HOME/.X.log" "$@" 3>"$HOME/.display" >/dev/null 2>&1 &
    x_pid=$!
    # It tells its display when it is ready.
    if ! read -r _ <"$HOME/.display"; then
        printf '\033c\n\n\n    %s\n' "X does not start; the journal of this machine says why. It is tried again."
        tail -n 20 "$HOME/.X.log" >&2
        sleep 10
        exit 1
    fi
    # shellcheck disable=SC2046
    set -- $(sed -n 's/.*using initial mode \([0-9]*\)x\([0-9]*\).*/\1 \2/p' "$HOME/.X.log")
    export WIDTH="${1:-1024}" HEIGHT="${2:-768}"
}

# stop_x: end it; the console is there again.
stop_x() {
    kill "$x_pid"
    wait "$x_pid"
}
