"""apt on the lab's server, and a package of nothing but its own record, which needs no archive."""

# Makes the version $1 of that package.
MAKE = """set -e
mkdir -p /run/pkg/DEBIAN
printf 'Package: lab-nothing\\nVersion: %s\\nArchitecture: all\\nMaintainer: lab <lab@lab.invalid>\\n\
Description: nothing\\n' "$1" >/run/pkg/DEBIAN/control
dpkg-deb --build --root-owner-group /run/pkg "/run/lab-nothing_$1.deb" >/dev/null
"""
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y"
