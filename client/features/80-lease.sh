# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# Keep the lease that the boot menu got; or else the server gives the address of a client that runs for long to another
# machine. Nothing touches the card, because the root comes by it: its address stays, whatever a DHCP server says. If
# the server gives another one, that is given back.

# In a trial nobody has leased an address.
if [ "$trial" = 1 ] || is_masked ltsp-lease.service; then return 0; fi
want ltsp-lease.service
# A copy of a script for its mode: all of ltsp.img have it, and not every boot initrd has chmod.
cp "$ltsp/client/boot/udhcpc.sh" "$store/lease"
echo "#!$store/busybox sh
case \"\$1 \$ip\" in
    'bound $address' | 'renew $address') ;;
    bound* | renew*)
        echo \"<4>The DHCP server gives this client \$ip now; it keeps $address until it restarts.\"
        kill -USR2 \"\$PPID\"
        ;;
    nak*) echo \"<4>A DHCP server refuses to renew $address; another machine may get that address.\" ;;
esac" >"$store/lease"
# Where no DHCP server answers, it asks every ten minutes.
write "$run/systemd/system/ltsp-lease.service" "[Unit]
Description=Keep the DHCP lease of the network boot card
After=multi-user.target graphical.target
[Service]
ExecStart=$store/busybox udhcpc -f -i $nic -r $address -x hostname:$hostname -A 600 -s $store/lease
Restart=on-failure
RestartSec=60
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes"
