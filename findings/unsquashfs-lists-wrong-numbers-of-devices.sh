#!/bin/sh
# squashfs-tools 4.5.1 (Debian 12): `unsquashfs -lln` shows wrong numbers for devices whose minor is above 255.
#
# The image is right, and what is unpacked is right. Only the listing takes the number apart as if minors had
# eight bits: block device 259:300, as a machine with many NVMe partitions has it, is listed as 4355, 44. So a
# listing can't be compared with the tree that an image was made from.
#
# Seen on Debian 12, 2026-11-29 (as root, because of mknod):
#   listed   both 61740,160
#   listed   high 4355,44
#   listed   low 8,1
#   unpacked both 300,4000
#   unpacked high 259,300
#   unpacked low 8,1
set -eu
[ "$(id -u)" = 0 ] || {
    echo "this needs root"
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download squashfs-tools=1:4.5.1-1 >/dev/null 2>&1
dpkg-deb -x squashfs-tools_*.deb .
mkdir tree
mknod tree/both b 300 4000
mknod tree/high b 259 300
mknod tree/low b 8 1
usr/bin/mksquashfs tree tree.sqfs -quiet -no-progress >/dev/null
{
    usr/bin/unsquashfs -lln tree.sqfs | sed -n 's|^b[^ ]* [^ ]* *\([0-9]*\), *\([0-9]*\) .*/\(.*\)|listed   \3 \1,\2|p'
    usr/bin/unsquashfs -quiet -no-progress -dest back tree.sqfs >/dev/null
    stat --format='unpacked %n %Hr,%Lr' back/* | sed 's|back/||'
} | tee seen
cat >expected <<'END'
listed   both 61740,160
listed   high 4355,44
listed   low 8,1
unpacked both 300,4000
unpacked high 259,300
unpacked low 8,1
END
diff -u expected seen && echo "as stated above"
