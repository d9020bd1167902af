# shellcheck shell=dash disable=SC2154,SC2034,SC1091,SC2015
# From the kernel to the distribution's init. Runs in the client's first process (`init`).
#
# Each process costs time on a slow machine, so the shell does all that it can itself.
# People on the console and the tests read the lines that begin with "ltsp:".

umask 022
# The files of ltsp.img, the directory that will be /run of the booted system, and the programs of this initrd.
ltsp=/ltsp run=/run busybox=/bin/busybox
# As a guest in the distribution's initrd (guest/enter.sh) we are not the first process, and all this is there.
if [ $$ = 1 ]; then
    mount -t devtmpfs -o mode=755,nosuid devtmpfs /dev
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t tmpfs -o mode=755,nosuid,nodev,size=20% tmpfs /run
fi

# tick: set clock to the seconds since the kernel started, without fraction.
tick() {
    read -r clock _ </proc/uptime
    clock=${clock%.*}
}

# say WORDS: for the console, and at the lowest level into the kernel's log, where the journal finds it.
say() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "ltsp: $* [$uptime s]"
    echo "<7>ltsp: $*" >/dev/kmsg
}

said=' '
# once KEY WORDS: say something only once in a loop.
once() {
    case "$said" in *" $1 "*) return ;; esac
    said="$said$1 "
    shift
    say "$@"
}

# fail WHAT LOOK: say what went wrong and where to look, then open a shell if ltsp.conf asks for one, else reboot.
fail() {
    echo
    echo "ltsp: This client can't boot: $1"
    echo "ltsp: Tried: image ${image:-?}, generation ${generation:-?}, by ${transport:-?} from ${server:-?};" \
        "card ${nic:-none} ${mac:-}, address ${address:-none}."
    # The last line of the program that failed.
    while read -r line; do echo "ltsp: It said: $line"; done 2>/dev/null </run/ltsp-error
    echo "ltsp: Look at: $2"
    report failed "$1"
    if [ "$debug_shell" = 1 ]; then
        echo "ltsp: A shell follows, because DEBUG_SHELL is set. Its end reboots."
        modprobe -a -q usbhid hid_generic 2>/dev/null
        setsid cttyhack sh
    else
        echo "ltsp: It reboots in 60 s. (DEBUG_SHELL=1 in ltsp.conf or on the kernel command line gives a shell.)"
        sleep 60
    fi
    reboot -f
    # PID 1 must never end: the kernel would panic, and the sentence would be gone.
    while :; do sleep 60; done
}

. /ltsp/client/boot/text.sh
. /ltsp/client/boot/report.sh
. /ltsp/client/boot/net.sh
. /ltsp/client/boot/root.sh
. /ltsp/client/boot/settings.sh
. /ltsp/client/boot/features.sh
. /ltsp/client/boot/code.sh

marks=''
mark init
say "init started"
images=/srv/ltsp/images
read -r cmdline </proc/cmdline
parse_cmdline "$cmdline"
wanted_image=$image wanted_generation=$generation
# The initrd says which image it belongs to. The command line should say the same, else the console shows both.
read -r image generation </ltsp/image || fail "this boot initrd does not say which image it is of." \
    "the server: 'ltspctl image build'."
is_name "$image" && is_name "$generation" || fail "image $image or generation $generation is not a name." \
    "the server: 'ltspctl image build'."
[ "${wanted_image:-$image}" = "$image" ] && [ "${wanted_generation:-$generation}" = "$generation" ] ||
    say "the menu asks for $wanted_image $wanted_generation, but this initrd is of $image $generation"
case "$transport" in
    nfs | nfsdir) modprobe -a -q loop squashfs overlay nfsv4 & ;;
    nbd | http) modprobe -a -q loop squashfs overlay & ;;
    *) fail "ltsp.root=$transport is not nbd, nfs, nfsdir or http." "the boot menu on the server." ;;
esac
modules=$!

if ! find_nic; then
    leave_slim
    fail "no network card ${mac:-with a link}; cards:$(cards)." \
        "is the card's driver in the image's kernel, is its firmware installed there?"
fi
if [ $$ != 1 ]; then
    # The host's udev may be renaming the card at this moment.
    chroot /proc/1/root /bin/udevadm settle --timeout=10
    find_nic
fi
configure || fail "$nic got no address, neither from the boot menu nor by DHCP." "the DHCP server."
if ! wait_for_link; then
    leave_slim
    fail "$nic has no link." "the cable and the switch's port."
fi
say "network up ($nic $address)"

load_settings
[ -n "$server" ] || fail "neither ltsp.server= nor DHCP names a server." "the boot menu on the server."
# What the server chooses the drivers by at the next boot.
nic_alias=''
read -r nic_alias 2>/dev/null <"/sys/class/net/$nic/device/modalias"
report network
wait "$modules"
mount_root
say "root mounted ($transport)"
report root
code_in_root
echo "$hostname" >/proc/sys/kernel/hostname
run_features
[ $$ != 1 ] || start "$@"
directories
say "the distribution's own initrd goes on"
