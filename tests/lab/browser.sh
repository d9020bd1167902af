#!/bin/sh
# Chromium of a root tree, in a network namespace, with the pipes that it is driven by:
#   browser.sh NETNS TREE DIRECTORY CHROMIUM-ARGUMENT…
# The writable layer is in DIRECTORY. Its mounts and processes end with it, however that ends.
set -eu
if [ "$1" != inside ]; then
    netns=$1
    shift
    exec ip netns exec "$netns" unshare --mount --pid --fork --kill-child --propagation=private -- "$0" inside "$@"
fi
tree=$2 directory=$3
shift 3
root=$directory/root
mkdir -p "$root" "$directory/upper" "$directory/work"
mount -t overlay -o "lowerdir=$tree,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
# Its profile is in a folder that whoever drives it has made.
mkdir -p "$root$TMPDIR"
mount --bind "$TMPDIR" "$root$TMPDIR"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$TMPDIR" TMPDIR="$TMPDIR" LC_ALL=C.UTF-8 TZ=UTC \
    chroot "$root" /usr/bin/chromium "$@"
