#!/bin/sh
# squashfs-tools 4.5.1 (Debian 12): with `-sort FILE`, files that a pseudo definition makes by a command are empty.
#
# `-pf` with "NAME f MODE UID GID COMMAND" puts what a command prints into the image. With an order of files (`-sort`),
# whatever that names, mksquashfs reads all files by their paths, and there is none for such a file: the image has it
# with no content, and mksquashfs says so only on standard error, and ends with 0.
#
# Seen on Debian 12, 2026-11-30:
#   without an order: made by a command
#   with an order, status 0:
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download squashfs-tools=1:4.5.1-1 >/dev/null 2>&1
dpkg-deb -x squashfs-tools_*.deb .
mkdir tree
echo real >tree/real
echo 'made f 644 0 0 echo made by a command' >pseudo
echo 'real 1' >order
{
    usr/bin/mksquashfs tree without -quiet -no-progress -pf pseudo >/dev/null
    echo "without an order: $(usr/bin/unsquashfs -cat without made)"
    status=0
    usr/bin/mksquashfs tree with -quiet -no-progress -pf pseudo -sort order >/dev/null 2>&1 || status=$?
    echo "with an order, status $status: $(usr/bin/unsquashfs -cat with made)"
} | sed 's/ *$//' | tee seen
cat >expected <<'END'
without an order: made by a command
with an order, status 0:
END
diff -u expected seen && echo "as stated above"
