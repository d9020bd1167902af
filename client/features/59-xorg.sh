# needs: LTSP_API 1
# wants: X_* /usr/lib/xorg/Xorg|/usr/libexec/Xorg|/usr/lib/Xorg|/usr/bin/Xorg xserver-xorg|xorg-x11-server-Xorg|xorg-server X server
# wants: X_DRIVER /usr/lib/xorg/modules/drivers/{}_drv.so|/usr/lib64/xorg/modules/drivers/{}_drv.so - such driver for X
# The settings of X, where ltsp.conf has some. Sessions with Wayland don't read them.
# parameter: X_DRIVER line "" Driver of X11 sessions, such as modesetting or vesa
# parameter: X_HORIZSYNC line "" Horizontal frequencies of the screen in kHz for X11, such as 28.0-87.0
# parameter: X_MODELINE line "" A mode for X11 as cvt(1) prints it: its name in quotes, clock, eight numbers, flags
# parameter: X_MODES line "" Resolutions for X11, the first one first, such as 1024x768 800x600
# parameter: X_PREFERREDMODE line "" The resolution that X11 begins with, such as 1024x768
# parameter: X_VERTREFRESH line "" Vertical frequencies of the screen in Hz for X11, such as 43.0-87.0
# parameter: X_VIRTUAL line "" Size of the whole desktop for X11, such as 800 600
# ltsp: xorg_conf_main
# shellcheck shell=dash disable=SC2154

# left_out NAME: X would not start at all with a value of another form.
left_out() {
    words=''
    say "$1 is left out: X would not start with this value"
}

if [ -z "$X_DRIVER$X_HORIZSYNC$X_MODELINE$X_MODES$X_PREFERREDMODE$X_VERTREFRESH$X_VIRTUAL" ]; then return 0; fi
if lacks 'X_*' 'X_x is left out'; then return 0; fi

# Quotes may be written or not.
split "$X_DRIVER" '"'
case "$words" in *[!A-Za-z0-9_-]*) left_out X_DRIVER ;; esac
if [ -n "$words" ] && [ ! -e "$new/usr/lib/xorg/modules/drivers/${words}_drv.so" ] &&
    [ ! -e "$new/usr/lib64/xorg/modules/drivers/${words}_drv.so" ]; then
    say "X_DRIVER is left out: this image has no driver $words for X"
    words=''
fi
device="${words:+
    Driver \"$words\"}"

split "$X_HORIZSYNC" '"'
case "$words" in *[!0-9.,\ -]* | [!0-9]*) left_out X_HORIZSYNC ;; esac
monitor="${words:+
    HorizSync $words}"
split "$X_VERTREFRESH" '"'
case "$words" in *[!0-9.,\ -]* | [!0-9]*) left_out X_VERTREFRESH ;; esac
monitor="$monitor${words:+
    VertRefresh $words}"
split "$X_PREFERREDMODE" '"'
case "$words" in *[!A-Za-z0-9._-]*) left_out X_PREFERREDMODE ;; esac
monitor="$monitor${words:+
    Option \"PreferredMode\" \"$words\"}"
split "$X_MODELINE" '"'
if [ -n "$words" ]; then
    echo "$words" | grep -Eqx '[A-Za-z0-9._-]+ [0-9.]+( [0-9]+){8}( [A-Za-z0-9+-]+)*' || left_out X_MODELINE
    monitor="$monitor${words:+
    Modeline \"${words%% *}\" ${words#* }}"
fi

split "$X_VIRTUAL" '"'
case "$words" in
    *[!0-9\ ]* | *' '*' '*) left_out X_VIRTUAL ;;
    '' | *' '*) ;;
    *) left_out X_VIRTUAL ;;
esac
display="${words:+
        Virtual $words}"
split "$X_MODES" '"'
case "$words" in *[!A-Za-z0-9._\ -]*) left_out X_MODES ;; esac
if [ -n "$words" ]; then
    display="$display
        Modes"
    for each in $words; do display="$display \"$each\""; done
fi

[ -n "$device$monitor$display" ] || return 0
write "$new/etc/X11/xorg.conf" "Section \"Device\"
    Identifier \"Card\"$device
EndSection
Section \"Monitor\"
    Identifier \"Monitor\"$monitor
EndSection
Section \"Screen\"
    Identifier \"Screen\"
    Device \"Card\"
    Monitor \"Monitor\"
    SubSection \"Display\"$display
    EndSubSection
EndSection"
