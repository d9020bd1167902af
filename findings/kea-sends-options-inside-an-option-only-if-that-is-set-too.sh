#!/bin/sh
# Kea 2.2.0 (Debian 12; 2.6.3 of Debian 13 does the same): an option that belongs into another one (`encapsulate`) is not
# sent because it is set. The outer option must be set as well, though it has no data of its own. `kea-dhcp4 -t` and the
# log say nothing about it, and a client that asks for the outer option gets none.
#
# Here iPXE's option 175 with number 176 inside ("no-pxedhcp", which saves iPXE three seconds). isc-dhcp-server and
# dnsmasq send the outer option by themselves as soon as something is to be in it.
#
# Seen on Debian 12, 2026-11-30 (as root):
#   inner option set: kea-dhcp4 -t ends with 0; option 175 of the offer: none
#   inner and outer option set: kea-dhcp4 -t ends with 0; option 175 of the offer: b00101
set -eu
if [ "${1-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "this needs root, for namespaces of its own"; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (
        cd "$work"
        apt-get -q download kea-dhcp4-server=2.2.0-6 kea-common=2.2.0-6 liblog4cplus-2.0.5 libmariadb3 libpq5 \
            libgssapi-krb5-2 libldap-2.5-0 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libsasl2-2 >/dev/null 2>&1
        for each in *.deb; do dpkg-deb -x "$each" .; done
    )
    status=0
    # What is started in there ends with the namespace of processes.
    unshare --net --mount --pid --fork --mount-proc sh "$0" inside "$work" || status=$?
    exit $status
fi

work=$2
cd "$work"
mount -t tmpfs tmpfs /run
mkdir -p /run/kea state
ip link set lo up
ip link add server type veth peer name client
ip address add 192.0.2.1/24 dev server
ip link set server up
ip link set client up

cat >ask.py <<'END'
import socket, struct, sys, time

mac = bytes.fromhex("020000000001")
fixed = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, 77, 0, 0, *[bytes(4)] * 4, mac, b"", b"")
options = bytes([53, 1, 1, 55, 2, 1, 175, 255])
payload = fixed + b"\x63\x82\x53\x63" + options
udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
total = sum(struct.unpack("!10H", head))
total = (total & 0xFFFF) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
raw.bind(("client", 0x0800))
raw.settimeout(1)
for _ in range(30):
    raw.send(b"\xff" * 6 + mac + b"\x08\x00" + head + udp)
    try:
        while True:
            frame = raw.recv(2000)
            if frame[23] == 17 and frame[36:38] == b"\0\x44":
                rest = frame[42 + 240 :]
                found = {}
                while rest and rest[0] != 255:
                    found[rest[0]] = rest[2 : 2 + rest[1]].hex()
                    rest = rest[2 + rest[1] :]
                print(found.get(175, "none"))
                sys.exit()
    except TimeoutError:
        pass
sys.exit("no offer")
END

show() {
    cat >conf <<END
{"Dhcp4": {
  "interfaces-config": {"interfaces": ["server"]},
  "control-socket": {"socket-type": "unix", "socket-name": "/run/kea/control"},
  "lease-database": {"type": "memfile", "persist": false},
  "option-def": [
    {"name": "ipxe", "code": 175, "type": "empty", "encapsulate": "ipxe"},
    {"name": "no-pxedhcp", "code": 176, "space": "ipxe", "type": "uint8"}],
  "option-data": [$2 {"name": "no-pxedhcp", "space": "ipxe", "data": "1"}],
  "subnet4": [{"id": 1, "subnet": "192.0.2.0/24", "pools": [{"pool": "192.0.2.10 - 192.0.2.20"}]}]
}}
END
    export LD_LIBRARY_PATH="$work/usr/lib/x86_64-linux-gnu" KEA_LOCKFILE_DIR=none KEA_PIDFILE_DIR="$work/state"
    status=0
    usr/sbin/kea-dhcp4 -t conf >test.log 2>&1 || status=$?
    usr/sbin/kea-dhcp4 -c conf >log 2>&1 &
    pid=$!
    told=$(env -u LD_LIBRARY_PATH python3 ask.py) || { cat test.log log; exit 1; }
    kill $pid
    wait $pid || :
    echo "$1: kea-dhcp4 -t ends with $status; option 175 of the offer: $told"
}

{
    show "inner option set" ""
    show "inner and outer option set" '{"name": "ipxe"},'
} >seen
cat seen
cmp -s seen - <<END || { echo "this has changed"; exit 1; }
inner option set: kea-dhcp4 -t ends with 0; option 175 of the offer: none
inner and outer option set: kea-dhcp4 -t ends with 0; option 175 of the offer: b00101
END
