#!/bin/sh
# Called by udhcpc: keep the offered address in the form of the kernel's ip= parameter, for configure in net.sh.
# shellcheck disable=SC2154  # the variables come from udhcpc
[ "$1" = bound ] || exit 0
lease="$ip:${siaddr:-$serverid}:${router%% *}:$subnet:$hostname::off"
# shellcheck disable=SC2086  # addresses, with spaces between
set -- $dns
echo "$lease:${1-}:${2-}" >/run/ltsp-lease
