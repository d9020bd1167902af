#!/bin/sh
# `read` of dash and of busybox's sh gets the first digit of an integer below /proc/sys, and no error.
#
# Both read a byte at a time, so that nothing behind the line is lost. The kernel gives an integer of a sysctl only to a read
# at the file's beginning (proc_dointvec), so the second byte is the file's end. Strings (kernel/hostname), several integers in
# one file and everything else in /proc are whole, and bash reads by larger pieces: the same line works there.
#
# Seen with dash 0.5.12 and busybox 1.35.0 on Linux 6.18, 2026-11-30, for kernel/pid_max = 32768:
#   dash: 3
#   busybox: 3
#   bash: 32768
#   cat: 32768
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download dash=0.5.12-2 busybox-static=1:1.35.0-4+deb12u1+b1 bash=5.2.15-2+b13 >/dev/null 2>&1
for each in *.deb; do dpkg-deb -x "$each" .; done
file=/proc/sys/kernel/pid_max
whole=$(cat "$file")
[ "${#whole}" -gt 1 ] || { echo "this machine's $file has one digit"; exit 1; }
line="read -r value <$file; echo \"\$value\""
dash=$(./bin/dash -c "$line")
busybox=$("$(find . -path '*bin/busybox' | head -n 1)" sh -c "$line")
bash=$(./bin/bash -c "$line")
echo "dash: $dash"
echo "busybox: $busybox"
echo "bash: $bash"
echo "cat: $whole"
first=${whole%"${whole#?}"}
if [ "$dash" != "$first" ] || [ "$busybox" != "$first" ] || [ "$bash" != "$whole" ]; then
    echo "changed"
    exit 1
fi
echo "as described"
