# shellcheck shell=dash disable=SC2154
# SESSION=rdp: a desktop of a Windows or xrdp host (RDP_SERVER), by FreeRDP.

# ask_password: set password to what somebody types, unseen.
ask_password() {
    printf 'Password: '
    # shellcheck disable=SC3045
    IFS='' read -r -s password || exit 0
    echo
}

# why STATUS: print what the exit status of FreeRDP means for a person; nothing if a session has just ended.
why() {
    case "$1" in
        [0-9] | 1[0-2]) ;;
        132 | 134 | 154 | 155) echo "The name or the password is not right." ;;
        148 | 149 | 152) echo "The password of this account has expired; $host wants a new one." ;;
        135 | 151 | 153 | 156 | 157 | 158) echo "$host does not let this account in." ;;
        133) echo "$host has no encryption by which it could be known, so no password was sent to it." ;;
        143) echo "$host is not the host that it should be, so no password was sent to it.
Tell your administrator: its certificate is neither RDP_FINGERPRINT's nor one that the image trusts." ;;
        *) echo "$host could not be shown (FreeRDP ended with $1)." ;;
    esac
}

session() {
    local host='' port=3389 name='' password='' domain sentence
    split_server "$(cat "$place/host")"
    domain=$(cat "$place/domain")
    wait_for "$host" "$port"
    ask_name "This screen shows a desktop of $host."
    ask_password
    start_x
    # Options are words, and none of them is a pattern.
    set -f
    # shellcheck disable=SC2046
    set -- $(cat "$place/options")
    case "$host" in *:*) host="[$host]" ;; esac
    # Without TLS, nothing tells one host from another. FreeRDP 2 and 3 have other words for that, and a stick that comes
    # during a session is no drive of FreeRDP 2, so that it gives the host the directory of all.
    case "$("$rdp" --version)" in
        *"version 2"*) set -- -sec-rdp /drive:usb,/media "$@" ;;
        *) set -- /sec:rdp:off '/drive:hotplug,*' "$@" ;;
    esac
    # Everybody on this machine can read a command line, so the password goes by a pipe.
    printf '%s\n' "$password" | "$rdp" "/v:$host:$port" "/u:$name" "/d:$domain" /from-stdin:force \
        "/cert:deny${fingerprint:+,fingerprint:sha256:$fingerprint}" "/size:${WIDTH}x$HEIGHT" /f +clipboard /sound \
        "$@" >&2
    sentence=$(why $?)
    stop_x
    if [ -n "$sentence" ]; then
        printf '\033c%s\n' "$sentence"
        pause
    fi
}
