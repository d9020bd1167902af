#!/bin/sh
# iPXE 1.0.0+git-20190125 (Debian 12's card ROM for QEMU): what a script line means is decided before its settings
# are filled in, and what was filled in is filled in once more.
#
# `||` and `#` count as operator and comment only as the start of a word as written: `set a ${empty}||` sets the two
# characters, `set a ||` sets nothing. There is no quoting, so text from elsewhere can be kept from being an operator
# by an empty setting before it, and can't be kept from being a setting: ${${name}} gives the value of the setting
# whose name is in `name`, and pieces that only together spell ${...} are a setting, too. None of it is an error.
#
# Seen with QEMU 7.2 on Debian 12, 2026-11-29:
#   bars after an empty setting: [||]
#   bars alone: []
#   a#b: [a#b]
#   a #b: [a]
#   a name in a setting: [nfs]
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download ipxe-qemu=1.0.0+git-20190125.36a4c85-5.1 >/dev/null 2>&1
dpkg-deb -x ipxe-qemu_*.deb .
command -v qemu-system-x86_64 >/dev/null || {
    echo "this needs qemu-system-x86 and seabios"
    exit 1
}
cat >script.ipxe <<'END'
#!ipxe
set first ${empty}||
echo SEEN bars after an empty setting: [${first}]
set second ||
echo SEEN bars alone: [${second}]
set third a#b
echo SEEN a#b: [${third}]
set fourth a #b
set text SEEN a
echo ${text} ${empty}#b: [${fourth}]
set root nfs
set name root
echo SEEN a name in a setting: [${${name}}]
poweroff
END
# The card's network is QEMU's own, inside its process: nothing leaves it.
timeout 120 qemu-system-x86_64 -L "$work/usr/lib/ipxe/qemu" -accel tcg -m 64 -nographic -no-reboot -boot n \
    -netdev "user,id=n0,tftp=$work,bootfile=script.ipxe,restrict=on" \
    -device virtio-net-pci,netdev=n0 </dev/null >console 2>&1 &
machine=$!
for _ in $(seq 60); do
    grep -aq 'name in a setting' console && break
    sleep 1
done
sleep 1
kill "$machine" 2>/dev/null || true
wait "$machine" 2>/dev/null || true
tr -d '\r' <console | grep -aoE 'SEEN .*\]' | sed 's/^SEEN //' >seen
cat seen
cat >expected <<'END'
bars after an empty setting: [||]
bars alone: []
a#b: [a#b]
a #b: [a]
a name in a setting: [nfs]
END
diff -u expected seen && echo "as stated above"
