# shellcheck shell=dash disable=SC2154
# The lease of the card that the root comes by. The boot menu got it, hours ago, and nobody else renews it: the
# server would give the address of a client that runs for longer to the next machine.

# set_lease: have the running system keep the lease. With this initrd's busybox, because images differ in what
# they have, and without touching the card: the address stays as it is whatever a DHCP server says.
set_lease() {
    mkdir -p /run/systemd/system/multi-user.target.wants
    [ -e "$store/busybox" ] || cp /bin/busybox "$store/busybox" || return 0
    echo "#!$store/busybox sh
case \"\$1 \$ip\" in
    'bound $address' | 'renew $address') ;;
    bound* | renew*) echo \"<4>The DHCP server gives this client \$ip now; it keeps $address until it restarts.\" ;;
esac" >"$store/lease"
    chmod 755 "$store/lease"
    # Where nobody gives leases it asks every ten minutes.
    echo "[Unit]
Description=Keep the DHCP lease of the network boot card
After=network.target
[Service]
ExecStart=$store/busybox udhcpc -f -i $nic -r $address -x hostname:$hostname -A 600 -s $store/lease
Restart=on-failure
RestartSec=60" >/run/systemd/system/ltsp-lease.service
    ln -s ../ltsp-lease.service /run/systemd/system/multi-user.target.wants/ltsp-lease.service
}
