# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# Memory that the kernel keeps free. Where it makes huge pages by itself, as distributions have it, it keeps up to 66 MB of
# any machine free for them, and counts half as much again as not available: a tenth of a client with 1 GB. Programs get that
# here. What cards and a root by network take at once, when they can't wait, is a hundredth of the RAM at most.
# Larger machines have enough of both, and a file of the image in /etc/sysctl.d/ with a later name counts more.

free=$((memory / 100))
if [ "$free" -lt 8192 ]; then free=8192; fi
if [ "$free" -ge 67584 ]; then return 0; fi
write "$run/sysctl.d/50-ltsp-memory.conf" "vm.min_free_kbytes=$free"
