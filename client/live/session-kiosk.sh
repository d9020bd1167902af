# shellcheck shell=dash disable=SC2154
# SESSION=kiosk: one page (KIOSK_URL) in the image's browser, or one program (KIOSK_COMMAND), alone on the screen.

# page_server URL: set host and port to what a page comes from; host is empty if that is no server.
page_server() {
    host='' port=''
    case "$1" in
        http://*) port=80 ;;
        https://*) port=443 ;;
        *) return 0 ;;
    esac
    host=${1#*://}
    host=${host%%[/?#]*}
    host=${host##*@}
    case "$host" in
        \[*\]:*) port=${host##*:} ;;
        \[*) ;;
        *:*) port=${host##*:} ;;
    esac
    case "$host" in
        \[*) host=${host#\[} host=${host%%\]*} ;;
        *) host=${host%%:*} ;;
    esac
}

# start_x: start a server of X on this console; set x_pid, and for programs DISPLAY, XAUTHORITY, WIDTH and HEIGHT.
start_x() {
    export DISPLAY=:0 XAUTHORITY="$HOME/.Xauthority"
    # One cookie that counts for each display, as libXau has it: family, host, display, name, 16 bytes.
    {
        printf '\377\377\0\0\0\0\0\022MIT-MAGIC-COOKIE-1\0\020'
        head -c 16 /dev/urandom
    } >"$XAUTHORITY"
    # Only root may make it in the /tmp that is for all; this one is the session's own.
    mkdir -m 1777 /tmp/.X11-unix
    mknod "$HOME/.display" p
    # It never goes dark, because nobody may come to wake it: -s and -dpms.
    "$x" :0 "vt${XDG_VTNR:-1}" -keeptty -displayfd 3 -auth "$XAUTHORITY" -background none -s 0 -dpms \
        -logfile "$HOME/.X.log" 3>"$HOME/.display" >/dev/null 2>&1 &
    x_pid=$!
    # It tells its display when it is ready.
    if ! read -r _ <"$HOME/.display"; then
        printf '\033c\n\n\n    %s\n' "X does not start; the journal of this machine says why. It is tried again."
        tail -n 20 "$HOME/.X.log" >&2
        sleep 10
        exit 1
    fi
    # shellcheck disable=SC2046
    set -- $(sed -n 's/.*using initial mode \([0-9]*\)x\([0-9]*\).*/\1 \2/p' "$HOME/.X.log")
    export WIDTH="${1:-1024}" HEIGHT="${2:-768}"
}

# browse URL: show a page in the image's browser, with nothing around it.
browse() {
    case "$browser" in
        */firefox*)
            mkdir -p "$HOME/profile"
            # No first steps, no questions, no reports.
            echo 'user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("termsofuse.bypassNotification", true);' >"$HOME/profile/user.js"
            # Nothing else makes a window as large as the screen where there is no window manager.
            echo "{\"chrome://browser/content/browser.xhtml\":{\"main-window\":{\"screenX\":\"0\",\"screenY\":\"0\",\
\"width\":\"$WIDTH\",\"height\":\"$HEIGHT\",\"sizemode\":\"normal\"}}}" >"$HOME/profile/xulstore.json"
            "$browser" --kiosk --no-remote --profile "$HOME/profile" "$1"
            ;;
        *)
            # It takes a window of the screen's own size for one that is not full, and leaves out the last row and column.
            "$browser" --kiosk --no-first-run --no-default-browser-check --noerrdialogs --disable-infobars \
                --password-store=basic --window-position=0,0 --window-size="$((WIDTH + 1)),$((HEIGHT + 1))" \
                --user-data-dir="$HOME/profile" "$1"
            ;;
    esac
}

session() {
    local url
    cd "$HOME" || exit
    url=$(cat "$place/url")
    if [ -e "$place/command" ]; then
        start_x
        /bin/sh "$place/command"
    else
        page_server "$url"
        [ -z "$host" ] || wait_for "$host" "$port"
        start_x
        browse "$url"
    fi
    kill "$x_pid"
    wait "$x_pid"
}
