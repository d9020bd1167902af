# shellcheck shell=dash disable=SC2034
# Whether people can log in to the booted system. Runs there, with its systemctl and loginctl. A target does not tell
# it: getty.target is reached without any getty, too.

# judge_login [GETTY]: set why to the reason why nobody can log in, and to nothing if people can. GETTY does not
# count. A display manager gets three minutes to show its greeter, which a slow machine needs. Each program that is asked
# takes some of that machine's processor from the greeter, so there is one each ten seconds, until logind has another file:
# it has one for each session.
judge_login() {
    local tries=0 getty=$1 before pause manager=''
    while [ "$tries" -lt 180 ]; do
        why='' pause=2
        set -- /run/systemd/sessions/*
        before=$*
        case "$(systemctl show --value --property=ActiveState display-manager.service)" in
            failed)
                why="display-manager.service failed"
                return
                ;;
            active)
                shows_greeter && return
                why="display-manager.service runs, but shows no greeter"
                pause=10
                ;;
            *)
                if has_getty "$getty" || has_session; then return; fi
                why="neither a getty nor a display manager is active"
                # systemd starts gettys after everything else, or after 5 s.
                [ "$tries" -lt 15 ] || return
                ;;
        esac
        while [ "$pause" -gt 0 ] && [ "$*" = "$before" ]; do
            sleep 2
            tries=$((tries + 2)) pause=$((pause - 2))
            set -- /run/systemd/sessions/*
        done
    done
}

# first_words: print the first word of each line.
first_words() {
    local word
    while read -r word _; do echo "$word"; done
}

# has_getty [GETTY]: whether a getty other than GETTY runs, or what SESSION shows in its place. Until a getty starts, its
# process is systemd's, whose name is in parentheses.
has_getty() {
    local unit pid name
    for unit in $(systemctl list-units --state=running --plain --no-legend --no-pager 'getty@*' 'serial-getty@*' \
        'console-getty.service' 'container-getty@*' 'autovt@*' 'kmsconvt@*' 'ltsp-session.service' | first_words); do
        [ "$unit" != "$1" ] || continue
        pid=$(systemctl show --value --property=MainPID "$unit")
        read -r name 2>/dev/null <"/proc/$pid/comm" || continue
        case "$name" in '('*) ;; *) return 0 ;; esac
    done
    return 1
}

# shows_greeter: whether the display manager has opened a session, for its greeter or for a person (autologin). Some
# never do, and none can if logind gets no sessions.
shows_greeter() {
    if [ -z "$manager" ]; then
        manager=$(systemctl show --value --property=Id display-manager.service)
        grep -qs pam_systemd /etc/pam.d/* || manager=other
    fi
    case "$manager" in
        gdm* | lightdm* | sddm* | greetd*) has_session ;;
    esac
}

# has_session: whether there is a session at a screen of this machine: a greeter, a person, a kiosk. logind is asked when one of
# its files names a seat; as these are its own, it is asked in the end in any case.
has_session() {
    local session line=''
    for session in /run/systemd/sessions/*; do
        # Beside them are pipes.
        [ -f "$session" ] || continue
        while read -r line; do
            case "$line" in SEAT=?*) break 2 ;; esac
        done <"$session"
        line=''
    done 2>/dev/null
    [ -n "$line" ] || [ "$tries" -ge 160 ] || return 1
    for session in $(loginctl list-sessions --no-legend --no-pager | first_words); do
        [ -z "$(loginctl show-session --value --property=Seat "$session")" ] || return 0
    done
    return 1
}
