# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# Warn people and the server before the RAM for changes in the root (ROOT_SIZE) is full, because then programs fail in
# strange ways.

if [ "$trial" = 1 ] || is_masked ltsp-space.service; then return 0; fi
want ltsp-space.service
{
    echo "store=$store busybox=$store/busybox"
    scripts live/orders live/space
} >"$store/space"
write "$run/systemd/system/ltsp-space.service" "[Unit]
Description=Warn before the memory for changes is full
After=multi-user.target graphical.target
[Service]
ExecStart=$store/busybox sh $store/space
Restart=on-failure
RestartSec=60"
