#!/bin/sh
# Linux 6.1 (Debian 12's cloud kernel): because it makes huge pages by itself, a machine with 1 GB has 63 MB less "available".
#
# khugepaged raises vm.min_free_kbytes until every zone can hold blocks of each kind (mm/khugepaged.c): 45056 on a machine with
# two zones, whatever its RAM. MemAvailable leaves out the "high" watermark, which is half as much again. With
# transparent_hugepage=never, the same kernel keeps some 4 MB. A sysctl brings the memory back at once, and huge pages
# stay on; nothing in the running system says where the memory has gone, as MemFree shows it as free.
#
# Seen with QEMU 7.2 on Debian 12, 2026-11-30:
#   always: least=45056 gained=52584
#   never: least=3961 gained=-9064
# (gained: kB of MemAvailable after vm.min_free_kbytes=10000)
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get -q download linux-image-6.1.0-50-cloud-amd64=6.1.176-1 busybox-static=1:1.35.0-4+deb12u1+b1 >/dev/null 2>&1
for each in *.deb; do dpkg-deb -x "$each" .; done
command -v qemu-system-x86_64 >/dev/null || {
    echo "this needs qemu-system-x86 and seabios"
    exit 1
}
mkdir -p root/bin root/proc
cp "$(find . -path '*bin/busybox' | head -n 1)" root/bin/busybox
cat >root/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
# khugepaged sets the value as one of the last things before this.
before=$(/bin/busybox sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
least=$(/bin/busybox cat /proc/sys/vm/min_free_kbytes)
echo 10000 >/proc/sys/vm/min_free_kbytes
after=$(/bin/busybox sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
echo "SEEN least=$least gained=$((after - before))"
# The serial line is slow.
/bin/busybox sleep 1
/bin/busybox poweroff -f
END
chmod 755 root/init
(cd root && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >initrd

# boot WORD: print the values of a machine with 1 GB and two zones.
boot() {
    timeout 120 qemu-system-x86_64 -accel tcg -m 1024 -display none -serial file:console -no-reboot -nic none \
        -kernel boot/vmlinuz-* -initrd initrd -append "console=ttyS0 quiet transparent_hugepage=$1"
    tr -d '\r' <console | sed -n 's/^SEEN //p'
}

always=$(boot always)
never=$(boot never)
echo "always: $always"
echo "never: $never"
case "$always" in least=45056\ *) ;; *) echo "changed: it keeps another amount" && exit 1 ;; esac
[ "${always##*=}" -gt 50000 ] || { echo "changed: little is gained"; exit 1; }
least=${never#least=}
[ "${least%% *}" -lt 8000 ] || { echo "changed: it keeps as much without huge pages"; exit 1; }
echo "as described"
