# shellcheck shell=dash disable=SC2154
# Swap in compressed RAM: what ltsp-zram.service runs in the booted system. features/56-zram.sh puts `size` and `busybox`
# before this.

# By their paths: busybox has applets of these names, which know less.
if ! /sbin/modprobe -q zram; then
    echo "<5>No swap in compressed memory: the kernel of this image has no zram."
    exit 0
fi
# Its first line tells all of the RAM.
read -r _ kibibytes _ </proc/meminfo
case "$size" in *%) size=$((kibibytes * ${size%?} / 100))K ;; esac
# Loading the module makes the first one, which may be somebody else's by now.
number=0
read -r taken </sys/block/zram0/disksize
if [ "$taken" != 0 ]; then read -r number </sys/class/zram-control/hot_add; fi
echo "$size" >"/sys/block/zram$number/disksize" && "$busybox" mkswap "/dev/zram$number" >/dev/null &&
    /sbin/swapon -p 100 "/dev/zram$number"
