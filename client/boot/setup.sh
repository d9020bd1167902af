# shellcheck shell=dash disable=SC2154,SC2034,SC1091,SC2015
# The first minute of a client: what makes one of many out of the image. Works for any image with systemd,
# without Python and without anything of ours in it. Runtime directories below /run are used where the
# distribution reads them, so that the image's own files stay as they are.

# load_settings: the settings of ltsp.conf that are meant for this client, from ltsp.img.
load_settings() {
    local settings_address key value servers=''
    HOSTNAME=$given_name
    SERVER='' DNS_SERVER='' SEARCH_DOMAIN='' IMAGE_TO_RAM='' DEBUG_SHELL=''
    KEEP_SYSTEM_SERVICES='' MASK_SYSTEM_SERVICES=''
    if [ -f /ltsp/settings ]; then
        . /ltsp/settings
        ltsp_settings "$mac" "$address" "$given_name" "$server"
    fi
    [ "$DEBUG_SHELL" = 1 ] && debug_shell=1
    settings_address=$(ipv4 "$SERVER")
    # Only what clients call "server": the root and what is reported stay with the machine they booted from. In a
    # trial there is no other machine than the one that the command line names.
    named_server=$server
    [ -n "$settings_address" ] && [ "$trial" != 1 ] && named_server=$settings_address
    [ "$IMAGE_TO_RAM" = 1 ] && [ -n "$base" ] && transport=http
    # Lists may be written in lines or with tabs.
    KEEP_SYSTEM_SERVICES=$(words "$KEEP_SYSTEM_SERVICES")
    SEARCH_DOMAIN=$(words "$SEARCH_DOMAIN")
    DNS_SERVER=$(words "$(echo "$DNS_SERVER" | tr , ' ')")
    # What the server says for all counts as well where another DHCP server gave the address.
    while read -r key value; do
        case "$key" in
            search) [ -n "$SEARCH_DOMAIN" ] || SEARCH_DOMAIN=$value ;;
            nameserver) servers=${servers:+$servers }$value ;;
        esac
    done 2>/dev/null </ltsp/resolver
    dns=${DNS_SERVER:-${servers:-$dns}}
    hostname=$(host_name "$HOSTNAME" "$address" "$netmask" "$mac")
}

# set_up: prepare the new root below $new. It is a fresh overlay, so nothing has to be undone.
set_up() {
    mkdir -p /run/systemd/system.control /run/systemd/system-generators /run/systemd/system.conf.d \
        /run/systemd/journald.conf.d /run/systemd/resolved.conf.d /run/systemd/network \
        /run/sysctl.d /run/systemd/system/ssh.service.d
    set_identity
    set_names
    set_network
    set_accounts
    set_services
    mark setup
    # A trial has nobody to report to but its console, and nobody has leased it an address.
    if [ "$trial" = 1 ]; then
        set_trial
    else
        set_report
        set_lease
    fi
}

set_identity() {
    local sum
    echo "$hostname" >"$new/etc/hostname"
    # The same card is the same machine at each boot: journals, D-Bus and homes on the server stay few.
    sum=$(echo "ltsp $mac" | md5sum)
    rm -f "$new/etc/machine-id"
    echo "${sum%% *}" >"$new/etc/machine-id"
    echo "$hostname" >/proc/sys/kernel/hostname
}

# set_names: hosts, fstab and whatever FSTAB_x and HOSTS_x settings add. The host's name stands for its real
# address, not 127.0.1.1: Kerberos and others that compare names with addresses would fail.
set_names() {
    local fstab="$new/etc/fstab"
    rm -f "$new/etc/hosts" "$new/etc/fstab"
    echo "127.0.0.1 localhost
$address ${SEARCH_DOMAIN:+$hostname.${SEARCH_DOMAIN%% *} }$hostname
${named_server:-$server} server
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters" >"$new/etc/hosts"
    echo "# The root is put together by the boot initrd; FSTAB_x of ltsp.conf adds lines here." >"$new/etc/fstab"
    [ -f /ltsp/settings ] || return 0
    # In a trial no server is there that anything could be mounted from.
    [ "$trial" != 1 ] || fstab=/dev/null
    # Settings with such names are a family of any size; awk sees them in its environment. In a subshell, so
    # that the distribution's init does not inherit them.
    (
        set -a
        ltsp_settings "$mac" "$address" "$given_name" "$server"
        awk -v hosts="$new/etc/hosts" -v fstab="$fstab" 'BEGIN {
            for (name in ENVIRON) if (name ~ /^(FSTAB|HOSTS)_/) names[++count] = name
            for (i = 2; i <= count; i++)
                for (j = i; j > 1 && names[j] < names[j - 1]; j--) {
                    swap = names[j]; names[j] = names[j - 1]; names[j - 1] = swap
                }
            for (i = 1; i <= count; i++)
                print ENVIRON[names[i]] >>(names[i] ~ /^FSTAB_/ ? fstab : hosts)
        }'
    )
}

# set_network: the root lives on this card, so nothing may configure it again, and name servers are known.
set_network() {
    local each lines=''
    # Of files that fit a card the last counts, and those in /etc come after those in /run. By its name as well,
    # because some drivers tell no permanent address, which is the one that NetworkManager compares.
    if [ -d "$new/etc/NetworkManager" ]; then
        mkdir -p "$new/etc/NetworkManager/conf.d"
        echo "[device-ltsp]
match-device=interface-name:$nic;mac:$mac
managed=0" >"$new/etc/NetworkManager/conf.d/~ltsp.conf"
    fi
    # The first file that fits a card counts, by its name in whichever directory: nothing that a person names
    # sorts before an exclamation mark. From version 257 on, networkd would take the address away at its start.
    echo "[Match]
MACAddress=$mac
[Link]
Unmanaged=yes" >'/run/systemd/network/!ltsp.network'
    # A card that is up can't be renamed by many kernels; without this, udev would complain at each boot.
    echo "[Match]
MACAddress=$mac
[Link]
NamePolicy=keep" >'/run/systemd/network/!ltsp.link'
    if [ -e "$new/etc/network/interfaces" ]; then
        rm -f "$new/etc/network/interfaces"
        echo "# $nic is the card that the root comes by; ltspd's boot initrd has configured it.
auto lo
iface lo inet loopback" >"$new/etc/network/interfaces"
    fi
    [ -n "$dns$SEARCH_DOMAIN" ] || return 0
    echo "[Resolve]${dns:+
DNS=$dns}${SEARCH_DOMAIN:+
Domains=$SEARCH_DOMAIN}" >/run/systemd/resolved.conf.d/ltsp.conf
    [ -n "$dns" ] || return 0
    for each in $dns; do
        lines="${lines}nameserver $each
"
    done
    # A link into systemd-resolved's directory stays, its daemon has just been told; anything else that the
    # image has there belongs to another network.
    case "$(readlink "$new/etc/resolv.conf")" in
        */systemd/resolve/*) ;;
        *)
            rm -f "$new/etc/resolv.conf"
            echo "${SEARCH_DOMAIN:+search $SEARCH_DOMAIN
}${lines%?}" >"$new/etc/resolv.conf"
            ;;
    esac
}

set_accounts() {
    [ -s /ltsp/passwd ] && [ -f "$new/etc/passwd" ] && [ -f "$new/etc/group" ] || return 0
    merge_accounts "$new/etc/passwd" "$new/etc/group" "$new/etc/shadow" /ltsp/passwd /ltsp/group
}

# set_services: what a server needs and a client must not run. An empty unit file means "masked"; those in
# system.control come before the administrator's own in /etc, so nothing in the image has to be changed.
set_services() {
    local unit keep=$KEEP_SYSTEM_SERVICES type each
    # NFS before version 4 needs rpcbind, on the client too.
    while read -r _ _ type _; do
        case "$type" in nfs*) keep="$keep rpcbind" ;; esac
    done <"$new/etc/fstab"
    # No word of a setting is a pattern of file names.
    set -f
    for unit in ltsp ltspd dnsmasq nfs-server nfs-kernel-server nfs-ganesha nfs-ganesha-lock nfs-mountd \
        rpcbind rpcbind.socket nbd-server radvd isc-dhcp-server isc-dhcp-server6 kea-dhcp4-server tftpd-hpa \
        apparmor rsyslog unattended-upgrades apt-daily apt-daily.timer apt-daily-upgrade apt-daily-upgrade.timer \
        fstrim fstrim.timer e2scrub_all e2scrub_all.timer e2scrub_reap man-db man-db.timer \
        dpkg-db-backup dpkg-db-backup.timer $MASK_SYSTEM_SERVICES; do
        name_unit "$unit"
        keeps "$keep" "$unit" && continue
        case "$unit" in */*) ;; *) : >"/run/systemd/system.control/$unit" ;; esac
    done
    set +f
    for each in "$new"/usr/lib/systemd/system/ltspd-*; do
        [ -e "$each" ] && : >"/run/systemd/system.control/${each##*/}"
    done
    # It would look for partitions of the client's own disk and mount them.
    : >/run/systemd/system-generators/systemd-gpt-auto-generator
    echo "[Manager]
DefaultTimeoutStopSec=10s" >/run/systemd/system.conf.d/ltsp.conf
    # The journal's directory would be RAM of the overlay; in /run it is as well, but bounded.
    echo "[Journal]
Storage=volatile
RuntimeMaxUse=8M" >/run/systemd/journald.conf.d/ltsp.conf
    # Without AppArmor's profiles, browsers need user namespaces for their sandboxes.
    echo "-kernel.apparmor_restrict_unprivileged_userns=0" >/run/sysctl.d/50-ltsp.conf
    # Images have no host keys; sshd's check before the start would fail. They are made afresh at each boot.
    echo "[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t" >/run/systemd/system/ssh.service.d/ltsp.conf
}

# keep NAME VALUE: print an assignment for a script that root runs; what would need quoting stays untold.
keep() {
    case "$2" in
        *[!A-Za-z0-9.:/_=\ -]*) echo "$1=''" ;;
        *) echo "$1='$2'" ;;
    esac
}

# begins UNIT: have the booted system want a unit of ours, unless that is masked. It has this initrd's busybox,
# because images differ in what they have; that would be thrown away otherwise, and is kept in 2 MB of RAM. In
# $store, because a distribution's initrd may have made /run a place that nothing can be run from.
begins() {
    # Masked by MASK_SYSTEM_SERVICES.
    [ ! -e "/run/systemd/system.control/$1" ] || return 1
    mkdir -p /run/systemd/system/multi-user.target.wants
    [ -e "$store/busybox" ] || cp /bin/busybox "$store/busybox" || return 1
    ln -s "../$1" "/run/systemd/system/multi-user.target.wants/$1"
}

# set_report: have the running system tell once that people can log in, and once that it is shut down. No timer,
# and no process that stays once a greeter is there.
set_report() {
    begins ltsp-report.service || return 0
    {
        keep base "$base"
        keep server "$server"
        keep mac "$mac"
        keep address "$address"
        keep hostname "$hostname"
        keep image "$image"
        keep generation "$generation"
        keep transport "$transport"
        keep marks "$marks"
        echo "busybox=$store/busybox"
        cat /ltsp/client/boot/report.sh /ltsp/client/live/login.sh - <<'EOF'
if [ "$1" = login ]; then
    judge_login
    [ -z "$why" ] || set -- failed "it is up, but nobody can log in: $why."
fi
report "$1" "${2-}"
wait
EOF
    } >"$store/report"
    # After what it is wanted by: then it doesn't hold up the login that it tells of.
    echo "[Unit]
Description=Tell the network boot server how far this client is
After=multi-user.target graphical.target
[Service]
RemainAfterExit=yes
ExecStart=-$store/busybox sh $store/report login
ExecStop=-$store/busybox sh $store/report off
TimeoutSec=10" >/run/systemd/system/ltsp-report.service
}

# set_lease: have the running system keep the lease that the boot menu got, or the server would give the address of
# a client that runs for longer to another machine. Without touching the card, because the root comes by it: the
# address stays as it is, whatever a DHCP server says; what else it gives is given back, and then all is silent.
set_lease() {
    begins ltsp-lease.service || return 0
    # A copy of a program for its mode: not every boot initrd has chmod.
    cp "$store/busybox" "$store/lease" || return 0
    echo "#!$store/busybox sh
case \"\$1 \$ip\" in
    'bound $address' | 'renew $address') ;;
    bound* | renew*)
        echo \"<4>The DHCP server gives this client \$ip now; it keeps $address until it restarts.\"
        kill -USR2 \"\$PPID\"
        ;;
    nak*) echo \"<4>A DHCP server refuses to renew $address; another machine may get that address.\" ;;
esac" >"$store/lease"
    # Where nobody gives leases it asks every ten minutes.
    echo "[Unit]
Description=Keep the DHCP lease of the network boot card
After=multi-user.target graphical.target
[Service]
ExecStart=$store/busybox udhcpc -f -i $nic -r $address -x hostname:$hostname -A 600 -s $store/lease
Restart=on-failure
RestartSec=60
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes" >/run/systemd/system/ltsp-lease.service
}

# set_trial: the server tries this image out before clients get it; let the machine say when it can be logged in to,
# and what failed until then. The kernel's log puts each line on the console in one piece, whoever else writes.
# (A distribution's initrd, in which we are a guest, may have a systemd with a default.target of its own.)
set_trial() {
    mkdir -p /run/systemd/system/default.target.d
    echo "[Unit]
Wants=ltsp-trial.service" >/run/systemd/system/default.target.d/ltsp.conf
    echo "[Unit]
Description=Say that the login of this trial is reached
After=default.target getty.target display-manager.service
ConditionPathExists=!/etc/initrd-release
[Service]
ExecStart=/bin/sh /run/ltsp-trial" >/run/systemd/system/ltsp-trial.service
    cat /ltsp/client/live/login.sh - >/run/ltsp-trial <<'EOF'
tell() { echo "<1>ltsp: trial: $*" >/dev/kmsg; }
# systemd starts a getty on the console that the trial has chosen; clients have it only if they choose it as well.
own=serial-getty@ttyS0.service
read -r line </proc/cmdline
case "$line" in *console=ttyS0*console=ttyS0*) own='' ;; esac
[ ! -e "/etc/systemd/system/getty.target.wants/$own" ] || own=''
judge_login "$own"
if [ -n "$why" ]; then tell "no login: $why"; else tell "login"; fi
state=$(systemctl is-system-running --wait)
systemctl list-units --state=failed --plain --no-legend --no-pager | while read -r unit _; do tell "failed $unit"; done
tell "ended $state"
EOF
    say "trial: its login will be told"
}

# directories: make those on which the kernel's file systems will be mounted.
directories() {
    local each
    for each in run dev proc sys; do
        [ -d "$new/$each" ] || mkdir "$new/$each"
    done
}

# start: hand over to the distribution's init, with its kernel file systems in place.
start() {
    local each
    init=${init:-/sbin/init}
    # Its links are meant for the new root and may look broken from here.
    [ -e "$new$init" ] || [ -L "$new$init" ] || fail "the image has no $init." "init= of KERNEL_PARAMETERS, or the image."
    directories
    say "starting $init"
    for each in run dev sys proc; do
        mount -o move "/$each" "$new/$each"
    done
    # shellcheck disable=SC2093
    exec switch_root -c /dev/console "$new" "$init" "$@"
    fail "$init of the image can't be started." "the image."
}
