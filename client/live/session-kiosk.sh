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
    split_server "${host##*@}"
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
            # It offers to translate pages of other languages, above the page and whatever --disable-features says.
            mkdir -p "$HOME/profile/Default"
            echo '{"translate":{"enabled":false}}' >"$HOME/profile/Default/Preferences"
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
    stop_x
}
