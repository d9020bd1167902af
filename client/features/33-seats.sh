# needs: LTSP_API 1
# parameter: MULTISEAT bool "0" A client with two graphics cards has two seats: one card and the USB ports with odd numbers are the second
# parameter: UDEV_SEAT_* text "" UDEV_SEAT_n_x: what belongs to seat n, a pattern of paths as of udev's DEVPATH, such as */sound/card1*
# ltsp: multiseat_main
# shellcheck shell=dash disable=SC2154
# Seats: several people work at one client, each with a screen, a keyboard and a mouse.

# add_seat NAME PATTERN: add what the setting NAME says to rules. A quote would end the pattern.
add_seat() {
    local seat=${1#UDEV_SEAT_}
    seat=${seat%%_*}
    case "$seat" in '' | 0* | *[!0-9]*) seat='' ;; esac
    case "${seat:+$2}" in
        '' | *[\"\\]*) say "$1 is left out: it is not UDEV_SEAT_n_x=PATTERN" ;;
        *)
            rules="${rules}TAG==\"seat\", DEVPATH==\"$2\", ENV{ID_SEAT}=\"seat-$seat\"
"
            ;;
    esac
}

# Most clients have neither, and need no process for it.
case "$MULTISEAT ${ltsp_dumped:-$ltsp_known}" in 1* | *" UDEV_SEAT_"*) ;; *) return 0 ;; esac
rules=''
if [ "$MULTISEAT" = 1 ]; then
    case "$UDEV_SEAT_1_GRAPHICS" in
        '' | auto)
            card=$(graphics_cards | awk 'NR == 1 || $0 < first { first = $0 } END { if (NR > 1) print first }')
            if [ -z "$card" ]; then
                say "MULTISEAT is left out: this client has not two graphics cards"
            else
                add_seat UDEV_SEAT_1_GRAPHICS "$card*"
                [ -n "$UDEV_SEAT_1_ODD_USB_PORTS" ] || add_seat UDEV_SEAT_1_ODD_USB_PORTS '*/usb?/?-[13579]/*'
            fi
            ;;
    esac
fi
take_family UDEV_SEAT names
while read -r name value; do
    case "$name:$value" in
        : | UDEV_SEAT_1_GRAPHICS:auto) ;;
        UDEV_SEAT_*) add_seat "$name" "$value" ;;
        *) say "all but the first line of a UDEV_SEAT_x is left out" ;;
    esac
done <<END
$members
END
[ -z "$rules" ] || write "$new/etc/udev/rules.d/72-ltsp-seats.rules" "${rules%
}"
