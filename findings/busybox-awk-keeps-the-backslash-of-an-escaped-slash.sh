#!/bin/sh
# busybox awk 1.35.0 (Debian 12): within brackets of a regular expression between slashes, `\/` stands for two
# characters, the backslash and the slash. mawk 1.3.4 and the one true awk (2022-09-12) take it for the slash alone.
#
# So /^[^\/:]+$/ ("no slash, no colon") fits SCHOOL\bob with the others and not with busybox, without any message:
# a script that was tried on a workstation drops Windows domain names in an initrd. A string ("^[^/:]+$") is the same
# for all of them.
#
# Seen on Debian 12, 2026-11-29, of the input SCHOOL\bob:
#   busybox awk: between slashes no, in a string yes
#   original-awk: between slashes yes, in a string yes
#   mawk: between slashes yes, in a string yes
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download busybox-static=1:1.35.0-4+deb12u1+b1 original-awk=2022-09-12-1 \
    mawk=1.3.4.20200120-3.1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb -x "$package" .; done
printf 'SCHOOL\\bob\n' >input

try() {
    name=$1
    shift
    # shellcheck disable=SC1003,SC2016  # all of it is awk's
    slashes=$("$@" '{ print ($0 ~ /^[^\/:]+$/) ? "yes" : "no" }' input)
    # shellcheck disable=SC2016
    string=$("$@" '{ print ($0 ~ "^[^/:]+$") ? "yes" : "no" }' input)
    printf '%s: between slashes %s, in a string %s\n' "$name" "$slashes" "$string"
}
{
    try "busybox awk" bin/busybox awk
    try original-awk usr/bin/original-awk
    try mawk usr/bin/mawk
} >seen
cat seen
cat >expected <<'END'
busybox awk: between slashes no, in a string yes
original-awk: between slashes yes, in a string yes
mawk: between slashes yes, in a string yes
END
diff -u expected seen && echo "as stated above"
