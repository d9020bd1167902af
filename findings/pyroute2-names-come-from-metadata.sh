#!/bin/sh
# pyroute2 0.7.2 (Debian 12's version) finds its own classes through the entry points of its installed metadata.
#
# A copy of the package's directory alone (vendored, in a zip, put beside a program, as is usual for pure Python
# packages) imports without an error, but is empty: `from pyroute2 import IPRoute` fails, and `pyroute2.__all__` is [].
# The other way round, `import pyroute2` loads every module of the package and of any other distribution that registers
# an entry point in the group "pyroute2". 0.9.7 names its classes in its own code: its copy works.
#
# Seen with Python 3.11.2 on Debian 12, 2026-11-29:
#   0.7.2 installed: IPRoute yes
#   0.7.2 copied: IPRoute no (names: 0)
#   0.9.7 installed: IPRoute yes
#   0.9.7 copied: IPRoute yes
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ask.py" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import pyroute2

assert pyroute2.__file__.startswith(sys.argv[1]), pyroute2.__file__
has = hasattr(pyroute2, "IPRoute")
print("IPRoute yes" if has else f"IPRoute no (names: {len(pyroute2.__all__)})")
PY

for version in 0.7.2 0.9.7; do
    python3 -m pip install -q --disable-pip-version-check --no-deps --target "$work/$version" "pyroute2==$version"
    mkdir "$work/$version-copy"
    cp -r "$work/$version/pyroute2" "$work/$version-copy/"
    # Isolated from the user's and the system's packages, whose metadata would be found instead.
    printf '%s installed: %s\n' "$version" "$(python3 -I -S "$work/ask.py" "$work/$version")"
    printf '%s copied: %s\n' "$version" "$(python3 -I -S "$work/ask.py" "$work/$version-copy")"
done >"$work/seen"
cat "$work/seen"
cat >"$work/expected" <<'END'
0.7.2 installed: IPRoute yes
0.7.2 copied: IPRoute no (names: 0)
0.9.7 installed: IPRoute yes
0.9.7 copied: IPRoute yes
END
diff -u "$work/expected" "$work/seen" && echo "as stated above"
