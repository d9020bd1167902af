# needs: LTSP_API 1
# parameter: GDM3_CONF text "" Lines for the settings of GDM, at first of [daemon]; or the absolute path of a file in the image
# parameter: LIGHTDM_CONF text "" Lines for the settings of LightDM, at first of [Seat:*]; or the absolute path of a file in the image
# parameter: SDDM_CONF text "" Lines for the settings of SDDM, at first of [Autologin]; or the absolute path of a file in the image
# parameter: SLICK_CONF text "" Lines for the settings of Slick Greeter, at first of [Greeter]; or the absolute path of a file in the image
# shellcheck shell=dash disable=SC2154
# Settings of the display manager that the image has. They come after the image's own, so they count.

# add_settings NAME TEXT FILE SECTION: add what the setting NAME says to a file of the image.
add_settings() {
    local name=$1 text=$2 file=$3 section=$4
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
    write "$new$file" "$(if [ -f "$new$file" ]; then cat "$new$file"; fi)

[$section]
$(echo "$text" | sed -e '/^[[:space:]]*\(#.*\)\{0,1\}$/b' -e '/^[[:space:]]*\[[^][]*][[:space:]]*$/b' \
        -e '/^[[:space:]]*[^][#;=[:space:]][^=]*=/b' -e 's/^/# This is no setting: /')"
    if grep -q '^# This is no setting: ' "$new$file"; then
        say "lines of $name are left out: $file has them as comments"
    fi
}

if [ -z "$GDM3_CONF$LIGHTDM_CONF$SDDM_CONF$SLICK_CONF" ]; then return 0; fi
find_manager
case "$manager" in
    gdm | gdm3) add_settings GDM3_CONF "$GDM3_CONF" "$manager_conf" daemon ;;
    sddm) add_settings SDDM_CONF "$SDDM_CONF" "$manager_conf" Autologin ;;
    lightdm)
        add_settings LIGHTDM_CONF "$LIGHTDM_CONF" "$manager_conf" 'Seat:*'
        add_settings SLICK_CONF "$SLICK_CONF" /etc/lightdm/slick-greeter.conf Greeter
        ;;
esac
