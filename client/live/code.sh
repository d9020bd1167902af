# shellcheck shell=dash disable=SC2154,SC2034,SC2317,SC2030,SC2031
# What runs code of ltsp.conf and its hooks, behind the settings: sh run APPLET WORK…
# WORK is PRE or POST (the hooks), or "values" (print the settings that are in force then, as assignments, into a
# file APPLET beside this one). It runs in the boot initrd's busybox, in the image's own shell, and in the booted system.

ltsp_applet=$1
shift
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=${HOME:-/root}
export PATH HOME
_APPLET=$ltsp_applet
_VERSION=23.02
rootmnt=/sysroot
ltsp_failed=0 ltsp_done=''
# What code prints may be taken by other code; this is for who started us.
exec 3>&1

# Where code is, and how it has ended. Who boots reads the signs (boot/code.sh); a journal gets a sentence.
case "$ltsp_applet" in
    init | initrd-bottom)
        ltsp_at() { printf '@ltsp@ %s\n' "$1" >&3; }
        ltsp_did() { [ "$1" = 0 ] || printf '!ltsp! %s\n' "$1" >&3; }
        ;;
    *)
        ltsp_at() { ltsp_place=$1; }
        ltsp_did() {
            [ "$1" != 0 ] || return 0
            ltsp_failed=1
            printf '<4>%s ended with status %s\n' "$ltsp_place" "$1" >&3
        }
        ;;
esac

# LTSP's own functions that code and hooks count on.
echo() { printf '%s\n' "$*"; }
warn() { echo "$@" >&2; }
die() {
    warn "${@:-code of ltsp.conf ended itself}"
    exit 1
}
debug() { :; }
is_command() {
    for ltsp_each in "$@"; do command -v "$ltsp_each" >/dev/null || return; done
}
rwr() {
    "$@" || {
        set -- "$?" "$@"
        warn "failed: $*"
        return "$1"
    }
}
re() { rwr "$@" || exit; }
rw() { rwr "$@" || :; }
rsr() { "$@" >/dev/null 2>&1; }
rs() { rsr "$@" || :; }
debug_shell() { sh </dev/console >/dev/console 2>&1; }

# ltsp_names: print the names of variables that begin with a capital letter, in their order. It is called in a process of
# its own, and has all lines at once, because a shell reads them byte by byte.
ltsp_names() {
    set -f
    IFS='
'
    for ltsp_line in $(set); do
        case "$ltsp_line" in
            [A-Z]*=*)
                ltsp_line=${ltsp_line%%=*}
                case "$ltsp_line" in *[!A-Za-z0-9_]*) ;; *) echo "$ltsp_line" ;; esac
                ;;
        esac
    done
}

# ltsp_hooks_of PREFIX: run the hooks whose names begin so. A value of several lines may look like another name.
ltsp_hooks_of() {
    ltsp_ran=' '
    for ltsp_each in $(ltsp_names); do
        case "$ltsp_each" in "$1"*) ;; *) continue ;; esac
        case "$ltsp_ran" in *" $ltsp_each "*) continue ;; esac
        ltsp_ran="$ltsp_ran$ltsp_each "
        eval "ltsp_text=\${$ltsp_each-} ltsp_line=\${ltsp_line_$ltsp_each-}"
        [ -n "$ltsp_text" ] || continue
        ltsp_at "${ltsp_line:+$ltsp_line }$ltsp_each"
        command eval "$ltsp_text"
        ltsp_did "$?"
    done
}

# ltsp_values: print the settings that clients read.
ltsp_values() {
    ltsp_ran=''
    for ltsp_each in $(ltsp_names); do
        ltsp_is_setting "$ltsp_each" || continue
        eval "[ -n \"\${$ltsp_each+x}\" ] && ltsp_text=\$$ltsp_each" || continue
        printf "%s='" "$ltsp_each"
        while :; do
            case "$ltsp_text" in
                *\'*)
                    printf "%s'\\\\''" "${ltsp_text%%\'*}"
                    ltsp_text=${ltsp_text#*\'}
                    ;;
                *) break ;;
            esac
        done
        printf "%s'\n" "$ltsp_text"
        ltsp_ran="$ltsp_ran $ltsp_each"
    done
    echo "ltsp_dumped='$ltsp_ran'"
}

# ltsp_end: code may have ended the shell. What is in force until then counts.
ltsp_end() {
    ltsp_status=$?
    trap - EXIT
    [ -n "$ltsp_done" ] || ltsp_did "$ltsp_status (it ended the shell)"
    case " $ltsp_work " in *' values '*) ltsp_values >"${0%/*}/$ltsp_applet" ;; esac
    exit "$ltsp_failed"
}

case "$ltsp_applet" in
    login | session)
        # Only people have hooks, not the system's own users, such as a greeter.
        [ "$ltsp_applet" = session ] || USER=$(id -un "$2") || exit 0
        ltsp_uid=$(id -u "$USER") || exit 0
        export USER
        [ "$ltsp_uid" -ge 1000 ] && [ "$ltsp_uid" != 65534 ] || exit 0
        ;;
esac
ltsp_work=$*
trap ltsp_end EXIT
ltsp_settings "$ltsp_mac" "$ltsp_address" "$ltsp_name" "$ltsp_server" "$ltsp_applet"
case "$ltsp_applet" in
    initrd-bottom) ltsp_prefix=INITRD_BOTTOM_ ;;
    init) ltsp_prefix=INIT_ ;;
    service) ltsp_prefix=SERVICE_ ;;
    login) ltsp_prefix=LOGIN_ ;;
    session) ltsp_prefix=SESSION_ ;;
esac
for ltsp_when in $ltsp_work; do
    case "$ltsp_when" in PRE | POST) ltsp_hooks_of "${ltsp_when}_$ltsp_prefix" ;; esac
done
ltsp_done=1
