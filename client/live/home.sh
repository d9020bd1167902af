# shellcheck shell=dash disable=SC2154,SC2034
# The homes of the server's people in the booted system: /run/ltsp/login/home, which features/42-login.sh makes of
# ask.sh and this file, with `kind`, `size`, `busybox` and `links` before them. docs/login.md and docs/homes.md describe
# what people see.
#
#   home up USER     opens the home. Exit status 0: it is there, or the account is none of the server's. Otherwise
#                    a sentence for the person on stdout. What the server has told of an account is on stdin.
#   home down USER   closes the home, if logind knows no session of the person
#   home auto USER   opens the home for AUTOLOGIN, by this client's own key
#   home console USER TTY   a login prompt that needs no password if `auto` has succeeded
#   home relogin [COMMAND…]  what lightdm calls when a session of AUTOLOGIN has ended
#   home serve|leave|carry UID   for ltsp-home@UID.service and its sshfs
#   home everybody WORDS         for ltsp-homes-told.service
#
# Below the home there is a folder that nobody can write to, so nothing is ever written beside it.

sshfs=/usr/bin/sshfs

# fail SENTENCE: tell the person why there is no home.
fail() {
    echo "$*"
    exit 1
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

# end_listed FILE: end the processes in the list of a control group, but this one. The kernel lists one that has ended since
# the line before was read as 0, and to `kill` that is everybody in our own group of processes, us among them.
end_listed() {
    local pid
    while read -r pid; do
        case "$pid" in 0 | "$$") ;; *) kill "$pid" ;; esac
    done 2>/dev/null <"$1"
}

# end_connection: end the connection, and all that belongs to it.
end_connection() {
    [ -n "$connection" ] || return 0
    find_socket
    end_listed "$connections/$connection/cgroup.procs"
    rm -f "$socket"
    # Those of processes that were still ending the last time go, too.
    rmdir "$connections"/*.[0-9]* 2>/dev/null
    return 0
}

# is_held: whether somebody is there, or has just given the right password: the module's lock is taken.
is_held() {
    ! /usr/bin/flock -n "$login/users/$name.lock" true
}

# ---- what PAM calls ------------------------------------------------------------------------------------

up() {
    local connection why
    if look_up "$1"; then
        why=''
    else
        why=$(take_account "$1")
        # An account of the image has its home there.
        if [ -z "$why" ] && ! look_up "$1"; then
            /usr/bin/getent passwd "$1" >/dev/null && return
            why="The server has not said which account you are. Please tell your administrator."
        fi
    fi
    # What `enter` has made for this login, or what it has found there.
    connection=new.$PPID
    is_connected || connection=$uid.$PPID
    is_connected || connection=$(read_home "$uid" && is_connected && echo "$connection")
    why=${why:-$(check_home)}
    if [ -z "$why" ]; then
        make_place
        # Only SSHFS needs the connection of the login any longer.
        if [ "$kind" != sshfs ]; then end_connection && connection=''; fi
        case "$kind" in
            mounted | local) why=$(ready) ;;
            *) why=$(open_home "$1" login) ;;
        esac
    fi
    [ -n "$why" ] || return 0
    end_connection
    echo "$why"
    return 1
}

# may_enter: whether the home is the person's, as its modes say.
may_enter() {
    case "$("$busybox" timeout 10 "$busybox" stat -c '%u %a' "$dir/." 2>/dev/null)" in
        "$uid "*[1357][0-7][0-7]) return ;;
    esac
    "$busybox" timeout 10 /usr/bin/setpriv --reuid "$uid" --regid "$gid" --init-groups -- "$busybox" test -x "$dir"
}

refused() {
    fail "The server does not let you into your home folder $dir. Please tell your administrator."
}

# check_home: say why the home can't be where the account has it.
check_home() {
    case "$dir" in
        *[[:space:]\\,:]* | */../* | */.. | [!/]* | /usr/* | /etc/* | /proc/* | /sys/* | /dev/* | /run/* | /boot/* | \
            /bin/* | /sbin/* | /lib*/* | /root/*) ;;
        /*/*) return ;;
    esac
    echo "The account's home folder, $dir, can't be used on this machine. Please tell your administrator."
}

# ready: see to a home that is not opened for one person.
ready() {
    if [ "$kind" = mounted ]; then
        # Not "$dir/.": by NFS, root may not look into a home.
        answers "$dir" || fail "Your home folder $dir is not there: the server with the homes does not answer," \
            "or has no such folder. Please tell your administrator."
        may_enter || refused
        return
    fi
    systemctl start home.mount ||
        fail "The disk with the homes is not there. Please tell your administrator."
    [ -d "$dir" ] || furnish "$dir" || fail "Your home folder $dir could not be made on this machine's disk."
}

# open_home USER WAY: have systemd open the home: by the connection of a login, or by this client's key (auto).
open_home() {
    local unit=ltsp-home@$uid.service why=''
    if is_mounted "$dir" && systemctl --quiet is-active "$unit"; then
        renew "$@"
        if answers "$dir/."; then return; fi
    fi
    # What is left of a session that broke off goes; the connection of this login stays.
    if [ -e "$login/homes/$uid" ]; then
        : >"$login/homes/$uid.again"
        systemctl --quiet stop "$unit"
        systemctl --quiet reset-failed "$unit" 2>/dev/null
        rm -f "$login/homes/$uid.again"
        # Its connection may have been left for this login, which has one of its own.
        (fresh=$connection && read_home "$uid" && [ "$connection" != "$fresh" ] && end_connection)
    fi
    [ "$kind" != sshfs ] || [ -x "$sshfs" ] || fail "Your home can't be opened, because sshfs is not installed on" \
        "this machine. Please tell your administrator."
    note "$@"
    if systemctl --quiet --no-ask-password start "$unit" 2>/dev/null && may_enter; then return; fi
    ! answers "$dir/." || ! is_mounted "$dir" || why="Permission denied"
    why=${why:-$(tail -n 1 "$login/homes/$uid.said" 2>/dev/null)}
    : >"$login/homes/$uid.again"
    systemctl --quiet stop "$unit" 2>/dev/null
    systemctl --quiet reset-failed "$unit" 2>/dev/null
    rm -f "$login/homes/$uid.again"
    way=login
    put_away
    case "$why" in
        *"No such file or directory"*) fail "Your home folder $dir does not exist on the server." \
            "Please tell your administrator." ;;
        *"Permission denied"*) refused ;;
    esac
    # What sshfs says of an ssh that ended is the end of the pipe between them.
    case "$why" in
        *"Broken pipe"* | *"reset by peer"* | *disconnected*) why='' ;;
    esac
    [ "$2" != auto ] || why="the server did not answer, or does not let this client's key in"
    fail "Your home could not be opened: ${why:-the connection to the server ended. Please log in once more}."
}

# note USER WAY: note what the unit needs to know of the home.
note() {
    printf '%s\n' "$1" "$gid" "$dir" "$2" "$connection" >"$login/homes/$uid.new"
    mv "$login/homes/$uid.new" "$login/homes/$uid"
}

# renew USER WAY: give an open home the connection of this login, if it has none. If it has got one meanwhile, by somebody
# else who logged in at the same moment, there is no use for this one.
renew() {
    local fresh=$connection name way
    [ -n "$fresh" ] || return 0
    read_home "$uid" || return 0
    # What AUTOLOGIN has opened needs none.
    if [ "$way" = login ] && ! is_connected; then
        end_connection
        rm -f "$login/users/$uid/again"
        connection=$fresh
        note "$@"
    elif [ "$connection" != "$fresh" ]; then
        connection=$fresh
        end_connection
    fi
}

# auto USER: open the home for AUTOLOGIN, and let the display manager, or a getty, log the person in. Its settings wait in
# a directory of their own until then; without a home, people log in as usual.
auto() {
    local why pid owner tries=0
    if ! look_up "$1"; then
        echo "<4>AUTOLOGIN names $1, which is no account of the server here."
        return 1
    fi
    why=$(check_home)
    # The server may have got to know this client's key a moment ago.
    while [ -z "$why" ]; do
        why=$(
            case "$kind" in
                mounted | local) ready ;;
                *) open_home "$1" auto ;;
            esac
        ) && break
        tries=$((tries + 1))
        [ "$tries" -ge 5 ] || { sleep 2 && why=''; }
    done
    if [ -n "$why" ]; then
        echo "<4>AUTOLOGIN of $1 is left out until the next boot. $why"
        return 1
    fi
    cp -a "$login/auto/." /
    : >"$login/auto.ready"
}

# console USER TTY: what a console has that AUTOLOGIN is for.
console() {
    if [ -e "$login/auto.ready" ]; then
        [ ! -e "$login/auto.once" ] || rm -f "$login/auto.ready"
        exec /usr/sbin/agetty --autologin "$1" --noclear "$2" "${TERM:-linux}"
    fi
    exec /usr/sbin/agetty --noclear "$2" "${TERM:-linux}"
}

# relogin [COMMAND…]: lightdm logs somebody in by itself only when it starts, so it starts anew. It does not after a session
# that has just begun, because the next one would end as soon, and not while somebody else is in. COMMAND is what the
# image has for the end of a session.
relogin() {
    local began up session
    [ $# -eq 0 ] || "$@"
    began=$(systemctl show --value --property=ActiveEnterTimestampMonotonic display-manager.service)
    read -r up _ </proc/uptime
    [ "$((${up%.*} - began / 1000000))" -ge 10 ] || return 0
    for session in $(loginctl list-sessions --no-legend --no-pager | awk '{ print $1 }'); do
        case "$(loginctl show-session --property=Service --property=State "$session")" in
            *=closing* | *=lightdm-greeter*) ;;
            *=lightdm*) return 0 ;;
        esac
    done
    systemctl --no-block try-restart display-manager.service
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

serve() {
    local pid program group
    read_home "$1"
    rm -f "$login/homes/$uid.leaving" "$login/homes/$uid.pid" "$login/homes/$uid.again"
    while is_mounted "$dir"; do /usr/bin/umount -l "$dir" || return 1; done
    prepare "$dir" || return 1
    # Before there is a descriptor that would keep the home. What AUTOLOGIN has opened waits for sessions.
    [ "$way" = auto ] || close_at_end &
    if [ "$kind" = guest ]; then
        mount -t tmpfs -o "size=$size,mode=0700,uid=$uid,gid=$gid,nosuid,nodev" ltsp-home "$dir" && furnish "$dir"
        return
    fi
    # The kernel checks permissions as for a local disk, by the server's numbers, which are those of the accounts here.
    exec 5<>/dev/fuse
    "$busybox" mount -i -t fuse.sshfs -o nosuid,nodev,allow_other,default_permissions \
        -o fd=5,rootmode=40000,user_id=0,group_id=0 "ltsp-login:$dir" "$dir" || return 1
    # reconnect: without it a lost connection ends the mount. disable_hardlink: a file with two names counts one link over
    # SFTP, and GNOME's keyring, which makes one and counts, tries that a hundred thousand times before its session begins.
    # negative_timeout: a session that begins asks again and again for what few people have, seventy times for ten files.
    set -- "$sshfs" "ltsp-login:$dir" /dev/fd/5 -o "reconnect,disable_hardlink,dir_cache=yes,negative_timeout=1$links" \
        -o "ssh_command=$login/home carry $uid"
    # root mounts, as the folder is nobody's, and sshfs runs with the rights of the person; but this client's key, and a
    # connection that root has made before it knew the account, are for root only.
    case "$way $connection" in
        login\ [!n]*) set -- /usr/bin/setpriv --reuid "$uid" --regid "$gid" --clear-groups --inh-caps -all \
            --bounding-set -all --no-new-privs -- "$@" ;;
    esac
    if ! "$@" >"$login/homes/$uid.said" 2>&1; then
        /usr/bin/umount -l "$dir" 2>/dev/null
        return 1
    fi
    # systemd starts another one if this ends, and its PIDFile= says which process it is. Anybody's process may look like
    # ours, but is not in our group.
    find_group
    while read -r pid; do
        { read -r program <"/proc/$pid/comm"; } 2>/dev/null || continue
        if [ "$program" = sshfs ]; then echo "$pid" >"$login/homes/$uid.pid"; fi
    done <"$group/cgroup.procs"
    [ -e "$login/homes/$uid.pid" ]
}

# close_at_end: wait until nobody is there, then close the home: also after a login that was given up or killed. sshd may
# ask the person in one process and begin the session in another, so a moment between both counts for nothing.
close_at_end() {
    while /usr/bin/flock "$login/users/$name.lock" true; do
        "$busybox" sleep 10
        is_held || exec "$login/home" down "$name"
    done
}

# prepare PATH: make a folder that nobody can write to.
prepare() {
    [ -d "$1" ] || mkdir -p "$1" || return 1
    [ "$(stat -c '%u %g %a' "$1")" != "0 0 555" ] || return 0
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
        connection=''
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
    # To somebody who has just given the password the home comes back, by the connection that it has.
    if is_held; then connection='' way=held; fi
    end_carriers
    # Who does not listen.
    end_others KILL
    put_away
    [ "$way" != held ] || [ -e "$login/homes/$uid.again" ] || systemctl --quiet --no-block start "ltsp-home@$uid.service"
}

# find_group: set group to the directory of the control group that we share with what carries the home.
find_group() {
    while read -r group; do
        case "$group" in 0::*) break ;; esac
    done </proc/self/cgroup
    group=$cgroups${group#0::}
}

# end_others SIGNAL: end the processes of the account but those that carry its home, and but a connection that a new
# login may just have made.
end_others() {
    local file pid group
    find_group
    grep -ls "^Uid:[[:space:]]*${uid}[[:space:]]" /proc/[0-9]*/status | while read -r file; do
        pid=${file#/proc/} pid=${pid%/status}
        grep -qsxF -e "0::${group#"$cgroups"}" "/proc/$pid/cgroup" || grep -qs '^0::/ltsp-logins/' "/proc/$pid/cgroup" ||
            kill "-$1" "$pid" 2>/dev/null
    done
}

# end_carriers: end sshfs and the connection of a home.
end_carriers() {
    local group
    find_group
    end_listed "$group/cgroup.procs"
    end_connection
    rm -f "$login/users/$uid/lost" "$login/users/$uid/again"
}

# put_away: remove what was noted about the home.
put_away() {
    local each
    # What AUTOLOGIN has opened is opened again at the next session.
    [ "$way" != login ] || rm -f "$login/homes/$uid"
    for each in said pid leaving lost; do rm -f "$login/homes/$uid.$each"; done
}

# ---- what sshfs calls ----------------------------------------------------------------------------------

# carry UID ARGUMENTS…: the connection of a home: that which the person has logged in by, or one by this client's key.
# sshfs calls this anew when it has ended, whenever a program wants something.
carry() {
    local mark socket
    read_home "$1" || return
    shift
    find_socket
    # root writes nothing where the person could put a link.
    case "$way $connection" in
        login\ [!n]*) mark=$login/users/$uid/lost ;;
        *) mark=$login/homes/$uid.lost ;;
    esac
    # A screen that was unlocked has made another one.
    [ "$mark" != "${socket%/*}/lost" ] || [ ! -S "${socket%/*}/again" ] || socket=${socket%/*}/again
    [ "$way" != login ] || [ -S "$socket" ] || return 1
    if [ "$way" = login ]; then
        found_again
        # If the connection is gone, ssh must not make one by itself.
        "$ssh" -F "$login/ssh_config" -S "$socket" -o ControlMaster=no -o ProxyCommand=false -o BatchMode=yes "$@"
    else
        "$ssh" -F "$login/ssh_config" -S none -l "$name" -i "$login/key" -o IdentitiesOnly=yes -o BatchMode=yes \
            -o PubkeyAuthentication=yes -o PreferredAuthentications=publickey \
            -o PermitLocalCommand=yes -o LocalCommand="$login/home again $uid" "$@"
    fi
    if [ -e "$login/homes/$uid.leaving" ] || [ -e "$mark" ] || [ ! -e "$login/homes/$uid.pid" ]; then return; fi
    : >"$mark"
    if [ "$way" = login ]; then
        tell "The connection to the server is lost, so your files can't be opened or saved for now. Lock the screen" \
            "and unlock it with your password, or log in once more on another screen, to connect again."
    else
        tell "The connection to the server is lost, so your files can't be opened or saved until it is back."
    fi
}

# found_again: the connection is back.
found_again() {
    [ -e "$mark" ] || return 0
    rm -f "$mark"
    tell "The connection to the server is back. Your files can be used again."
}

# again UID: what ssh calls when the client's key has opened the home.
again() {
    local mark=$login/homes/$1.lost
    read_home "$1"
    found_again
}

# tell WORDS: show a message in all sessions of the person, as the person.
tell() {
    local session type tty as=''
    [ "$(stat -c %u /proc/self)" != 0 ] || as="/usr/bin/setpriv --reuid $uid --regid $uid --clear-groups --"
    for session in $(loginctl show-user --value --property=Sessions "$uid" 2>/dev/null); do
        type=$(loginctl show-session --value --property=Type "$session" 2>/dev/null)
        tty=$(loginctl show-session --value --property=TTY "$session" 2>/dev/null)
        [ "$type" != tty ] || [ ! -w "/dev/$tty" ] || printf '\r\n\a%s\r\n' "$*" >"/dev/$tty"
    done
    # shellcheck disable=SC2086
    [ ! -S "/run/user/$uid/bus" ] || $as "$busybox" timeout 10 /usr/bin/busctl --quiet \
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

# take_account USER: add the account that the server has told of on stdin to passwd, shadow and group. As with accounts
# that come at the boot, what the image has wins, by name and by number. It stays until the client restarts: nobody else
# may get its number before.
take_account() {
    local line passwd='' groups='' work=$login/homes/new.$$
    while read -r line; do
        case "$line" in
            "ltspd-passwd: $1:"*) passwd=${line#*: } ;;
            "ltspd-groups: "*) groups=${line#*: } ;;
        esac
    done
    [ -n "$passwd" ] || return 0
    (umask 077 && mkdir "$work")
    (
        /usr/bin/flock 9
        # Whose numbers have been in use since the boot (accounts.sh).
        [ -e "$login/merged" ] || : >"$login/merged"
        new=$passwd groups=$groups awk -F: -v out="$work/" '
            function refuse(why) { print "Your account " a[1] " can not be used on this machine: " why "."; bad = 1; exit }
            part == "merged" { if ($1 == "uid") had[$2] = $3; next }
            part == "passwd" { known[$1] = 1; uid[$3] = $1; next }
            { at[$1] = ++count; gid[$3] = $1; line[count] = $0 }
            END {
                if (bad || split(ENVIRON["new"], a, ":") != 7) exit 1
                if (a[1] ~ /^[-+~.]|[^A-Za-z0-9._@\\\200-\377-]/ || a[3] !~ /^[0-9]+$/ || a[4] !~ /^[0-9]+$/) exit 1
                if (a[3] < 1000 || a[3] == 65534) refuse("its number " a[3] " is one of the system")
                if (a[1] in known) refuse("the image has one of the same name")
                if ((a[3] in had) && had[a[3]] != a[1]) refuse("its number was that of " had[a[3]] " since it was switched on")
                if (a[3] in uid) refuse("its number " a[3] " is that of " uid[a[3]] " here")
                number = split(ENVIRON["groups"], each, " ")
                for (i = 1; i <= number; i++) {
                    if (split(each[i], g, ":") != 2 || g[2] !~ /^[0-9]+$/ || g[1] ~ /[,[:cntrl:]]/) continue
                    named[g[1]] = g[2]
                    if (!(g[1] in at)) {
                        if (g[2] in gid) continue
                        at[g[1]] = ++count; gid[g[2]] = g[1]; line[count] = g[1] ":x:" g[2] ":"
                    }
                    k = at[g[1]]
                    # A group of the image is another one if it has another number.
                    if (line[k] !~ "^[^:]*:[^:]*:" g[2] ":") continue
                    members = line[k]
                    sub(/.*:/, "", members)
                    if (!index("," members ",", "," a[1] ",")) line[k] = line[k] (members == "" ? "" : ",") a[1]
                }
                # It would get the rights of that group.
                if ((a[4] in gid) && named[gid[a[4]]] != a[4])
                    refuse("the number " a[4] " of its own group is that of " gid[a[4]] " here")
                for (i = 1; i <= count; i++) print line[i] >(out "group")
                print a[1] ":x:" a[3] ":" a[4] ":" a[5] ":" a[6] ":" a[7] >(out "passwd")
                print a[1] ":*:19000:0:99999:7:::" >(out "shadow")
                print a[1] ":" a[3] >(out "accounts")
            }
        ' part=merged "$login/merged" part=passwd /etc/passwd part=group /etc/group || exit
        [ -e "$work/accounts" ] || exit
        cat "$login/accounts" "$work/accounts" >"$login/accounts.new"
        mv "$login/accounts.new" "$login/accounts"
        replace_with "$work/group" /etc/group
        replace_with "/etc/shadow $work/shadow" /etc/shadow
        replace_with "/etc/passwd $work/passwd" /etc/passwd
    ) 9>"$login/lock"
    rm -rf "$work"
}

# replace_with FILES FILE: put the FILES into a file, by a rename.
replace_with() {
    cp -p "$2" "$2.ltsp"
    # shellcheck disable=SC2086
    cat $1 >"$2.ltsp"
    mv "$2.ltsp" "$2"
}

case "$1" in
    enter | judge | change | up | down | auto | console | relogin | serve | leave | carry | again | everybody) "$@" ;;
    *)
        echo "home up|down USER" >&2
        exit 2
        ;;
esac
