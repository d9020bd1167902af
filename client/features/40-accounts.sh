# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154,SC1091
# The server's accounts beside those of the image, so that people can log in.

. "$ltsp/client/live/accounts.sh"
if [ -s "$ltsp/accounts" ] && [ -f "$new/etc/passwd" ] && [ -f "$new/etc/group" ]; then
    bring_accounts "$new/etc" "$ltsp/accounts" "$store/login"
fi
