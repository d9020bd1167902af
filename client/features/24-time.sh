# needs: LTSP_API 1
# wants: NTP_SERVER /usr/lib/systemd/timesyncd.conf|/etc/systemd/timesyncd.conf|/etc/chrony/chrony.conf|/etc/chrony.conf|/etc/ntpsec/ntp.conf|/etc/openntpd/ntpd.conf chrony|chrony|chrony program that keeps the time
# parameter: NTP_SERVER line "" Time servers of clients, the first one first; empty: the server, then those of the image
# shellcheck shell=dash disable=SC2154
# The time. A wrong clock breaks certificates, and one that runs in local time is hours off, because the image does not
# know that of each machine. So a client begins with the server's time; then the image's own program keeps it.

# In a trial there is no other machine.
if [ "$trial" = 1 ]; then return 0; fi
if ! take_time; then
    say "the server does not tell the time, so the clock stays as it is"
elif [ "$slow" != 0 ]; then
    say "the clock was wrong, and has the server's time now: $slow s were added"
fi

split "$NTP_SERVER" ,
case "$words" in
    *[!A-Za-z0-9.:\ _-]*)
        say "NTP_SERVER is left out: it is no list of host names and addresses"
        words=''
        ;;
esac
# systemd-timesyncd tries them one after the other. It forgets those that it was built with as soon as anybody names one;
# its file of settings has them as a comment.
file=''
for each in "$new/usr/lib/systemd/timesyncd.conf" "$new/etc/systemd/timesyncd.conf"; do
    [ ! -e "$each" ] || file=$each
done
gone=tos
if [ -n "$words" ]; then
    lacks NTP_SERVER || :
    gone='tos|servers?|pool|peer|constraints?'
    servers="
NTP=$words"
else
    words=$server
    servers=''
    [ -z "$file" ] || servers=$(sed -n 's/^#* *FallbackNTP=//p' "$file")
    # The last line counts.
    servers="$server ${servers##*
}"
fi
[ -z "$file" ] || write "$run/systemd/timesyncd.conf.d/ltsp.conf" "[Time]
NTP=$servers"
# chrony has them beside its own: Debian's and Fedora's files of settings name this directory.
if [ -d "$new/etc/chrony" ] || [ -f "$new/etc/chrony.conf" ]; then
    write "$run/chrony-dhcp/ltsp.sources" "$(for each in $words; do echo "server $each iburst"; done)"
fi
# These two have nothing beside their files. They would wait for several servers to agree, or for answers of the internet.
for file in etc/ntpsec/ntp.conf etc/openntpd/ntpd.conf; do
    [ -f "$new/$file" ] || continue
    write "$new/$file" "$(
        sed -E "/^[[:space:]]*($gone)[[:space:]]/d" "$new/$file"
        for each in $words; do
            case "$file" in */ntp.conf) echo "server $each iburst" ;; *) echo "server $each" ;; esac
        done
    )"
done
