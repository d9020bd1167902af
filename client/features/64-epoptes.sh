# needs: LTSP_API 1
# parameter: IGNORE_EPOPTES bool "0" Clients keep the certificate of Epoptes that their image has, and don't get the server's
# ltsp: config_epoptes
# shellcheck shell=dash disable=SC2154
# Epoptes, where the server and the image have it: clients know the server by its certificate.

if [ "$IGNORE_EPOPTES" = 1 ] || [ ! -s "$ltsp/epoptes.crt" ] || [ ! -e "$new/usr/sbin/epoptes-client" ]; then return 0; fi
if [ -L "$new/etc/epoptes/server.crt" ]; then rm "$new/etc/epoptes/server.crt"; fi
mkdir -p "$new/etc/epoptes" "$store/client"
cp "$ltsp/epoptes.crt" "$new/etc/epoptes/server.crt"
# epoptes-client knows by this directory that it is on a client that was booted from the network. On one whose image has
# the server's part of Epoptes as well, it would not start otherwise.
[ -e "$run/ltsp" ] || ln -s "${store#"$run/"}" "$run/ltsp"
