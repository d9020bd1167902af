# needs: LTSP_API 1
# ltsp: networking_main config_dns
# shellcheck shell=dash disable=SC2154
# The root comes by the card of the boot, so no network manager may configure that card again; and the name servers
# are told.

# NetworkManager: the last file that fits a card counts, and those in /etc come after those in /run. The card is named
# by its interface as well, because some drivers do not tell the permanent address that NetworkManager compares.
[ ! -d "$new/etc/NetworkManager" ] || write "$new/etc/NetworkManager/conf.d/~ltsp.conf" "[device-ltsp]
match-device=interface-name:$nic;mac:$mac
managed=0"
# systemd-networkd: the first file that fits a card counts, in the order of their names in all directories. No name
# that a person chooses comes before an exclamation mark. Without it, version 257 takes the address away at its start.
write "$run/systemd/network/!ltsp.network" "[Match]
MACAddress=$mac
[Link]
Unmanaged=yes"
# Many kernels can't rename a card that is up; without this, udev complains at each boot.
write "$run/systemd/network/!ltsp.link" "[Match]
MACAddress=$mac
[Link]
NamePolicy=keep"
[ ! -e "$new/etc/network/interfaces" ] || write "$new/etc/network/interfaces" \
    "# $nic is the card that the root comes by; ltspd's boot initrd has configured it.
auto lo
iface lo inet loopback"

[ -n "$dns$search" ] || return 0
write "$run/systemd/resolved.conf.d/ltsp.conf" "[Resolve]${dns:+
DNS=$dns}${search:+
Domains=$search}"
[ -n "$dns" ] || return 0
lines='' link=''
for each in $dns; do
    lines="$lines
nameserver $each"
done
lines="${search:+search $search}$lines"
# A link into the directory of systemd-resolved stays, because its daemon has just been told. Whatever else the image
# has there belongs to another network.
[ ! -L "$new/etc/resolv.conf" ] || link=$(readlink "$new/etc/resolv.conf")
case "$link" in
    */systemd/resolve/*) ;;
    *) write "$new/etc/resolv.conf" "${lines#
}" ;;
esac
