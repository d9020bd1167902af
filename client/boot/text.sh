# shellcheck shell=dash disable=SC2034
# Words and numbers only: no mount, no device, no network. Everything here is tried on a workstation.
# Values of the kernel command line come from the network: they are matched, never evaluated.

# parse_cmdline LINE: set server, image, generation, transport, base, mac, ip_words, init, debug_shell, trial.
parse_cmdline() {
    local word
    server='' image='' generation='' transport='' base='' mac='' ip_words='' init='' debug_shell='' trial=''
    set -f
    for word in $1; do
        case "$word" in
            ltsp.server=*) server=${word#*=} ;;
            ltsp.image=*) image=${word#*=} ;;
            ltsp.generation=*) generation=${word#*=} ;;
            ltsp.root=*) transport=${word#*=} ;;
            ltsp.base=*) base=${word#*=} ;;
            ltsp.trial) trial=1 ;;
            ltsp.debug_shell | ltsp.debug_shell=1 | DEBUG_SHELL=1) debug_shell=1 ;;
            BOOTIF=*) mac=$(mac_of_bootif "${word#*=}") ;;
            ip=*) ip_words=${word#*=} ;;
            init=*) init=${word#*=} ;;
        esac
    done
    set +f
}

# mac_of_bootif WORD: print 01-AA-BB-CC-DD-EE-FF (pxelinux's form) or a plain address as aa:bb:cc:dd:ee:ff.
mac_of_bootif() {
    local IFS=-: lower=''
    set -f
    # shellcheck disable=SC2086
    set -- $1
    set +f
    [ $# = 7 ] && shift
    [ $# = 6 ] || return 0
    lower=$(echo "$1:$2:$3:$4:$5:$6" | tr A-F a-f)
    case "$lower" in
        *[!0-9a-f:]*) ;;
        ??:??:??:??:??:??) echo "$lower" ;;
    esac
}

# parse_ip WORDS: the kernel's CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS:DNS
# sets address, boot_server, gateway, netmask, given_name, dns; what is no address becomes empty.
parse_ip() {
    local IFS=:
    set -f
    # shellcheck disable=SC2086
    set -- $1
    set +f
    address=$(ipv4 "${1-}") boot_server=$(ipv4 "${2-}") gateway=$(ipv4 "${3-}") netmask=$(ipv4 "${4-}")
    given_name=${5-}
    dns="$(ipv4 "${8-}") $(ipv4 "${9-}")"
    dns=${dns# } dns=${dns% }
}

# ipv4 WORD: print it if it is a dotted quad.
ipv4() {
    local IFS=. part
    case "$1" in *[!0-9.]* | *..* | .* | *.) return 0 ;; esac
    # shellcheck disable=SC2086
    set -- $1 "$1"
    [ $# = 5 ] || return 0
    for part in "$1" "$2" "$3" "$4"; do
        [ "${#part}" -le 3 ] && [ "$part" -le 255 ] || return 0
    done
    echo "$5"
}

# number IPV4: print the address as a number.
number() {
    local IFS=.
    # shellcheck disable=SC2086
    set -- $1
    echo $((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
}

# host_number ADDRESS NETMASK: the client's number in its network, 192.168.67.20 of a /24 being 20.
host_number() {
    echo $(($(number "$1") & ~$(number "${2:-255.255.255.0}") & 0xffffffff))
}

# host_name TEMPLATE ADDRESS NETMASK MAC: print the name with %{IP} and %{MAC} replaced, as LTSP does; what a
# host name can't have is dropped, and what is behind its 64th character. Nothing usable: LTSP's default, ltsp
# and the client's number. The server knows the same rule (ltspd/config/hostnames.py).
host_name() {
    local name=${1%% *} number mac
    number=$(host_number "$2" "$3")
    mac=$(echo "$4" | tr -d :)
    case "$name" in '' | '(none)') name='ltsp%{IP}' ;; esac
    name=$(printf '%s' "$name" | LC_ALL=C tr '\n' ' ' | sed "s/%{IP}/$number/g; s/%{MAC}/$mac/g" | LC_ALL=C tr -cd 'A-Za-z0-9._-' |
        sed 's/[_-]*[.][._-]*/./g; s/^[._-]*//; s/[._-]*$//' | cut -c 1-64 | sed 's/[._-]*$//')
    echo "${name:-ltsp$number}"
}

# is_name WORD: whether it is a name of an image or generation that can be part of a path.
is_name() {
    case "$1" in
        '' | .* | *[!A-Za-z0-9._-]*) return 1 ;;
    esac
}

# is_digest WORD: whether it is a layer's digest.
is_digest() {
    case "$1" in
        '' | *[!0-9a-f]*) return 1 ;;
    esac
}

# words TEXT: print the words of a setting as the shell splits them, with one space between.
words() {
    set -f
    # shellcheck disable=SC2086
    set -- $1
    set +f
    echo "$*"
}

# name_unit WORD: set unit to the name of the unit that a setting means: as systemctl(1) has it, a service where
# nothing else is said.
name_unit() {
    unit=$1
    case "$1" in
        *.service | *.socket | *.target | *.mount | *.automount | *.swap | *.path | *.timer | *.slice | *.scope | \
            *.device) ;;
        *) unit=$1.service ;;
    esac
}

# keeps LIST UNIT: whether a list of settings has a unit, as a whole or without its suffix.
keeps() {
    case " $1 " in *" $2 "* | *" ${2%.*} "*) ;; *) return 1 ;; esac
}

# megabytes BYTES: print them as a person reads them.
megabytes() {
    echo "$((($1 + 500000) / 1000000)) MB"
}

# merge_accounts PASSWD GROUP SHADOW NEW_PASSWD NEW_GROUP: add the server's accounts to the image's files.
# An account of the image wins, by name and by number: its services run as it and its files belong to it. So
# a server's account whose name or uid is taken is left out and named on stdout, and so is one whose own group has
# the number of another group here, as it would get the rights of that. A group that both have keeps the image's
# number and gets the server's members too (sudo, audio …), as far as they are accounts here. Names are carried
# over as they are; the server has left out those that would be more than a name here.
# Nobody gets a password: `!` locks the entry, whoever checks the password asks the server.
merge_accounts() {
    [ -f "$3" ] || : >"$3"
    awk -F: -v OFS=: -v passwd="$1" -v group="$2" -v shadow="$3" '
        function sound(name, number) {
            return name !~ "^$|^[-+~.]|[,/[:space:][:cntrl:]]" && number ~ /^[0-9]+$/
        }
        part == 1 { accounts = accounts $0 "\n"; known[$1] = 1; uid[$3] = $1; next }
        part == 2 && NF == 4 { theirs[$3] = $1; next }
        part == 4 && NF == 7 && sound($1, $3) && $3 > 0 {
            if ($1 in known) next
            if ($3 in uid) {
                print "account " $1 " is left out: its number " $3 " is " uid[$3] " in this image"
                next
            }
            if (($4 in gid) && ($4 in theirs) && gid[$4] != theirs[$4]) {
                print "account " $1 " is left out: the number " $4 " of its group " theirs[$4] \
                    " is " gid[$4] " in this image"
                next
            }
            known[$1] = 1; uid[$3] = $1
            accounts = accounts $1 ":x:" $3 ":" $4 ":" $5 ":" $6 ":" $7 "\n"
            locked = locked $1 ":!:19000:0:99999:7:::\n"
            next
        }
        part == 3 { names[++count] = $1; at[$1] = count; gid[$3] = $1; line[count] = $1 ":" $2 ":" $3; members[count] = $4; next }
        part == 5 && NF == 4 && sound($1, $3) {
            if (!($1 in at)) {
                if ($3 in gid) {
                    print "group " $1 " is left out: its number " $3 " is " gid[$3] " in this image"
                    next
                }
                at[$1] = ++count; gid[$3] = $1; line[count] = $1 ":x:" $3
            }
            number = split($4, wanted, ",")
            for (i = 1; i <= number; i++) {
                has = "," members[at[$1]] ","
                if ((wanted[i] in known) && !index(has, "," wanted[i] ","))
                    members[at[$1]] = members[at[$1]] (members[at[$1]] == "" ? "" : ",") wanted[i]
            }
        }
        END {
            printf "%s", accounts >passwd
            printf "" >group
            for (i = 1; i <= count; i++) print line[i] ":" members[i] >group
            printf "%s", locked >>shadow
        }
    ' part=1 "$1" part=2 "$5" part=3 "$2" part=4 "$4" part=5 "$5"
}
