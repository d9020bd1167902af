# needs: LTSP_API 1
# parameter: ZRAM_SIZE line "50%" Most that is swapped out to compressed RAM, as 1G or part of the RAM; 0: nothing
# shellcheck shell=dash disable=SC2154
# Swap in compressed RAM, which comes before all other swap: a client that is short of memory gets slower before it has none.

# A trial has enough. An image may have a program for it, which knows what it wants.
if [ "$trial" = 1 ] || is_masked ltsp-zram.service; then return 0; fi
for each in etc/systemd/zram-generator.conf usr/lib/systemd/zram-generator.conf usr/lib/systemd/system/zramswap.service; do
    if [ -e "$new/$each" ]; then return 0; fi
done
if [ "${ZRAM_SIZE:=50%}" = 0 ]; then return 0; fi
if ! is_amount "$ZRAM_SIZE"; then
    say "ZRAM_SIZE is left out: it is neither a size such as 1G nor a part such as 50%"
    return 0
fi
want_later ltsp-zram.service
{
    keep busybox "$store/busybox"
    echo "size=$ZRAM_SIZE"
    scripts live/zram
} >"$store/zram"
write "$run/systemd/system/ltsp-zram.service" "[Unit]
Description=Swap in compressed memory
After=multi-user.target graphical.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$store/busybox sh $store/zram"
