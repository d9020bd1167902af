# needs: LTSP_API 1
# ltsp: snap_main
# shellcheck shell=dash disable=SC2154
# Snaps stay as the image has them. snapd would fetch newer ones at each boot, on each client, and fill the RAM that
# changes are in.

if [ ! -e "$new/usr/bin/snap" ] || [ "$trial" = 1 ] || is_masked ltsp-snap.service; then return 0; fi
# snapd before 2.58 knows no "forever", but a date.
write "$store/snap" "/usr/bin/snap set system refresh.hold=forever 2>/dev/null && exit
now=\$(date +%s)
exec /usr/bin/snap set system refresh.hold=\"\$(date -u -d @\$((now + 60 * 86400)) +%Y-%m-%dT%H:%M:%SZ)\""
write "$run/systemd/system/ltsp-snap.service" "[Unit]
Description=Leave snaps as the image has them
After=snapd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-$store/busybox sh $store/snap"
# It is of use only while snapd runs, which starts when something asks for it.
mkdir -p "$run/systemd/system/snapd.service.wants"
ln -s ../ltsp-snap.service "$run/systemd/system/snapd.service.wants/ltsp-snap.service"
