# needs: LTSP_API 1
# live
# parameter: END_SESSIONS bool "0" End the sessions of people whose account is removed or closed
# shellcheck shell=dash disable=SC2154,SC2116,SC2086
# The running system takes the server's accounts and orders when they change, without a restart.

# In a trial there is no other machine. Without the server's key nothing could be trusted.
if [ "$trial" = 1 ] || is_masked ltsp-live.service || [ ! -e "$ltsp/login/allowed_signers" ]; then return 0; fi
want ltsp-live.service
(umask 077 && mkdir -p "$store/news")
[ -d "$store/login" ] || mkdir "$store/login"
cp "$ltsp/login/allowed_signers" "$store/login/allowed_signers"
# What is in force at the boot.
[ ! -e "$ltsp/accounts" ] || cp "$ltsp/accounts" "$store/news/accounts"
[ ! -e "$ltsp/settings" ] || { cp "$ltsp/settings" "$store/news/settings" && cp "$ltsp/settings" "$store/news/booted"; }
# The features that can be run again, and their settings.
mkdir "$store/news/features"
live_settings=''
for each in "$ltsp"/client/features/*.sh; do
    grep -qx '# live' "$each" || continue
    live_settings="$live_settings $(sed -n 's/^# parameter: \([^ ]*\) .*/\1/p' "$each")"
    case "$each" in */85-live.sh) ;; *) cp "$each" "$store/news/features/" ;; esac
done

{
    keep_report
    keep given_name "$given_name"
    keep search "$search"
    keep trial ''
    # Names of settings only.
    echo "live_settings='$(echo $live_settings)'"
    keep END_SESSIONS "$END_SESSIONS"
    echo "store=$store busybox=$store/busybox"
    for each in boot/text boot/features boot/report live/accounts live/settings live/orders live/live; do cat "$ltsp/client/$each.sh"; done
} >"$store/live"
write "$run/systemd/system/ltsp-live.service" "[Unit]
Description=Take accounts and orders from the network boot server while this client runs
After=multi-user.target graphical.target
[Service]
ExecStart=$store/busybox sh $store/live
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
ExecStop=-$store/busybox sh $store/live gone %i"
