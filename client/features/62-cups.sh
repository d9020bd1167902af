# needs: LTSP_API 1
# wants: CUPS_SERVER /etc/cups|/usr/lib/*/libcups.so.2|/usr/lib64/libcups.so.2|/usr/lib/libcups.so.2 cups-client|cups-client|libcups client of CUPS
# parameter: CUPS_SERVER line "" Where clients print: the address of a CUPS server, localhost, or ignore (as the image has it); empty: SERVER
# ltsp: config_cups_server
# shellcheck shell=dash disable=SC2154
# Printing: programs talk to the server's CUPS, so printers are set up there alone.

if [ "$CUPS_SERVER" = ignore ]; then return 0; fi
# Programs print by a library, which reads this file also where the image has no CUPS, and so not its directory.
# CUPS answers only to names that it knows, and to addresses.
named=$SERVER
is_ipv4 "$named" || named=''
printing=${CUPS_SERVER:-${named:-$server}}
case "$printing" in
    *[!][A-Za-z0-9.:/=_-]*)
        say "CUPS_SERVER is left out: it is neither the address of a server nor localhost nor ignore"
        return 0
        ;;
esac
write "$new/etc/cups/client.conf" "ServerName $printing"
[ "$printing" != localhost ] || return 0
# A CUPS of the client's own would only take memory.
split "$KEEP_SYSTEM_SERVICES"
for each in cups.service cups.socket cups.path cups-browsed.service; do
    case " $words " in
        *" $each "* | *" ${each%.*} "*) ;;
        *) : >"$run/systemd/system.control/$each" ;;
    esac
done
