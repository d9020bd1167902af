#!/bin/sh
# Puts on a fresh Debian 12 machine what ./demo and ./check need: Debian packages, and a Python
# virtual environment in the cache. Needs root. Does nothing (in well under a second) when all is there.
# Prints the path of the virtual environment's Python on standard output, everything else on standard error.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${LTSPD_LAB_CACHE:-/var/cache/ltspd-lab}
venv=$cache/venv

# virtual machines: qemu, ipxe-qemu, seabios, ovmf, qemu-efi-aarch64; root trees: mmdebstrap, arch-test; server: systemd-container;
# images: squashfs-tools, zstd, cpio, kmod, busybox-static; disks that tests make: qemu-utils to
# dosfstools; a TPM and its tools: swtpm, tpm2-tools; what accepts rendered files: dnsmasq-base,
# nbd-server, nfs-ganesha, radvd, nftables, grub-common (none of them is started here); an NFS client: libnfs-utils; keys and
# logins: openssh-client; what a screen says: tesseract-ocr; one for browsers: xvfb;
# Debian's versions of what the gateway imports, beside the newest: python3-aiohttp, python3-systemd;
# programs that read what we write for them: zsh, fish, man-db, libglib2.0-bin (gdbus);
# PAM modules for clients: libpam0g-dev, gcc-*-linux-gnu, libc6-dev-*-cross;
# packages: debhelper, dh-python, dpkg-dev, lintian; XML: libxml2-utils; virtual environment: gcc to libsystemd-dev.
packages="qemu-system-x86 ipxe-qemu seabios ovmf qemu-system-arm qemu-efi-aarch64 mmdebstrap arch-test systemd-container
squashfs-tools zstd cpio kmod busybox-static xz-utils nbd-client nbd-server
qemu-utils e2fsprogs fdisk btrfs-progs xfsprogs lvm2 xorriso dosfstools swtpm tpm2-tools
nfs-ganesha nfs-ganesha-vfs radvd grub-common libnfs-utils openssh-client tesseract-ocr tesseract-ocr-eng xvfb debhelper dh-python dpkg-dev lintian libxml2-utils
libpam0g-dev gcc-i686-linux-gnu libc6-dev-i386-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross
python3-aiohttp python3-systemd zsh fish man-db libglib2.0-bin
iproute2 nftables tcpdump dnsmasq-base dbus polkitd procps util-linux ca-certificates
shellcheck make git python3 python3-venv python3-dev gcc pkg-config libsystemd-dev"

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

[ "$(id -u)" = 0 ] || die "run this as root: the lab makes network namespaces, mounts and containers"

missing_packages() {
    # shellcheck disable=SC2086  # a list of words
    dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' $packages 2>/dev/null |
        sed -n 's/^ii  *//p' >"$work/installed" || true
    for name in $packages; do
        grep -qx "$name" "$work/installed" || printf '%s ' "$name"
    done
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
        -o Dpkg::Options::=--force-confold "$@" >&2
}

install_packages() {
    # Without lists apt knows no package; with old lists it asks for versions that are gone.
    set -- /var/lib/apt/lists/*Packages*
    [ -e "$1" ] || apt_get update
    # shellcheck disable=SC2086
    apt_get install --no-install-recommends $missing && return
    say "that failed; trying again with fresh package lists"
    apt_get update
    # shellcheck disable=SC2086
    apt_get install --no-install-recommends $missing
}

wanted_modules() {
    "$python" - "$here/pyproject.toml" <<'PY'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["check"]]))
PY
}

mkdir -p "$cache"
work=$(mktemp -d "$cache/setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Two runs at once would install the same things twice.
exec 9>"$cache/setup.lock"
flock 9

missing=$(missing_packages)
if [ -n "$missing" ]; then
    say "installing Debian packages: $missing"
    install_packages || die "apt-get could not install: $missing"
fi

# The lab opens these through devtmpfs; a container host may not have made them.
[ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229 || true

python=$venv/bin/python3
if ! "$python" -c '' 2>/dev/null; then
    say "making a Python virtual environment in $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
fi
wanted_modules >"$work/wanted"
if ! cmp -s "$work/wanted" "$venv/installed-for"; then
    say "installing Python packages: $(tr '\n' ' ' <"$work/wanted")"
    "$python" -m pip install -q --disable-pip-version-check -r "$work/wanted" >&2 ||
        die "pip could not install the packages that pyproject.toml names"
    cp "$work/wanted" "$venv/installed-for"
fi
printf '%s\n' "$python"
