# shellcheck shell=dash disable=SC2154,SC2034
# How the PAM module (pam/pam_ltspd.c) has the server judge a person. ssh takes the place of this shell, so what it asks
# on its terminal, says and returns is the module's. The first part of /run/ltsp/login/home; home.sh is the other one.
#
#   home enter USER    as root: by a connection that stays for `home up`
#   home judge USER    by one that ends; if the home of who asks has lost its connection, by a new one that stays
#   home change USER   by the next port, where sshd lets nobody in without a new password

login=/run/ltsp/login ssh=/usr/bin/ssh
cd / || exit
umask 022

# Each connection is in a control group of its own. So it does not end with what has asked for the password (a getty, a
# greeter), and nobody but root can bring another process there: what is in it is what the server's answer has made.
cgroups=/sys/fs/cgroup
[ ! -d "$cgroups/unified" ] || cgroups=$cgroups/unified
connections=$cgroups/ltsp-logins

# look_up USER: set uid, gid and dir; whether the account came from the server.
look_up() {
    local line IFS=:
    line=$(who=$1 awk -F: '
        $1 != ENVIRON["who"] { next }
        NF == 2 { ours[$2]; next }
        $3 in ours { print $3 ":" $4 ":" $6; exit }
    ' "$login/accounts" /etc/passwd)
    [ -n "$line" ] || return 1
    set -f
    # shellcheck disable=SC2086
    set -- $line
    set +f
    uid=$1 gid=$2 dir=$3
}

# read_home UID: set uid, gid, name, dir, way and connection to what open_home has noted.
read_home() {
    uid=$1
    { read -r name && read -r gid && read -r dir && read -r way && read -r connection; } 2>/dev/null <"$login/homes/$uid"
}

# find_socket: set socket to that of the connection. It is root's if the account was not known before.
find_socket() {
    case "$connection" in
        new.*) socket=$login/users/$connection ;;
        *) socket=$login/users/$uid/$connection ;;
    esac
}

# make_place: make the person's own directory: for connections, and for what needs one before there is a session.
make_place() {
    [ -d "$login/users/$uid" ] || mkdir -m 700 "$login/users/$uid" 2>/dev/null
    [ ! -O "$login/users/$uid" ] || chown "$uid:$gid" "$login/users/$uid"
}

# is_connected: whether the connection is there.
is_connected() {
    local pid
    [ -n "$connection" ] || return 1
    find_socket
    [ -S "$socket" ] && read -r pid 2>/dev/null <"$connections/$connection/cgroup.procs"
}

# ask USER OPTION… [-- PROGRAM…]: have the program run ssh, or become ssh. A key of this machine, which AUTOLOGIN may
# have, is no proof of who the person is.
ask() {
    local user=$1 options=''
    shift
    # When ssh goes to the background, its parent's end hangs the terminal up.
    trap '' HUP
    while [ $# != 0 ] && [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    [ $# = 0 ] || shift
    # shellcheck disable=SC2086
    exec "$@" "$ssh" -F "$login/ssh_config" -l "$user" -o NumberOfPasswordPrompts=1 \
        -o PreferredAuthentications=keyboard-interactive $options
}

# By a connection that is there already, any password would be right.
ask_only() {
    ask "$@" -S none -o ControlMaster=no -s ltsp-login sftp
}

enter() {
    local name dir way socket connection='' uid='' mine
    ! look_up "$1" || read_home "$uid"
    case "$uid:$connection" in
        # Not known before, or the home is root's since then.
        :* | *:new.*) mine=new.$PPID ;;
        *) mine=$uid.$PPID ;;
    esac
    # Not by the connection that an open home has: that ends with the last session, while the person may still type. But
    # a program that asks a second time has made it itself.
    if [ "$connection" = "$mine" ] && is_connected; then ask_only "$1"; fi
    connection=$mine
    find_socket
    # Twice, because somebody else's end removes all groups that are empty.
    for _ in 1 2; do
        mkdir -p "$connections/$connection" && echo $$ >"$connections/$connection/cgroup.procs" && break
    done 2>/dev/null
    rm -f "$socket"
    set -- "$1" -S "$socket" -M -f -N ltsp-login
    case "$connection" in new.*) ask "$@" ;; esac
    make_place
    # One capability that allows almost nothing (to keep the machine from sleeping) stays: so the person's other
    # processes can't trace this one, and make it say that a password was right. Not CAP_WAKE_ALARM, which pam_systemd
    # gives to each session since version 254.
    ask "$@" -- /usr/bin/setpriv --pdeathsig KILL --reuid "$uid" --regid "$gid" --clear-groups \
        --inh-caps -all,+block_suspend --ambient-caps -all,+block_suspend --
}

judge() {
    local uid gid dir
    # The next right password connects a home that was lost, also at a locked screen.
    if look_up "$1" && [ -O "$login/users/$uid" ] && [ -e "$login/users/$uid/lost" ]; then
        rm -f "$login/users/$uid/again"
        ask "$1" -S "$login/users/$uid/again" -M -f -N ltsp-login
    fi
    ask_only "$1"
}

change() {
    local port
    read -r port <"$login/port" && ask_only "$1" -p $((port + 1))
}
