#!/bin/sh
# Kea 2.2.0 (Debian 12; seen with 2.6.3 of Debian 13 as well) with `service-sockets-require-all`: if port 67 is taken, it
# logs that the socket failed, then DHCP4_STARTED, and only then ends. Who waits for DHCP4_STARTED in the log, as many
# set-ups do, takes a server for working that is about to end; and the last line says "shutdown", not why.
#
# Here dnsmasq has the port on another link, with `bind-dynamic` as libvirt starts it, so that both serve different
# networks. ISC's dhcpd and a second dnsmasq with `bind-dynamic` start beside it; Kea does not.
#
# Seen on Debian 12, 2026-11-30 (as root), Kea's messages in their order:
#   DHCPSRV_OPEN_SOCKET_FAIL DHCP4_STARTED DHCP4_SHUTDOWN
set -eu
if [ "${1-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "this needs root, for namespaces of its own"; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    (
        cd "$work"
        apt-get -q download kea-dhcp4-server=2.2.0-6 kea-common=2.2.0-6 liblog4cplus-2.0.5 libmariadb3 libpq5 \
            libgssapi-krb5-2 libldap-2.5-0 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libsasl2-2 \
            dnsmasq-base=2.90-4~deb12u2 >/dev/null 2>&1
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
for each in lab virbr0; do
    ip link add $each type veth peer name $each-end
    ip link set $each up
    ip link set $each-end up
done
ip address add 192.0.2.1/24 dev lab
ip address add 198.51.100.1/24 dev virbr0

usr/sbin/dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root --bind-dynamic --interface=virbr0 \
    --dhcp-range=198.51.100.10,198.51.100.20 --dhcp-leasefile="$work/state/leases" >dnsmasq.log 2>&1 &
until grep -q "sockets bound\|DHCP, IP range" dnsmasq.log; do sleep 0.1; done
until ss -lun | grep -q ":67 "; do sleep 0.1; done

cat >conf <<'END'
{"Dhcp4": {
  "interfaces-config": {"interfaces": ["lab"], "service-sockets-require-all": true},
  "lease-database": {"type": "memfile", "persist": false},
  "subnet4": [{"id": 1, "subnet": "192.0.2.0/24", "pools": [{"pool": "192.0.2.10 - 192.0.2.20"}]}]
}}
END
export LD_LIBRARY_PATH="$work/usr/lib/x86_64-linux-gnu" KEA_LOCKFILE_DIR=none KEA_PIDFILE_DIR="$work/state"
usr/sbin/kea-dhcp4 -c conf >log 2>&1 || :
grep -oE "DHCPSRV_OPEN_SOCKET_FAIL\b|DHCP4_STARTED|DHCP4_SHUTDOWN\b" log | uniq | xargs >seen
cat seen
echo "DHCPSRV_OPEN_SOCKET_FAIL DHCP4_STARTED DHCP4_SHUTDOWN" | cmp -s - seen || { cat log; exit 1; }
