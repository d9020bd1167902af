#!/bin/sh
# dh-python 5.20230130+deb12u1 (Debian 12): dh_python3 renames each *.so of a package, wherever it lies.
#
# It gives a name without a tag the tag of the building machine's Python, also to a file below /usr/share that is no
# module of Python, and also to a library for another kind of processor. A package with Python code and, say, a PAM
# module then has that under a name that nobody looks for. `dh_python3 --no-ext-rename` leaves names alone.
#
# Seen on Debian 12, 2026-11-29 (amd64):
#   usual: arm64.cpython-311-x86_64-linux-gnu.so pam_thing.cpython-311-x86_64-linux-gnu.so
#   --no-ext-rename: arm64.so pam_thing.so
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download dh-python=5.20230130+deb12u1 >/dev/null 2>&1
dpkg-deb -x dh-python_*.deb tool
mkdir debian
cat >debian/control <<'END'
Source: thing
Section: misc
Priority: optional
Maintainer: A Person <person@example.org>
Build-Depends: debhelper-compat (= 13), dh-python, python3

Package: thing
Architecture: any
Depends: ${misc:Depends}, ${python3:Depends}
Description: a thing
 It has two libraries that are no modules of Python.
END
for option in '' --no-ext-rename; do
    place=debian/thing/usr/share/thing
    rm -rf debian/thing
    mkdir -p "$place"
    printf 'int answer(void) { return 42; }\n' | gcc -shared -fPIC -x c -o "$place/pam_thing.so" -
    # The same with another kind of processor in the header of the file: 183 is AArch64 (elf.h).
    cp "$place/pam_thing.so" "$place/arm64.so"
    printf '\267\0' | dd of="$place/arm64.so" bs=1 seek=18 conv=notrunc status=none
    PYTHONPATH=tool/usr/share/dh-python tool/usr/share/dh-python/dh_python3 -p thing $option 2>/dev/null
    echo "${option:-usual}: $(cd "$place" && echo *)"
done | tee seen
cat >expected <<'END'
usual: arm64.cpython-311-x86_64-linux-gnu.so pam_thing.cpython-311-x86_64-linux-gnu.so
--no-ext-rename: arm64.so pam_thing.so
END
diff -u expected seen && echo "as stated above"
