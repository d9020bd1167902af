# shellcheck shell=dash disable=SC2154
# Orders of the server. live.sh, in whose process this runs, calls take_order for each that it is told of; busybox,
# store, mac, boot and fetch_signed are its own. What an order looks like: ltspd/clients/orders.py; docs/control.md.

# take_order ID: obey an order if the server has signed it for this machine in this boot, once, and if it is newer than
# all orders before. An order that somebody else kept and sends again does nothing.
take_order() {
    local file=$store/news/order tries=0 last=0 id verb words each delay=''
    case "$1" in '' | *[!0-9]* | ?????????????????*) return 0 ;; esac
    read -r last 2>/dev/null <"$file.last"
    [ "$1" -gt "$last" ] || return 0
    until fetch_signed "orders/$1" "$file"; do
        tries=$((tries + 1))
        [ "$tries" -lt 3 ] || return 1
        sleep 1
    done
    {
        read -r id verb words
        while read -r each; do
            case "$each" in "$mac $boot "*) delay=${each##* } ;; esac
        done
    } <"$file"
    case "$delay" in '' | *[!0-9]* | ??????*) return 0 ;; esac
    # The name under which it came is nobody's word.
    [ "$id" = "$1" ] || return 0
    echo "$id" >"$file.last"
    # In the background: the next news must not wait.
    { [ "$delay" = 0 ] || sleep "$delay"; obey "$id" "$verb" "$words"; } &
}

# answer ID RESULT: tell the server what became of an order: ok, or a sentence.
answer() {
    local tries=0
    echo "<5>Order $1 of the server: $2"
    until send "mac=$mac
order=$1
result=$(printf %.300s "$2")"; do
        tries=$((tries + 1))
        [ "$tries" -lt 5 ] || return 0
        # The whole room answers at once.
        wait_up_to 5000
    done
}

# obey ID VERB WORDS
obey() {
    local why=''
    case "$3" in
        *[!A-Za-z0-9._~%\ -]*) why='its words are not written as words of an order are.' ;;
        *)
            case "$2" in
                message) show_message "$(decoded "$3")" ;;
                logout) log_out "$(decoded "$3")" ;;
                reboot | poweroff) go_down "$1" "$2" "$3" ;;
                *) why="this client's software does not know that order." ;;
            esac
            ;;
    esac
    [ "$why" = told ] || answer "$1" "${why:-ok}"
}

# decoded WORD: print the text that a percent-encoded word stands for.
decoded() {
    printf %b "$(echo "$1" | "$busybox" sed 's/%/\\x/g')"
}

# sessions: print uid, kind and user name of each session of a person.
sessions() {
    local session uid name
    loginctl list-sessions --no-legend --no-pager | while read -r session uid name _; do
        case "$(loginctl show-session --value --property=Class "$session")" in
            user*) echo "$uid $(loginctl show-session --value --property=Type "$session") $name" ;;
        esac
    done
}

# show_message TEXT [FROM]: show a text on all terminals, and in each graphical session. It is text and nothing else: wall
# shows control characters as such, and desktops get no markup.
show_message() {
    local uid kind shown=' ' from="${2:-Message from the server}"
    printf '%s\n' "$from:" "$1" | LC_ALL=C.UTF-8 /usr/bin/wall -n ||
        why='this image has no wall (util-linux).'
    while read -r uid kind _; do
        case "$kind$shown" in tty* | unspecified* | ' ' | *" $uid "*) continue ;; esac
        shown="$shown$uid "
        if notify "$uid" "$1" "$from"; then why=''; fi
    done <<-END
	$(sessions)
	END
}

# notify UID TEXT FROM: have the desktop of a person show a text until it is clicked away.
notify() {
    local text=$2
    [ -S "/run/user/$1/bus" ] || return 1
    case "$(on_bus "$1" GetCapabilities)" in
        *'"body-markup"'*) text=$(printf %s "$2" | "$busybox" sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g') ;;
    esac
    on_bus "$1" Notify susssasa\{sv\}i "" 0 dialog-information "$3" "$text" 0 1 urgency y 2 0 >/dev/null
}

# on_bus UID METHOD WORDS: call the notification service of a person, as that person.
on_bus() {
    local uid=$1
    shift
    /usr/bin/setpriv --reuid "$uid" --regid "$(/usr/bin/stat -c %g "/run/user/$uid")" --clear-groups \
        /usr/bin/busctl --address="unix:path=/run/user/$uid/bus" --timeout=5 -- call \
        org.freedesktop.Notifications /org/freedesktop/Notifications org.freedesktop.Notifications "$@" 2>/dev/null
}

# log_out [USER]: end all sessions of a person, or of all people but root.
log_out() {
    local uid name ended=' '
    while read -r uid _ name; do
        case "$ended" in *" $uid "*) continue ;; esac
        [ -n "$uid" ] || continue
        if [ -n "$1" ]; then [ "$name" = "$1" ] || continue; else [ "$uid" != 0 ] || continue; fi
        ended="$ended$uid "
        # By the number: logind does not find the name of an account that is gone.
        to_logind call TerminateUser u "$uid" || why='logind did not end a session.'
    done <<-END
	$(sessions)
	END
    if [ -n "$1" ] && [ "$ended" = ' ' ]; then why='nobody of that name is logged in there.'; fi
}

# to_logind VERB WORDS: call a method, or get a property.
to_logind() {
    local verb=$1
    shift
    /usr/bin/busctl "$verb" org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "$@" 2>/dev/null
}

# go_down ID VERB [force]: reboot or switch off. What a program does that must not be cut off (an upgrade) comes first,
# whichever version of systemd asks or does not ask.
go_down() {
    case "$3:$(to_logind get-property BlockInhibited)" in
        force:*) ;;
        *'"'*shutdown*)
            why="a program there forbids it now ('systemd-inhibit --list' names it); --force does it all the same."
            return
            ;;
    esac
    # First the answer: afterwards there may be no time.
    answer "$1" ok
    why=told
    systemctl -i --no-wall "$2" || why="systemctl $2 failed there."
}
