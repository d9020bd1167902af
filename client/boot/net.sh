# shellcheck shell=dash disable=SC2154,SC2034,SC2015
# From no driver to a network card with an address. Uses text.sh; sets nic, mac, address, netmask, gateway, dns.

seen=' '

# load_drivers: load the modules of every device that has no driver yet and was not seen before. New devices
# may appear behind a driver (virtio behind PCI, cards behind a USB controller), so it is called again.
load_drivers() {
    local file alias new=''
    for file in /sys/bus/pci/devices/*/modalias /sys/bus/virtio/devices/*/modalias \
        /sys/bus/usb/devices/*/modalias /sys/bus/vmbus/devices/*/modalias \
        /sys/bus/xen/devices/*/modalias /sys/bus/platform/devices/*/modalias; do
        [ -e "$file" ] && [ ! -e "${file%/modalias}/driver" ] || continue
        read -r alias <"$file" || continue
        case "$seen" in *" $alias "*) continue ;; esac
        seen="$seen$alias "
        case "$alias" in *[[:space:]]*) ;; *) new="$new $alias" ;; esac
    done
    [ -n "$new" ] || return 1
    set -f
    # shellcheck disable=SC2086
    modprobe -a -q -- $new 2>/dev/null
    set +f
}

# is_wired NAME: whether it is a real Ethernet card, and no port of another interface.
is_wired() {
    local type
    read -r type <"/sys/class/net/$1/type" || return 1
    [ "$type" = 1 ] && [ ! -e "/sys/class/net/$1/wireless" ] && [ ! -e "/sys/class/net/$1/master" ]
}

# choose_nic: set nic to the card with the address that the firmware booted from; without BOOTIF to the first
# card that has a link.
choose_nic() {
    local file name its_mac carrier
    nic=''
    for file in /sys/class/net/*/address; do
        name=${file%/address} name=${name##*/}
        [ -e "$file" ] && is_wired "$name" || continue
        read -r its_mac <"$file"
        if [ -n "$mac" ]; then
            [ "$its_mac" = "$mac" ] && nic=$name && return 0
            continue
        fi
        case "$raised" in *" $name "*) ;; *) ifconfig "$name" up && raised="$raised$name " ;; esac
        read -r carrier 2>/dev/null <"/sys/class/net/$name/carrier" || continue
        [ "$carrier" = 1 ] && nic=$name && mac=$its_mac && return 0
    done
    return 1
}

# is_lacking: whether a device has no driver because the module that it needs is not here, as in an initrd with the
# drivers of one card alone.
is_lacking() {
    local path
    set -f
    # shellcheck disable=SC2086
    modprobe -D -a -- $seen >/run/ltsp-modules 2>/dev/null
    set +f
    while read -r _ path _; do [ -e "$path" ] || return 0; done </run/ltsp-modules
    return 1
}

# is_slim: whether this initrd has the drivers of one card alone; sets slim to them.
is_slim() {
    read -r slim 2>/dev/null <"/ltsp/slim"
}

# leave_slim: the card did not come to life with the drivers of an initrd for one card alone, if this is such a one. The
# server gives the full one to a machine that did not report.
leave_slim() {
    is_slim && [ "$debug_shell" != 1 ] || return 0
    echo
    say "this machine's card is not in its slim initrd ($slim); rebooting for the full one. Cards:$(cards)"
    reboot -f
    while :; do sleep 60; done
}

# find_nic: drivers, then the card. USB controllers need a while before the card behind them shows.
find_nic() {
    local deadline
    raised=' '
    tick
    deadline=$((clock + 20))
    while load_drivers || ! choose_nic; do
        choose_nic && return
        tick
        [ "$clock" -lt "$deadline" ] || return 1
        # Another card than the one to boot by may lack its driver, so that one gets a moment all the same.
        if [ "$clock" -ge $((deadline - 18)) ] && is_slim && is_lacking; then return 1; fi
        [ "$clock" -lt $((deadline - 15)) ] || once nic "waiting for the network card ${mac:-with a link}"
        sleep 0.05
    done
}

# cards: print the network cards, and the PCI cards without a driver, for the error.
cards() {
    local file class vendor device list=''
    for file in /sys/class/net/*/address; do
        case "$file" in */lo/*) continue ;; esac
        [ -e "$file" ] && read -r device <"$file" && list="$list $device"
    done
    for file in /sys/bus/pci/devices/*/class; do
        read -r class <"$file" || continue
        case "$class" in 0x02*) ;; *) continue ;; esac
        [ -e "${file%/class}/driver" ] && continue
        read -r vendor <"${file%/class}/vendor"
        read -r device <"${file%/class}/device"
        list="$list ${vendor#0x}:${device#0x}(no driver)"
    done
    echo "${list:- none}"
}

# wait_for_link: wait until the card has a link. A switch that looks for loops (STP) opens a port after up to 30 s.
wait_for_link() {
    local carrier deadline
    tick
    deadline=$((clock + 45))
    while :; do
        read -r carrier 2>/dev/null <"/sys/class/net/$nic/carrier" && [ "$carrier" = 1 ] && return
        tick
        [ "$clock" -lt "$deadline" ] || return 1
        [ "$clock" -lt $((deadline - 40)) ] || once link "waiting for a link on $nic: is the cable plugged in?"
        sleep 0.05
    done
}

# configure: give the card the address of the boot menu (ip=); without one, ask DHCP.
configure() {
    if [ -n "$ip_words" ]; then
        parse_ip "$ip_words"
    fi
    if [ -z "$address" ]; then
        say "the command line has no address (ip=); asking DHCP on $nic"
        ifconfig "$nic" up
        udhcpc -i "$nic" -n -q -t 10 -T 2 -s /ltsp/client/boot/udhcpc.sh >/dev/null 2>&1
        read -r ip_words 2>/dev/null </run/ltsp-lease && parse_ip "$ip_words"
        [ -n "$address" ] || return 1
    fi
    [ -n "$server" ] || server=$boot_server
    # A boot program that can't name the server gives the port alone.
    [ -n "$base" ] || [ -z "$server" ] || base=http://$server${port:+:$port}/ltsp
    [ -n "$netmask" ] || netmask=255.255.255.0
    ifconfig "$nic" "$address" netmask "$netmask" up || return 1
    [ -z "$gateway" ] || route add default gw "$gateway" "$nic"
}
