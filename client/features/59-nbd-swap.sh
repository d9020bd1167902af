# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# Swap on the server by NBD (NBD_SWAP), encrypted by a key that nobody knows.

# $ltsp/swap is there if the server has swap for some client. In a trial there is no server.
if [ ! -s "$ltsp/swap" ] || [ "$trial" = 1 ] || is_masked ltsp-nbd-swap.service; then return 0; fi
read -r swap_port swap_digest swap_size <"$ltsp/swap"
swap_size=${NBD_SWAP:-$swap_size}
case "$swap_size" in 0 | '' | *[!0-9MG]*) return 0 ;; esac
want ltsp-nbd-swap.service
{
    keep server "$server"
    keep base "$base"
    keep port "$swap_port"
    keep digest "$swap_digest"
    keep size "$swap_size"
    echo "store=$store busybox=$store/busybox"
    scripts live/swap
} >"$store/swap"
# It is not stopped at shutdown, when memory may be full. What it leaves behind keeps the connection.
write "$run/systemd/system/ltsp-nbd-swap.service" "[Unit]
Description=Swap on the network boot server
DefaultDependencies=no
After=systemd-udevd.service
StartLimitIntervalSec=0
[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
ExecStart=$store/busybox sh $store/swap
Restart=on-failure
RestartPreventExitStatus=3
RestartSec=60"
