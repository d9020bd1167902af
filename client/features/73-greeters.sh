# needs: LTSP_API 1
# wants: GDM3_CONF @gdm3|@gdm gdm3|gdm|gdm GDM as its display manager
# wants: LIGHTDM_CONF @lightdm lightdm LightDM as its display manager
# wants: LTSPDM_USERS @gdm3|@gdm|@lightdm|@sddm - greeter whose list can be set (GDM, LightDM, SDDM)
# wants: SDDM_CONF @sddm sddm SDDM as its display manager
# wants: SLICK_CONF /usr/sbin/slick-greeter slick-greeter Slick Greeter
# parameter: GDM3_CONF text "" Lines for the settings of GDM, at first of [daemon]; or the absolute path of a file in the image
# parameter: LIGHTDM_CONF text "" Lines for the settings of LightDM, at first of [Seat:*]; or the absolute path of a file in the image
# parameter: LTSPDM_USERS line "" Accounts that greeters list, a regular expression; %{HOSTNAME} and %{HOSTNAME#pc} stand for the host name, or what follows pc in it
# parameter: SDDM_CONF text "" Lines for the settings of SDDM, at first of [Autologin]; or the absolute path of a file in the image
# parameter: SLICK_CONF text "" Lines for the settings of Slick Greeter, at first of [Greeter]; or the absolute path of a file in the image
# ltsp: display_manager_main
# shellcheck shell=dash disable=SC2154,SC2086
# Settings of the display manager that the image has. They come after the image's own, so they count.

# add_settings NAME TEXT FILE SECTION: add what the setting NAME says to a file of the image.
add_settings() {
    local name=$1 text=$2 file=$3 section=$4 line checked wrong
    [ -n "$text" ] || return 0
    case "$text" in
        *"
"*) ;;
        /*)
            if [ ! -f "$new$text" ]; then
                say "$name is left out: this image has no file $text"
                return 0
            fi
            text=$(cat "$new$text")
            ;;
    esac
    # These programs take nothing of a file in which a line is neither a section nor a setting.
    checked='' wrong=''
    while IFS= read -r line; do
        split "$line"
        if ! is_of_settings "$words"; then line="# This is no setting: $line" wrong=1; fi
        checked="$checked
$line"
    done <<END
$text
END
    # What comes behind the image's own counts.
    if [ -f "$new$file" ] && [ ! -L "$new$file" ]; then
        echo "
[$section]$checked" >>"$new$file"
    else
        write "$new$file" "$(if [ -f "$new$file" ]; then cat "$new$file"; fi)

[$section]$checked"
    fi
    [ -z "$wrong" ] || say "lines of $name are left out: $file has them as comments"
}

# is_of_settings LINE: whether it is empty, a comment, the name of a section or a setting.
is_of_settings() {
    case "$1" in
        '' | '#'*) return 0 ;;
        '['*)
            set -- "${1#?}"
            case "${1%?}" in *[][]*) return 1 ;; esac
            case "$1" in *']') return 0 ;; esac
            ;;
        [\;=]* | ']'*) ;;
        *=*) return 0 ;;
    esac
    return 1
}

# with_name TEXT: print it with this client's name where it has %{HOSTNAME}, %{HOSTNAME#BEGIN} or %{HOSTNAME%END}.
with_name() {
    local done='' rest=$1 word
    while :; do
        case "$rest" in *%\{HOSTNAME*\}*) ;; *) break ;; esac
        done=$done${rest%%%\{HOSTNAME*}
        rest=${rest#*%\{HOSTNAME}
        word=${rest%%\}*} rest=${rest#*\}}
        case "$word" in
            '#'*) done=$done${hostname#"${word#?}"} ;;
            '%'*) done=$done${hostname%"${word#?}"} ;;
            *) done=$done$hostname ;;
        esac
    done
    echo "$done$rest"
}

# list_users: set shown and hidden to the people whose name fits LTSPDM_USERS, and to the others.
list_users() {
    shown='' hidden=''
    while read -r word each; do
        case "$word" in shown) shown="$shown $each" ;; *) hidden="$hidden $each" ;; esac
    done <<END
$(pattern=$(with_name "$LTSPDM_USERS") awk -F: '$3 >= 1000 && $3 <= 60000 {
        print ($1 ~ ("^(" ENVIRON["pattern"] ")$") ? "shown" : "hidden"), $1
    }' "$new/etc/passwd")
END
}

if [ -z "$GDM3_CONF$LIGHTDM_CONF$SDDM_CONF$SLICK_CONF$LTSPDM_USERS" ]; then return 0; fi
find_manager
if [ -n "$LTSPDM_USERS" ]; then
    list_users
    if [ -z "$shown" ]; then
        say "LTSPDM_USERS is left out: it fits the name of no account"
    else
        # gdm, and lightdm where this service is.
        users=$new/var/lib/AccountsService/users
        for each in $hidden; do
            if [ ! -d "$users" ]; then break; fi
            write "$users/$each" '[User]
SystemAccount=true'
        done
        case "$manager" in
            sddm) add_settings LTSPDM_USERS "HideUsers=$(echo $hidden | tr ' ' ,)" "$manager_conf" Users ;;
            lightdm)
                write "$new/etc/lightdm/users.conf" "[UserList]
minimum-uid=1000
hidden-users=nobody$hidden
hidden-shells=/bin/false /usr/sbin/nologin /sbin/nologin"
                # Debian's lightdm lists nobody otherwise.
                add_settings LTSPDM_USERS 'greeter-hide-users=false
greeter-show-manual-login=true' "$manager_conf" 'Seat:*'
                # Slick Greeter lists the members of a group.
                if [ -e "$new/usr/sbin/slick-greeter" ]; then
                    group=999
                    while grep -q ":$group:" "$new/etc/group"; do group=$((group - 1)); done
                    sed -i '/^ltspdm:/d' "$new/etc/group"
                    echo "ltspdm:x:$group:$(echo $shown | tr ' ' ,)" >>"$new/etc/group"
                    add_settings LTSPDM_USERS group-filter=ltspdm /etc/lightdm/slick-greeter.conf Greeter
                fi
                ;;
        esac
    fi
fi
case "$manager" in
    gdm | gdm3) add_settings GDM3_CONF "$GDM3_CONF" "$manager_conf" daemon ;;
    sddm) add_settings SDDM_CONF "$SDDM_CONF" "$manager_conf" Autologin ;;
    lightdm)
        add_settings LIGHTDM_CONF "$LIGHTDM_CONF" "$manager_conf" 'Seat:*'
        add_settings SLICK_CONF "$SLICK_CONF" /etc/lightdm/slick-greeter.conf Greeter
        ;;
esac
