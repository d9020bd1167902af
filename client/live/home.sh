# shellcheck shell=dash disable=SC2154,SC2034
# The homes of the server's people in the booted system: /run/ltsp/login/home, which features/42-login.sh makes of this
# file with `kind`, `size` and `busybox` before it. docs/login.md describes what people see.
#
#   home up USER     opens the home. Exit status 0: it is there, or the account is none of the server's. Otherwise
#                    a sentence for the person on stdout. What the server has told of an account is on stdin.
#   home down USER   called when a session ends; closes the home if that was the last one and logind knows no other
#   home serve|leave|carry UID   for ltsp-home@UID.service and its sshfs
#   home everybody WORDS         for ltsp-homes-told.service
#
# Below the home there is a folder that nobody can write to, so nothing is ever written beside it.

login=/run/ltsp/login ssh=/usr/bin/ssh sshfs=/usr/bin/sshfs mount_fuse=/usr/sbin/mount.fuse3

# fail SENTENCE: tell the person why there is no home.
fail() {
    echo "$*"
    exit 1
}

# look_up USER: set uid, gid and dir; whether the account came from the server.
look_up() {
    local line IFS=:
    line=$(/usr/bin/getent passwd "$1") || return 1
    set -f
    # shellcheck disable=SC2086
    set -- "$1" $line
    set +f
    uid=$4 gid=$5 dir=$7
    grep -qxF "$1:$uid" "$login/accounts"
}

# is_mounted PATH: whether something is mounted there, dead or alive.
is_mounted() {
    local point
    while read -r _ point _; do
        if [ "$point" = "$1" ]; then return 0; fi
    done </proc/self/mounts
    return 1
}

# answers PATH: whether a home can be looked at. One whose server is away may wait for minutes.
answers() {
    "$busybox" timeout 10 "$busybox" stat "$1" >/dev/null 2>&1
}

# find_master: set pid to the process of the connection that the person has logged in by, and owner to whose it is. It is
# root's if the account was not known before. What the person's own process says is not believed.
find_master() {
    owner=$(stat -c %u "$login/users/$uid/master" 2>/dev/null) || return 1
    pid=$(/usr/bin/setpriv --reuid "$owner" --regid "$gid" --clear-groups -- "$ssh" -F "$login/ssh_config" \
        -S "$login/users/$uid/master" -O check ltsp-login 2>&1)
    pid=${pid##*pid=} pid=${pid%%[!0-9]*}
    [ -n "$pid" ] && grep -qs "^Uid:[[:space:]]*${owner}[[:space:]]" "/proc/$pid/status"
}

# ---- what PAM calls ------------------------------------------------------------------------------------

up() {
    local unit
    if ! look_up "$1"; then
        take_account "$1"
        # An account of the image has its home there.
        look_up "$1" || return 0
    fi
    case "$dir" in
        *[[:space:]\\,:]* | */../* | */.. | [!/]* | /usr/* | /etc/* | /proc/* | /sys/* | /dev/* | /run/* | /boot/*)
            fail "The account's home folder, $dir, can't be used on this machine. Please tell your administrator." ;;
        /*/*) ;;
        *) fail "The account's home folder, $dir, can't be used on this machine. Please tell your administrator." ;;
    esac
    case "$kind" in
        mounted)
            answers "$dir/." || fail "Your home folder $dir is not there: the server with the homes does not answer," \
                "or has no such folder. Please tell your administrator."
            return
            ;;
        local)
            systemctl start home.mount ||
                fail "The disk with the homes is not there. Please tell your administrator."
            [ -d "$dir" ] || furnish "$dir" || fail "Your home folder $dir could not be made on this machine's disk."
            return
            ;;
    esac
    unit=ltsp-home@$uid.service
    if systemctl --quiet is-active "$unit" && is_mounted "$dir" && answers "$dir/."; then
        keep_master "$unit"
        return
    fi
    # What is left of a session that broke off goes; the connection of this login stays.
    : >"$login/homes/$uid.again"
    systemctl --quiet stop "$unit"
    systemctl --quiet reset-failed "$unit" 2>/dev/null
    rm -f "$login/homes/$uid.again"
    [ "$kind" != sshfs ] || [ -x "$sshfs" ] || fail "Your home can't be opened, because sshfs is not installed on" \
        "this machine. Please tell your administrator."
    printf '%s\n' "$1" "$gid" "$dir" >"$login/homes/$uid"
    if systemctl --quiet start "$unit" 2>/dev/null && answers "$dir/."; then
        keep_master "$unit"
        return
    fi
    : >"$login/homes/$uid.again"
    systemctl --quiet stop "$unit" 2>/dev/null
    why=$(tail -n 1 "$login/homes/$uid.said" 2>/dev/null)
    put_away
    case "$why" in
        *"No such file or directory"*) fail "Your home folder $dir does not exist on the server." \
            "Please tell your administrator." ;;
        *"Permission denied"*) fail "The server does not let you into your home folder $dir." \
            "Please tell your administrator." ;;
    esac
    fail "Your home could not be opened: ${why:-the connection to the server ended}."
}

# keep_master UNIT: the connection belongs to the home, and not to what has asked for the password and ends with the
# session.
keep_master() {
    local pid owner group
    find_master || return 0
    echo "$pid" >"$login/homes/$uid.master"
    group=$(systemctl show --value --property=ControlGroup "$1")
    [ -n "$group" ] || return 0
    { echo "$pid" >"/sys/fs/cgroup$group/cgroup.procs"; } 2>/dev/null || return 0
}

# down USER: systemd closes the home when it has ended the last session of the account (PartOf= of the unit). Only where
# logind does not know the account, nobody else does.
down() {
    look_up "$1" || return 0
    [ ! -e "/run/systemd/users/$uid" ] || return 0
    systemctl --quiet is-active "ltsp-home@$uid.service" || return 0
    systemctl --no-block stop "ltsp-home@$uid.service"
}

# ---- what systemd calls --------------------------------------------------------------------------------

# read_home UID: set uid, gid, name and dir to what `up` has noted.
read_home() {
    uid=$1
    { read -r name && read -r gid && read -r dir; } <"$login/homes/$uid"
}

serve() {
    local options
    read_home "$1"
    rm -f "$login/homes/$uid.leaving"
    while is_mounted "$dir"; do /usr/bin/umount -l "$dir" || return 1; done
    prepare "$dir" || return 1
    if [ "$kind" = guest ]; then
        mount -t tmpfs -o "size=$size,mode=0700,uid=$uid,gid=$gid,nosuid,nodev" ltsp-home "$dir" && furnish "$dir"
        return
    fi
    # reconnect: without it a lost connection ends the mount. The kernel checks permissions as for a local disk, by the
    # server's numbers, which are those of the accounts here.
    options=reconnect,nosuid,nodev,allow_other,default_permissions,ssh_command=$login/home\ carry\ $uid
    case "$("$sshfs" -h 2>&1)" in *no_contain_symlinks*) options=$options,no_contain_symlinks ;; esac
    # root mounts, as the folder is nobody's, and sshfs runs with the rights of the person; but a connection that root
    # has made, before it knew the account, is for root only.
    if [ "$(stat -c %u "$login/users/$uid/master")" = 0 ]; then
        chown 0:0 "$login/users/$uid"
    else
        options=$options,setuid=$name,drop_privileges
    fi
    "$mount_fuse" "sshfs#ltsp-login:$dir" "$dir" -o "$options" >"$login/homes/$uid.said" 2>&1
}

# prepare PATH: make a folder that nobody can write to.
prepare() {
    [ -d "$1" ] || mkdir -p "$1" || return 1
    chown 0:0 "$1"
    /usr/bin/chmod 0555 "$1"
}

# furnish PATH: fill a new home with what new homes have.
furnish() {
    mkdir -p "$1"
    [ ! -d /etc/skel ] || cp -a /etc/skel/. "$1/" || return 1
    chown -R "$uid:$gid" "$1"
    /usr/bin/chmod 0700 "$1"
}

# leave UID: end what the person has left running, and unmount. Of an sshfs that has died, systemd starts another.
leave() {
    local tries=0
    [ "${SERVICE_RESULT:-success}" = success ] || return 0
    read_home "$1" || return 0
    : >"$login/homes/$uid.leaving"
    if [ -e "$login/homes/$uid.again" ]; then
        is_mounted "$dir" && /usr/bin/umount -l "$dir"
        end_carriers
        return
    fi
    end_others TERM
    while is_mounted "$dir" && ! /usr/bin/umount "$dir" 2>/dev/null; do
        tries=$((tries + 1))
        case "$tries" in
            1 | 2 | 3 | 4) sleep 1 ;;
            5) end_others KILL ;;
            *)
                echo "<4>$dir is still in use, so it is unmounted when that ends."
                /usr/bin/umount -l "$dir"
                ;;
        esac
    done
    end_carriers
    put_away
}

# end_others SIGNAL: end the processes of the account but those that carry its home, and but a connection that a new
# login may just have made.
end_others() {
    local file pid group=''
    read -r group </proc/self/cgroup
    grep -ls "^Uid:[[:space:]]*${uid}[[:space:]]" /proc/[0-9]*/status | while read -r file; do
        pid=${file#/proc/} pid=${pid%/status}
        if grep -qsxF "$group" "/proc/$pid/cgroup" || grep -qsF "$login/users/$uid/master" "/proc/$pid/cmdline"; then
            continue
        fi
        kill "-$1" "$pid" 2>/dev/null
    done
}

# end_carriers: end sshfs and the connection of a home.
end_carriers() {
    local pid group
    read -r group </proc/self/cgroup
    while read -r pid; do [ "$pid" = $$ ] || kill "$pid"; done 2>/dev/null <"/sys/fs/cgroup${group#0::}/cgroup.procs"
    read -r pid 2>/dev/null <"$login/homes/$uid.master" && kill "$pid" 2>/dev/null
    rm -f "$login/users/$uid/lost"
}

# put_away: remove what was noted about the home.
put_away() {
    local each
    for each in '' .said .master .leaving .again; do rm -f "$login/homes/$uid$each"; done
}

# ---- what sshfs calls ----------------------------------------------------------------------------------

# carry UID ARGUMENTS…: the connection of a home, by that which the person has logged in by. sshfs calls this anew when
# it has ended, whenever a program wants something.
carry() {
    local own=$login/users/$1
    uid=$1
    shift
    [ -S "$own/master" ] || return 1
    if [ -e "$own/lost" ]; then
        rm -f "$own/lost"
        tell "The connection to the server is back. Your files can be used again."
    fi
    # If the master is gone, ssh must not connect by itself.
    "$ssh" -F "$login/ssh_config" -S "$own/master" -o ControlMaster=no -o ProxyCommand=false -o BatchMode=yes "$@"
    if [ -e "$login/homes/$uid.leaving" ] || [ -e "$own/lost" ]; then return; fi
    : >"$own/lost"
    tell "The connection to the server is lost, so your files can't be opened or saved for now. Lock the screen and" \
        "unlock it with your password, or log in once more on another screen, to connect again."
}

# tell WORDS: show a message in all sessions of the person, as the person.
tell() {
    local session type tty
    echo "<4>$*" >&2
    for session in $(loginctl show-user --value --property=Sessions "$uid" 2>/dev/null); do
        type=$(loginctl show-session --value --property=Type "$session" 2>/dev/null)
        tty=$(loginctl show-session --value --property=TTY "$session" 2>/dev/null)
        [ "$type" != tty ] || [ ! -w "/dev/$tty" ] || printf '\r\n\a%s\r\n' "$*" >"/dev/$tty"
    done
    [ ! -S "/run/user/$uid/bus" ] || "$busybox" timeout 10 /usr/bin/busctl --quiet \
        --address="unix:path=/run/user/$uid/bus" call org.freedesktop.Notifications /org/freedesktop/Notifications \
        org.freedesktop.Notifications Notify 'susssasa{sv}i' ltsp 0 network-error Home "$*" 0 1 urgency y 2 0 \
        >/dev/null 2>&1
}

# everybody WORDS: show a message to all people who are logged in (live/homes.sh).
everybody() {
    local each
    for each in /run/user/[1-9]*; do
        uid=${each##*/}
        [ ! -d "$each" ] || tell "$@"
    done
}

# ---- accounts that come when their owner logs in --------------------------------------------------------

take_account() {
    :
}

case "$1" in
    up | down | serve | leave | carry | everybody) "$@" ;;
    *)
        echo "home up|down USER" >&2
        exit 2
        ;;
esac
