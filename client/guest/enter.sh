#!/bin/sh
# shellcheck shell=dash
# enter.sh DIRECTORY: mount the client's root there. The hooks of the distribution's initrd call it. Our programs and
# modules are in a directory of their own, so that the distribution's stay as they are.

# dracut's hooks write to the journal, but our lines are for people.
exec </dev/console >/dev/console 2>&1
root=$1
home=/ltspd
box=$home/bin/busybox

# Both sides must see the mounts below /run, because systemd looks for them there at shutdown.
"$box" mount --make-shared /run
for each in dev proc sys run ltsp; do
    "$box" mkdir -p "$home/$each"
    "$box" mount -o bind "/$each" "$home/$each" || exit 1
done
# The kernel looks for firmware in the root of the first process.
firmware=/sys/module/firmware_class/parameters/path
"$box" printf %s "$home/lib/firmware" >"$firmware"
"$box" chroot "$home" /init || exit 1
"$box" printf '\n' >"$firmware"
"$box" mount -o rbind "$home/sysroot" "$root" || exit 1
# From here on, an unmount on this side must not reach the other side.
"$box" mount --make-rprivate "$home/run"
"$box" mount --make-rprivate "$home/sysroot"
for each in sysroot ltsp run sys proc dev; do
    "$box" umount -l "$home/$each"
done
