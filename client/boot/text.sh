# shellcheck shell=dash disable=SC2034
# Words and numbers only: no mount, no device, no network, so all of this can be tested on a workstation.
# Values of the kernel command line come from the network: they are compared with patterns, never run.

# parse_cmdline LINE: set server, image, generation, transport, base, port, mac, ip_words, init, debug_shell, trial; and
# passed to the names of variables that the kernel has given its first process, which it makes of NAME=value.
parse_cmdline() {
    local word name
    server='' image='' generation='' transport='' base='' port='' mac='' ip_words='' init='' debug_shell='' trial='' passed=''
    set -f
    for word in $1; do
        case "$word" in
            ltsp.server=*) server=${word#*=} ;;
            ltsp.image=*) image=${word#*=} ;;
            ltsp.generation=*) generation=${word#*=} ;;
            ltsp.root=*) transport=${word#*=} ;;
            ltsp.base=*) base=${word#*=} ;;
            ltsp.port=*) port=${word#*=} ;;
            ltsp.trial) trial=1 ;;
            ltsp.debug_shell | ltsp.debug_shell=1 | DEBUG_SHELL=1) debug_shell=1 ;;
            BOOTIF=*) mac=$(mac_of_bootif "${word#*=}") ;;
            ip=*) ip_words=${word#*=} ;;
            init=*) init=${word#*=} ;;
        esac
        name=${word%%=*}
        case "$name" in
            "$word" | PATH | LTSP_* | [!A-Z]* | *[!A-Z0-9_]*) ;;
            *) passed="$passed $name" ;;
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
    address=${1-} boot_server=${2-} gateway=${3-} netmask=${4-} given_name=${5-} dns=''
    is_ipv4 "$address" || address=''
    is_ipv4 "$boot_server" || boot_server=''
    is_ipv4 "$gateway" || gateway=''
    is_ipv4 "$netmask" || netmask=''
    if is_ipv4 "${8-}"; then dns=$8; fi
    if is_ipv4 "${9-}"; then dns=${dns:+$dns }$9; fi
}

# is_ipv4 WORD: whether it is a dotted quad; 0.0.0.0 is how PXELINUX writes that there is none.
is_ipv4() {
    local IFS=. part
    case "$1" in *[!0-9.]* | *..* | .* | *. | 0.0.0.0) return 1 ;; esac
    # shellcheck disable=SC2086
    set -- $1
    [ $# = 4 ] || return 1
    for part in "$@"; do
        [ "${#part}" -le 3 ] && [ "$part" -le 255 ] || return 1
    done
}

# amount WORD: print it if it is a size in memory, such as 512M or 2G, or a part of it, such as 50%.
amount() {
    if is_amount "$1"; then echo "$1"; fi
}

# is_amount WORD: whether it is one.
is_amount() {
    case "$1" in *[%MG]) ;; *) return 1 ;; esac
    case "${1%?}" in '' | 0* | *[!0-9]* | ???????*) return 1 ;; esac
}

# host_number ADDRESS NETMASK: the client's number in its network, 192.168.67.20 of a /24 being 20.
host_number() {
    local IFS=.
    # shellcheck disable=SC2086
    set -- $1 ${2:-255.255.255.0}
    echo $((($1 & ~$5) << 24 | ($2 & ~$6) << 16 | ($3 & ~$7) << 8 | $4 & ~$8))
}

# host_name TEMPLATE ADDRESS NETMASK MAC: print the name with %{IP} and %{MAC} replaced, as LTSP does. Invalid
# characters are dropped, and all after the 64th. If nothing is left, it is LTSP's default: ltsp and the client's
# number. The server has the same rule (ltspd/config/hostnames.py).
host_name() {
    local name=${1%% *} number mac=$4
    number=$(host_number "$2" "$3")
    case "$name" in '' | '(none)') name='ltsp%{IP}' ;; esac
    while [ "$mac" != "${mac#*:}" ]; do mac=${mac%%:*}${mac#*:}; done
    while :; do
        case "$name" in
            *'%{IP}'*) name=${name%%'%{IP}'*}$number${name#*'%{IP}'} ;;
            *'%{MAC}'*) name=${name%%'%{MAC}'*}$mac${name#*'%{MAC}'} ;;
            *) break ;;
        esac
    done
    # Nearly every name is right by now, and needs no process.
    case "$name" in
        *[!A-Za-z0-9._-]* | [._-]* | *[._-] | *[._-].* | *.[_-]* | ????????????????????????????????????????????????????????????????*)
            name=$(printf '%s' "$name" | LC_ALL=C tr '\n' ' ' | LC_ALL=C tr -cd 'A-Za-z0-9._-' |
                sed 's/[_-]*[.][._-]*/./g; s/^[._-]*//; s/[._-]*$//' | cut -c 1-64 | sed 's/[._-]*$//')
            ;;
    esac
    echo "${name:-ltsp$number}"
}

# autologin_account TEXT NAME: print the account that AUTOLOGIN=TEXT logs in at the client of this name; nothing, if there
# is none. The server has the same rule (ltspd/config/autologin.py), and opens that account to this client's key. sed gets
# only what is surely a pattern.
autologin_account() {
    local pattern=${1%/*} account=${1##*/}
    case "$1$2" in *[!A-Za-z0-9.\]\[_^$*/-]*) return 0 ;; esac
    case "$account" in '' | [!A-Za-z0-9_]* | *[!A-Za-z0-9._-]*) return 0 ;; esac
    case "$1" in
        */*)
            case "$pattern" in *'*'*'*'*'*'*'*'*) return 0 ;; esac
            account=$(echo "$pattern" | grep -Exq '\^?(([A-Za-z0-9._-]|\[\^?[A-Za-z0-9._-]+\])\*?)+\$?' &&
                echo "$2" | LC_ALL=C sed -n "s/$pattern/$account/p" 2>/dev/null)
            case "$account" in '' | [!A-Za-z0-9_]*) return 0 ;; esac
            ;;
    esac
    echo "$account"
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

# split TEXT [SEPARATORS]: set words to the words of a setting, with one space between. Blanks, line ends and
# SEPARATORS divide words.
split() {
    local IFS=" 	
${2-}"
    set -f
    # shellcheck disable=SC2086
    set -- $1
    IFS=" 	
"
    # This drops the empty words that separators leave.
    # shellcheck disable=SC2048,SC2086
    set -- $*
    set +f
    words=$*
}

# megabytes BYTES: print them in a form for people.
megabytes() {
    echo "$((($1 + 500000) / 1000000)) MB"
}
