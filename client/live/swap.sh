# shellcheck shell=dash disable=SC2154
# Swap on the server, by NBD: what ltsp-nbd-swap.service runs in the booted system. features/59-nbd-swap.sh puts
# `server`, `base`, `port`, `digest`, `size`, `store` and `busybox` before this.

PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "<4>No swap on the server: $*" >&2
    exit 1
}

program=$store/nbd-client
"$busybox" timeout 30 "$busybox" wget -q -O "$program" "$base/nbd-client" || fail "$base/nbd-client can't be fetched."
# It comes unsigned, but what it must be has come with the settings.
[ "$("$busybox" sha256sum <"$program")" = "$digest  -" ] || fail "$base/nbd-client is not what this client has booted for."
"$busybox" chmod 755 "$program"
modprobe -a -q nbd dm_mod dm_crypt || {
    # The next try would not find them either: the unit is told so by this status.
    echo "<4>No swap on the server: the kernel of this image has no nbd or no dm_crypt." >&2
    exit 3
}
for place in /sys/block/nbd*; do
    # The root's layers have theirs.
    if [ -e "$place/pid" ] || [ "$(cat "$place/size")" != 0 ]; then continue; fi
    device=$("$program" "$server" "$port" "/dev/${place##*/}" -W "swap-$size" 2>&1) || fail "$device"
    "$busybox" mkswap "$device" >/dev/null || fail "nothing can be written to $device."
    "$busybox" swapon "$device" || fail "$device can't be used."
    exit 0
done
fail "all devices of nbd are in use."
