# needs: LTSP_API 1
# wants: AUTOLOGIN @getty|@lightdm|@gdm3|@gdm|@sddm|@plasmalogin|@greetd - display manager that can log somebody in
# parameter: RELOGIN bool "1" AUTOLOGIN logs in again after a logout, not only after the boot
# ltsp: display_manager_main
# shellcheck shell=dash disable=SC2154
# AUTOLOGIN: a person is logged in without a password (docs/login.md). Display managers ask nobody then, so the home is
# opened before they start, by the client's own key. Only when it is there they get the settings that are made here;
# without it people log in as usual.

# In a trial there is no home, and with SESSION there is nothing to log in to.
if [ "$trial" = 1 ] || [ ! -e "$store/login/home" ] || [ -e "$store/session" ]; then return 0; fi
account=$(autologin_account "$AUTOLOGIN" "$hostname")
[ -n "$account" ] || return 0
again=1
[ "$RELOGIN" != 0 ] || again=''

# set_keys FILE SECTION KEY=VALUE…: have a file of the image, as it will be, set keys of a section; the others stay.
set_keys() {
    local from=$new$1 file=$store/login/auto$1 section=$2 IFS='
'
    shift 2
    [ -f "$from" ] || from=/dev/null
    write "$file" "$(awk -v section="[$section]" -v keys="$*" '
        # awk would write each line by itself.
        function put(words) { text = text words "\n" }
        function ours(   i) {
            for (i = 1; i <= count; i++) put(line[i])
            done = 1
        }
        BEGIN { count = split(keys, line, "\n") }
        # Most lines are comments.
        substr($0, 1, 1) == "#" { put($0); next }
        /^[ \t]*\[/ {
            inside = $0 == section
            put($0)
            if (inside && !done) ours()
            next
        }
        {
            key = $0
            sub(/[ \t]*=.*/, "", key)
            for (i = 1; i <= count; i++) if (inside && index(line[i], key "=") == 1) next
            for (i = 1; i <= count; i++) if (inside && index(line[i], key " =") == 1) next
            put($0)
        }
        END {
            if (!done) {
                put(section)
                ours()
            }
            printf "%s", text
        }
    ' "$from")"
}

# add_keys FILE SECTION KEY=VALUE…: the same for a program that takes a section again behind all others, and in it the last
# value of a key. To read each line costs a slow machine more.
add_keys() {
    local from=$new$1 file=$store/login/auto$1 section=$2 IFS='
'
    shift 2
    mkdir -p "${file%/*}"
    [ ! -f "$from" ] || cp "$from" "$file"
    echo "
[$section]
$*" >>"$file"
}

# find_session: set session to the first session that the image has, Wayland before X11: some have to be told.
find_session() {
    for session in "$new"/usr/share/wayland-sessions/*.desktop "$new"/usr/share/xsessions/*.desktop; do
        if [ -f "$session" ]; then return; fi
    done
    session=''
}

find_manager
case "$manager" in
    lightdm)
        # The main file comes last, and so it counts.
        set -- "autologin-user=$account" autologin-user-timeout=0
        if [ -n "$again" ] && [ "$MULTISEAT" = 1 ]; then
            # After a logout, only the greeter of one seat can log somebody in again. It counts the seconds from before it
            # is on the screen, and if they are over before it has asked for a name, nobody gets in.
            set -- "autologin-user=$account" autologin-user-timeout=10
        elif [ -n "$again" ]; then
            # The last line that is not empty counts.
            command=$(sed -n 's/^[[:space:]]*session-cleanup-script[[:space:]]*=[[:space:]]*//p' \
                "$new"/usr/share/lightdm/lightdm.conf.d/*.conf "$new"/etc/lightdm/lightdm.conf.d/*.conf \
                "$new$manager_conf" 2>/dev/null) || :
            command=${command##*
}
            set -- "$@" "session-cleanup-script=/run/ltsp/login/home relogin${command:+ $command}"
        fi
        add_keys "$manager_conf" 'Seat:*' "$@"
        ;;
    gdm | gdm3)
        if [ -n "$again" ]; then
            set_keys "$manager_conf" daemon AutomaticLoginEnable=true "AutomaticLogin=$account" TimedLoginEnable=true \
                "TimedLogin=$account" TimedLoginDelay=2
        else
            set_keys "$manager_conf" daemon AutomaticLoginEnable=true "AutomaticLogin=$account" TimedLoginEnable=false
        fi
        ;;
    sddm | plasmalogin)
        # The session that the image or SDDM_CONF has chosen counts; the last file of them wins.
        set --
        for each in "$new/usr/lib/$manager/$manager.conf.d"/* "$new$manager_conf.d"/* "$new$manager_conf"; do
            [ ! -f "$each" ] || set -- "$@" "$each"
        done
        session=$(awk '
            /^[ \t]*\[/ { inside = $0 == "[Autologin]" }
            inside && sub(/^[ \t]*Session[ \t]*=[ \t]*/, "") && $0 { last = $0 }
            END { print last }
        ' "$@" </dev/null)
        [ -n "$session" ] || find_session
        session=${session##*/}
        [ -n "$again" ] && again=true || again=false
        set_keys "$manager_conf" Autologin "User=$account" "Session=${session%.desktop}" "Relogin=$again"
        ;;
    greetd)
        find_session
        program=''
        # An X11 session needs a server of X, which greetd does not start.
        case "$session" in */wayland-sessions/*) program=$(sed -n '/^Exec=/{s///p;q;}' "$session") ;; esac
        case "$program" in
            '' | *[\"\\]*)
                say "AUTOLOGIN is left out: this image has no Wayland session that greetd could start"
                return 0
                ;;
        esac
        # greetd's default session is its greeter; what takes its place starts again after each logout.
        part=initial_session
        [ -z "$again" ] || part=default_session
        set_keys "$manager_conf" "$part" "command = \"$program\"" "user = \"$account\""
        ;;
    getty)
        mkdir -p "$store/login/auto"
        [ -n "$again" ] || : >"$store/login/auto.once"
        write "$run/systemd/system/getty@tty1.service.d/ltsp.conf" "[Service]
ExecStart=
ExecStart=-/run/ltsp/login/home console $account %I"
        ;;
    *)
        say "AUTOLOGIN is left out: how $manager logs somebody in is not known"
        return 0
        ;;
esac
want ltsp-autologin.service
write "$run/systemd/system/ltsp-autologin.service" "[Unit]
Description=Open the home of $account, who is logged in without a password
After=ltsp-key.service systemd-logind.service dbus.service
Before=display-manager.service getty@tty1.service systemd-user-sessions.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/run/ltsp/login/home auto $account
TimeoutStartSec=90"
