# needs: LTSP_API 1
# wants: LANG @locale:{} -|glibc-all-langpacks|- such language (/etc/locale.gen, or a langpack)
# wants: TIMEZONE /usr/share/zoneinfo/{} tzdata|tzdata|tzdata such time zone (Debian and Ubuntu have old names in tzdata-legacy)
# parameter: LANG line "" Language of clients, such as de_DE.UTF-8; the image must have this locale
# parameter: LANGUAGE line "" Languages of texts, the first one first, such as de_AT:de:en
# parameter: TIMEZONE line "" Time zone of clients, such as Europe/Berlin
# ltsp: config_locale
# shellcheck shell=dash disable=SC2154
# Language and time zone, where clients have others than their image.

case "$TIMEZONE" in
    '') ;;
    /* | *[!A-Za-z0-9/_+-]*) say "TIMEZONE is left out: it is not the name of a time zone" ;;
    *)
        if [ -f "$new/usr/share/zoneinfo/$TIMEZONE" ]; then
            ln -sfn "../usr/share/zoneinfo/$TIMEZONE" "$new/etc/localtime"
            [ ! -e "$new/etc/timezone" ] || write "$new/etc/timezone" "$TIMEZONE"
        else
            say "TIMEZONE=$TIMEZONE is left out: this image has no such zone (package tzdata, tzdata-legacy)"
        fi
        ;;
esac

[ -n "$LANG$LANGUAGE" ] || return 0
case "$LANG$LANGUAGE" in
    *[!A-Za-z0-9._@:-]*)
        say "LANG and LANGUAGE are left out: only letters, digits and . _ - @ : may be in them"
        return 0
        ;;
esac
# As locales are called on disk: a directory, or a name near the beginning of the archive.
case "$LANG" in
    *.UTF-8 | *.utf8) name=${LANG%.*}.utf8 ;;
    *) name=$(echo "$LANG" | awk -F. '{ code = tolower($2); gsub(/-/, "", code); print $1 (code == "" ? "" : "." code) }') ;;
esac
case "$name" in
    '' | C | C.utf8 | POSIX) ;;
    *)
        archive=$new/usr/lib/locale/locale-archive
        if [ ! -d "$new/usr/lib/locale/$name" ] &&
            { [ ! -e "$archive" ] || ! head -c 1000000 "$archive" | tr '\0' '\n' | grep -qxF "$name"; }; then
            say "LANG=$LANG: this image has no such locale, so programs speak English (/etc/locale.gen, or a langpack)"
        fi
        ;;
esac
# The image's choice of single formats (LC_TIME …) was made for its own language.
lines=$LANG
[ -n "$lines" ] || lines=$(sed -n 's/^LANG=//p' "$new/etc/default/locale" "$new/etc/locale.conf" 2>/dev/null | head -n 1)
lines="${lines:+LANG=$lines}${LANGUAGE:+
LANGUAGE=$LANGUAGE}"
# systemd's file, and that of Debian's PAM.
write "$new/etc/locale.conf" "${lines#
}"
[ ! -d "$new/etc/default" ] || write "$new/etc/default/locale" "${lines#
}"
