# needs: LTSP_API 1
# parameter: DISABLE_SESSION_SERVICES text "" Services that people's sessions start only when something asks for them
# parameter: DISABLE_SYSTEM_SERVICES text "" Services that clients start only when something asks for them
# parameter: KEEP_SESSION_SERVICES text "" Services of sessions that run although ltspd or another setting would stop them
# parameter: KEEP_SYSTEM_SERVICES text "" Services that clients run although ltspd or another setting would stop them
# parameter: MASK_SESSION_SERVICES text "" Services and autostart entries that people's sessions never start
# parameter: MASK_SYSTEM_SERVICES text "" Services that clients never start
# shellcheck shell=dash disable=SC2154
# What the image starts and a client does not need, each with its reason; what people work with stays, such as printing, sound
# and Bluetooth. An empty unit file means "masked"; those in system.control come before the administrator's own in /etc, so
# nothing in the image has to be changed. KEEP_SYSTEM_SERVICES has a client run any of them.

# name_unit WORD: set unit to the name of the unit that a setting means: as systemctl(1) has it, a service where
# nothing else is said.
name_unit() {
    unit=$1
    case "$1" in
        *.service | *.socket | *.target | *.mount | *.automount | *.swap | *.path | *.timer | *.slice | *.scope | \
            *.device) ;;
        *) unit=$1.service ;;
    esac
}

# keeps LIST UNIT: whether a list of settings has a unit, with its suffix or without.
keeps() {
    case " $1 " in *" $2 "* | *" ${2%.*} "*) ;; *) return 1 ;; esac
}

# disable KIND LIST KEPT: what `systemctl disable` does with the units of a list, of kind system or user, but for those
# that are kept: it takes away the links that have them started with other units, or under other names, and those of the
# units that belong to them (Also=).
disable() {
    local etc=$new/etc/systemd/$1 kind=$1 kept=$3 each unit units=''
    split "$2"
    set -f
    for each in $words; do
        name_unit "$each"
        case "$unit" in *[!A-Za-z0-9:_.@\\-]*) continue ;; esac
        if keeps "$kept" "$unit"; then continue; fi
        units="$units $unit $(sed -n 's/^Also=//p' "$etc/$unit" "$new/usr/lib/systemd/$kind/$unit" 2>/dev/null)" || :
    done
    # shellcheck disable=SC2086
    set -- $units
    set +f
    for unit in "$@"; do
        for each in "$etc"/*.wants/"$unit" "$etc"/*.requires/"$unit"; do
            if [ -L "$each" ]; then rm "$each"; fi
        done
        for each in "$etc"/*; do
            if [ ! -L "$each" ]; then continue; fi
            case "$(readlink "$each")" in */"$unit") rm "$each" ;; esac
        done
        # Scripts of System V, whose links begin with a number.
        for each in "$new"/etc/rc?.d/S??"${unit%.service}"; do
            if [ "$kind" = system ] && [ -L "$each" ]; then rm "$each"; fi
        done
    done
}

control=$run/systemd/system.control
split "$KEEP_SYSTEM_SERVICES"
# NFS before version 4 needs rpcbind, on the client too.
# What the kernel has mounted is mounted anew if a line names it.
remount='systemd-remount-fs'
while read -r _ point type _; do
    case "$type" in nfs*) words="$words rpcbind" ;; esac
    case "$point" in / | /usr | /dev* | /proc* | /run* | /sys*) remount='' ;; esac
done <"$new/etc/fstab"
# What a server serves with. The image may be the server itself.
serving='ltsp ltspd dnsmasq nfs-server nfs-kernel-server nfs-ganesha nfs-ganesha-lock nfs-mountd rpcbind rpcbind.socket
    nbd-server radvd epoptes isc-dhcp-server isc-dhcp-server6 kea-dhcp4-server tftpd-hpa'
# They look for updates, copy the list of packages or make indexes, on each client anew, and what they write fills the RAM that
# changes are in.
updating='apt-daily apt-daily.timer apt-daily-upgrade apt-daily-upgrade.timer apt-show-versions.timer dnf-makecache
    dnf-makecache.timer dpkg-db-backup dpkg-db-backup.timer exim4-base.timer fwupd-refresh fwupd-refresh.timer man-db
    man-db.timer mlocate.timer motd-news.timer packagekit-background.timer pacman-filesdb-refresh.timer
    plocate-updatedb.timer snapd.snap-repair.timer ua-timer.timer unattended-upgrades unattended-upgrades.timer
    update-notifier-download.timer update-notifier-motd.timer updatedb.timer'
# What they make, the image has: its packages have called the same programs when they were installed. systemd runs them at
# the first boot of a system, before all else, and each boot of a client is one.
installing='ldconfig systemd-hwdb-update systemd-journal-catalog-update systemd-sysusers systemd-update-done'
# They look after file systems and partitions on disks. systemd-repart loads two modules before it finds that it has no work.
tending='e2scrub_all e2scrub_all.timer e2scrub_reap fstrim fstrim.timer systemd-repart'
# They keep for the next boot, in RAM that ends with this one: the journal, when this boot began, a seed for random numbers, and
# records of a kernel that crashed, which would be taken from where they last.
keeping='systemd-journal-flush systemd-pstore systemd-random-seed systemd-update-utmp systemd-update-utmp-runlevel'
# The network is there, because the root comes by it. These wait up to two minutes for other cards: those without a
# cable, or without a DHCP server.
online='systemd-networkd-wait-online NetworkManager-wait-online ifupdown-wait-online systemd-networkd-wait-online@'
# AppArmor compiles its profiles at each boot, which takes seconds. rsyslog writes the journal to files, which have no bound.
other='apparmor rsyslog'
# Views into the kernel for those who develop it, and huge pages for programs that reserve them; two of them load a module.
# Programs find message queues, FUSE and the rest without, and mount(8) has any of them at once.
looking='dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount'
# It would find no module to load, and starts all the same, as most images have such files without a name in them.
loading='systemd-modules-load'
for each in "$new"/etc/modules-load.d/*.conf "$new"/usr/lib/modules-load.d/*.conf "$new"/usr/local/lib/modules-load.d/*.conf \
    "$run"/modules-load.d/*.conf "$new"/etc/modules; do
    if [ ! -f "$each" ]; then continue; fi
    while read -r type _; do
        case "$type" in '' | '#'* | ';'*) ;; *) loading='' ;; esac
    done <"$each"
done
case "$cmdline" in *modules?load=*) loading='' ;; esac
# It makes the kernel run programs of other machines and of Wine. Python's and LLVM's half-made programs, for which packages have
# it too, are run by their own programs.
foreign='systemd-binfmt proc-sys-fs-binfmt_misc.automount'
for each in "$new"/etc/binfmt.d/*.conf "$new"/usr/lib/binfmt.d/*.conf "$new"/usr/local/lib/binfmt.d/*.conf \
    "$run"/binfmt.d/*.conf "$new"/var/lib/binfmts/*; do
    case "$each" in *'*'* | */python*.conf | */llvm-*.conf) ;; *) foreign='' ;; esac
done
kept=$words
split "$serving $updating $installing $tending $keeping $online $other $looking $remount $loading $foreign"
masked=" $words "
# No word of a setting is a pattern of file names.
set -f
# A word of KEEP_SYSTEM_SERVICES without a suffix means all units of that name. Few words are looked for in a long list, as
# the other way round takes a slow machine a tenth of a second.
for each in $kept; do
    for unit in "$each" "${each%.service}" "$each.socket" "$each.timer" "$each.mount" "$each.automount"; do
        case "$masked" in *" $unit "*) masked="${masked%%" $unit "*} ${masked#*" $unit "}" ;; esac
    done
done
for each in $masked; do
    case "$each" in *.socket | *.timer | *.mount | *.automount) : >"$control/$each" ;; *) : >"$control/$each.service" ;; esac
done
for each in $MASK_SYSTEM_SERVICES; do
    name_unit "$each"
    keeps "$kept" "$unit" && continue
    case "$unit" in */*) ;; *) : >"$control/$unit" ;; esac
done
words=$kept
set +f
[ -z "$DISABLE_SYSTEM_SERVICES" ] || disable system "$DISABLE_SYSTEM_SERVICES" "$words"
for each in "$new"/usr/lib/systemd/system/ltspd-*; do
    [ ! -e "$each" ] || : >"$control/${each##*/}"
done

# People's sessions: updates are made on the server. Units in /etc come before those of the distribution, and what is not
# a unit is an autostart entry.
split "$KEEP_SESSION_SERVICES"
set -f
for each in gnome-software-service org.gnome.Software update-notifier $MASK_SESSION_SERVICES; do
    name_unit "$each"
    keeps "$words" "$unit" && continue
    case "$unit" in */*) continue ;; esac
    write "$new/etc/systemd/user/$unit" ''
    : >"$new/etc/systemd/user/$unit"
    each=$new/etc/xdg/autostart/${each%.service}.desktop
    if [ -e "$each" ]; then rm "$each"; fi
done
set +f
[ -z "$DISABLE_SESSION_SERVICES" ] || disable user "$DISABLE_SESSION_SERVICES" "$words"

# Programs that systemd runs before all else, to make units of what an image has. The first one looks for partitions of the
# client's own disk and mounts them. The others look for what no client has: a disk that it slept on, updates to be made at a
# boot, encrypted or checked disks that the image does not name, a script that the image does not have.
skipped='systemd-gpt-auto-generator systemd-hibernate-resume-generator systemd-system-update-generator'
[ -s "$new/etc/crypttab" ] || skipped="$skipped systemd-cryptsetup-generator"
[ -s "$new/etc/veritytab" ] || skipped="$skipped systemd-veritysetup-generator"
[ -s "$new/etc/integritytab" ] || skipped="$skipped systemd-integritysetup-generator"
[ -x "$new/etc/rc.local" ] || [ -x "$new/etc/rc.d/rc.local" ] || skipped="$skipped systemd-rc-local-generator"
# These follow words of the kernel's command line, as systemd.run= or rd.luks.uuid=.
case "$cmdline" in
    *systemd.* | *luks.* | *rd.*) skipped=systemd-gpt-auto-generator ;;
    *) skipped="$skipped systemd-debug-generator systemd-run-generator" ;;
esac
for each in $skipped; do : >"$run/systemd/system-generators/$each"; done
write "$run/systemd/system.conf.d/ltsp.conf" "[Manager]
DefaultTimeoutStopSec=10s"
# The journal's own directory lies in the overlay, in RAM without a bound; in /run its size has a bound.
write "$run/systemd/journald.conf.d/ltsp.conf" "[Journal]
Storage=volatile
RuntimeMaxUse=8M"
# Browsers need user namespaces for their sandboxes; AppArmor's profiles, which allow them that, are not loaded.
write "$run/sysctl.d/50-ltsp.conf" "-kernel.apparmor_restrict_unprivileged_userns=0"
# Images have no host keys, so sshd's own check before its start fails. A client is known by its own key here, too, and so
# always by the same one if it keeps that; it may have to wait for it. Keys of other kinds are made anew at each boot.
own=$store/login/key host=/etc/ssh/ssh_host_ed25519_key
# Fedora and Arch have another name than Debian, where that is an alias.
each=ssh
[ ! -f "$new/usr/lib/systemd/system/sshd.service" ] || each=sshd
keys=''
[ ! -e "$store/key" ] || keys="
ExecStartPre=-$store/busybox timeout 60 $store/busybox sh -c 'until [ -e $own ]; do sleep 0.2; done'
ExecStartPre=-$store/busybox cp -p $own $host
ExecStartPre=-$store/busybox cp $own.pub $host.pub"
write "$run/systemd/system/$each.service.d/ltsp.conf" "[Service]
ExecStartPre=$keys
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t"
