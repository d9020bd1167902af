# needs: LTSP_API 1
# live
# parameter: END_SESSIONS bool "0" End the sessions of people whose account is removed or closed
# shellcheck shell=dash disable=SC2154
# The running system takes the server's accounts and orders when they change, without a restart.

# In a trial there is no other machine. Without the server's key nothing could be trusted.
if [ "$trial" = 1 ] || is_masked ltsp-live.service || [ ! -e "$ltsp/login/allowed_signers" ]; then return 0; fi
want ltsp-live.service
mkdir -m 700 "$store/news"
# What is in force at the boot, by what news are known, and the features that can be run again.
set -- "$ltsp/login/allowed_signers"
for each in "$ltsp/accounts" "$ltsp/settings"; do
    [ ! -e "$each" ] || set -- "$@" "$each"
done
for each in $live_features; do
    case "$each" in 85-live) ;; *) set -- "$@" "$ltsp/client/features/$each.sh" ;; esac
done
cp "$@" "$store/news"

{
    keep_report
    keep given_name "$given_name"
    keep search "$search"
    keep trial ''
    # Names of settings only.
    echo "live_settings='$live_settings'"
    keep END_SESSIONS "$END_SESSIONS"
    echo "store=$store busybox=$store/busybox"
    scripts boot/text boot/features boot/report live/accounts live/settings live/orders live/live
} >"$store/news/live"
write "$run/systemd/system/ltsp-live.service" "[Unit]
Description=Take accounts and orders from the network boot server while this client runs
After=multi-user.target graphical.target
[Service]
ExecStart=$store/busybox sh $store/news/live
Restart=on-failure
RestartSec=30"
# It stops when the sessions of a person end, but after them, and removes the account then.
write "$run/systemd/system/ltsp-gone@.service" "[Unit]
Description=Remove the account of user %i, which the server has no more, after the last session
PartOf=user@%i.service
Before=user@%i.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$store/busybox true
ExecStop=-$store/busybox sh $store/news/live gone %i"
