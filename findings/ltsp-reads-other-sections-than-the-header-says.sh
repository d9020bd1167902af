#!/bin/sh
# LTSP 23.02 (Debian 12) makes a shell function of each section of ltsp.conf. The function's name is the header with `_`
# for every letter that a name can't have, and a `case` calls it for the machines that fit.
#
# So [pc*] and [pc?] are one function: its lines are those of the section that comes last, and a machine that fits only
# the first one gets them. And the `case` compares with "APPLET/NAME" of the moment as well, so [i*] fits every client
# while `init` runs, whatever it is called. Nothing is said of either.
#
# Seen on Debian 12, 2026-11-30, at `init`, with [pc*], [pc?] and [i*] in the file:
#   pc12: SECTION=one-letter LIKE_I=yes
#   pc1: SECTION=one-letter LIKE_I=yes
#   lab: SECTION= LIKE_I=yes
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download ltsp=23.02-1+deb12u1 dash=0.5.12-2 mawk=1.3.4.20200120-3.1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb -x "$package" .; done
cat >ltsp.conf <<'END'
[clients]
A=1
[pc*]
SECTION=any-letters
[pc?]
SECTION=one-letter
[i*]
LIKE_I=yes
END

# LTSP's own reader, as `ltsp init` calls it.
# shellcheck disable=SC2016
read='
. "$LTSP_DIR/ltsp"
_APPLET=init
eval_ini "$1"
echo "$HOSTNAME: SECTION=${SECTION:-} LIKE_I=${LIKE_I:-}"
'
mkdir programs
ln -s "$work/usr/bin/mawk" programs/awk
for name in pc12 pc1 lab; do
    env -i PATH="$work/programs:$work/bin:/usr/sbin:/usr/bin:/sbin:/bin" LTSP_DIR="$work/usr/share/ltsp" \
        MAC_ADDRESS=52:54:00:00:00:01 IP_ADDRESS=192.168.67.20 HOSTNAME=$name \
        bin/dash -c "$read" sh "$work/ltsp.conf" 2>/dev/null
done >seen
cat seen
cat >expected <<'END'
pc12: SECTION=one-letter LIKE_I=yes
pc1: SECTION=one-letter LIKE_I=yes
lab: SECTION= LIKE_I=yes
END
diff -u expected seen && echo "as stated above"
