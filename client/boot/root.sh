# shellcheck shell=dash disable=SC2154,SC2034
# The root file system: layers by NFS, NBD or HTTP, and a writable overlay in RAM above them.
#
# All mounts are below /run/initramfs, because systemd does not unmount that directory at shutdown; the running root
# would hang without its layers.

store=/run/initramfs/ltsp
new=/sysroot
# Seconds in which a silent server is asked again: it may be starting, or serve a whole class.
patience=60
# A read-ahead of 128 KiB. NFS in some kernels has a far larger default, which costs a slow network seconds for data
# that nobody reads; a smaller one costs throughput.
readahead=128

# retry WHAT COMMAND…: run it until it succeeds, for $patience seconds, with growing pauses.
retry() {
    local what=$1 pause=0.2 deadline
    shift
    tick
    deadline=$((clock + patience))
    while ! "$@"; do
        tick
        [ "$clock" -lt "$deadline" ] || return 1
        say "$what failed, trying again for $((deadline - clock)) s"
        sleep "$pause"
        case "$pause" in 0.2) pause=1 ;; 1) pause=2 ;; *) pause=5 ;; esac
    done
}

# mount_root: mount the layers by $transport, then the overlay; else `fail`.
mount_root() {
    local lower='' count=0 digest size
    # snapd and AppArmor derive the upper directory from the overlay's source, so that must be the mount point of
    # the tmpfs, with `up` directly below it.
    mkdir -p "$store" "$new"
    mount -t tmpfs -o "mode=755,size=$root_size" ltsp "$store" || fail "the memory file system can't be mounted." \
        "this client's RAM; 512 MB is the least."
    mkdir "$store/up" "$store/work" "$store/layers"
    "prepare_$transport"
    while read -r digest size; do
        is_digest "$digest" || fail "the layer list of this boot initrd is damaged." \
            "'ltspctl image build $image' on the server."
        mkdir "$store/layers/$count"
        "layer_$transport" "$digest" "$size" "$count"
        # The topmost layer comes first for overlayfs.
        lower=$store/layers/$count${lower:+:$lower}
        count=$((count + 1))
    done </ltsp/layers
    [ "$transport" != nfsdir ] || lower=$store/nfs count=1
    [ "$count" -gt 0 ] || fail "this boot initrd lists no layers." "'ltspctl image build $image' on the server."
    mount -t overlay -o "lowerdir=$lower,upperdir=$store/up,workdir=$store/work" "$store" "$new" 2>/run/ltsp-error ||
        fail "the writable root can't be put together." "'dmesg | tail': is overlayfs in this kernel?"
    # The server does not show us root's home, and root can't log in without one.
    [ "$transport" != nfsdir ] || mount -t tmpfs -o mode=700,size=10% root "$new/root" 2>/dev/null
}

# mount_layer SOURCE COUNT: mount a squashfs; busybox makes the loop device itself if SOURCE is a file.
mount_layer() {
    mount -r -t squashfs "$1" "$store/layers/$2" 2>/run/ltsp-error
}

prepare_nfs() {
    local device point
    mkdir "$store/nfs"
    retry "NFS from $server" mount_nfs "$images" nocto,actimeo=3600 ||
        fail "$server does not serve $images by NFS (tried for $patience s)." \
            "the server: is its NFS service running, does a firewall block port 2049?"
    while read -r _ _ device _ point _; do
        [ "$point" = "$store/nfs" ] && echo "$readahead" >"/sys/class/bdi/$device/read_ahead_kb"
    done </proc/self/mountinfo
}

# prepare_nfsdir: the chroot itself is the lower directory. The server shows us only what everybody may read, so files
# of root can neither be read nor copied up. Those that a system needs are made again; those that it makes itself if
# they are missing are hidden (a device 0:0, for overlayfs).
prepare_nfsdir() {
    local directory=${images%/images}/$image name file
    mkdir "$store/nfs"
    retry "NFS from $server" mount_nfs "$directory" actimeo=30 ||
        fail "$server does not serve $directory by NFS (tried for $patience s)." \
            "the server: 'ltspctl image build --direct $image', and is its NFS service running?"
    mkdir -p "$store/up/etc/ssh"
    for name in shadow gshadow; do
        (umask 027 && : >"$store/up/etc/$name")
        # Programs that check passwords run in its group.
        chown "0:$(stat -c %g "$store/nfs/etc/$name")" "$store/up/etc/$name"
    done
    while IFS=: read -r name _; do
        echo "$name:*:19000:0:99999:7:::" >>"$store/up/etc/shadow"
    done <"$store/nfs/etc/passwd"
    for file in "$store/nfs"/etc/ssh/ssh_host_*_key "$store/nfs"/etc/ssh/ssh_host_*_key.pub; do
        [ -e "$file" ] && mknod "$store/up${file#"$store/nfs"}" c 0 0
    done
}

# mount_nfs DIRECTORY OPTIONS: the port is tried first, because the kernel's own attempt hangs for minutes if
# nobody answers.
mount_nfs() {
    nc -w 2 "$server" 2049 -e /bin/true 2>/run/ltsp-error || return 1
    # An NFS 4.1 server knows clients by their host names, which are all "(none)" here. It takes the second client of
    # a name for the first one, restarted, and ends the session of the first; then both hang for a minute (Linux,
    # Documentation/filesystems/nfs/client-identifier.rst).
    echo "ltsp-$mac" 2>/run/ltsp-error >/sys/module/nfs/parameters/nfs4_unique_id
    # vers=4.1: one port, and 4.2's READ_PLUS fails against nfs-ganesha. noresvport: a service of the image may need
    # the reserved port. nocto and a long actimeo save requests, because published files never change.
    timeout -s KILL 20 mount -t nfs4 -o "ro,vers=4.1,proto=tcp,sec=sys,noresvport,$2,rsize=131072,\
addr=$server,clientaddr=$address" "$server:$1" "$store/nfs" 2>/run/ltsp-error
}

layer_nfs() {
    local file="$store/nfs/$image/layers/$1.squashfs"
    retry "layer $1" test -f "$file" || gone "$1"
    mount_layer "$file" "$3" || broken "$1"
    for file in /sys/block/loop*/loop; do
        [ -e "$file" ] && echo "$readahead" >"${file%/loop}/queue/read_ahead_kb"
    done
}

prepare_nbd() {
    local count=2
    [ -x /ltsp/nbd/bin/nbd-client ] || fail "the boot menu asks for NBD but did not load nbd.img." \
        "the server: is nbd.img beside ltsp.img? 'journalctl -u ltspd' says why not."
    # Each device costs a kernel thread and an event in udev; two more are for the image's own use of NBD.
    while read -r _; do count=$((count + 1)); done </ltsp/layers
    modprobe nbd "nbds_max=$count" max_part=0
}

layer_nbd() {
    retry "NBD from $server" connect_nbd "$1" "/dev/nbd$3" || gone "$1"
    echo "$readahead" >"/sys/block/nbd$3/queue/read_ahead_kb"
    mount_layer "/dev/nbd$3" "$3" || broken "$1"
}

# connect_nbd DIGEST DEVICE: connect with our own program (nbd/nbd-client.c), which also keeps the connection. It is
# called by its path, because busybox has an applet of this name, and its shell prefers applets.
connect_nbd() {
    timeout 15 /ltsp/nbd/bin/nbd-client "$server" 10809 "$2" -N "$1" >/run/ltsp-error 2>&1
}

prepare_http() {
    local digest size key value total=0 free=0
    while read -r digest size; do total=$((total + size)); done </ltsp/layers
    while read -r key value _; do
        [ "$key" = MemAvailable: ] && free=$((value * 1024))
    done </proc/meminfo
    # Memory that the running system needs besides the image, so that it is not killed soon after its start.
    [ $((total + 200000000)) -le "$free" ] ||
        fail "the image has $(megabytes $total) and this client only $(megabytes "$free") of free RAM." \
            "ltsp.root= of this client: nfs and nbd need no RAM for the image."
    case "$base" in
        http://*) ;;
        *) fail "ltsp.base= is no http address, so the image can't be fetched." "the boot menu on the server." ;;
    esac
    mkdir "$store/ram"
    mount -t tmpfs -o "mode=755,size=$((total / 1024 + 1024))k" ltsp-image "$store/ram"
    say "fetching $(megabytes $total) into RAM"
}

layer_http() {
    local file="$store/ram/$1.squashfs"
    retry "$base/images/$image/layers/$1.squashfs" fetch "$base/images/$image/layers/$1.squashfs" "$file" "$2" ||
        gone "$1"
    mount_layer "$file" "$3" || broken "$1"
}

# fetch URL FILE SIZE: go on where an earlier attempt ended. busybox's wget has no time limit, so a watcher ends it
# when no byte came for 15 s.
fetch() {
    local pid watcher had
    wget -q -c -O "$2" "$1" 2>/run/ltsp-error &
    pid=$!
    {
        size=''
        while had=$size && sleep 15 && size=$(stat -c %s "$2" 2>/dev/null) && [ "$size" != "$had" ]; do :; done
        kill "$pid"
    } 2>/dev/null &
    watcher=$!
    wait "$pid"
    kill "$watcher" 2>/dev/null
    had=$(stat -c %s "$2" 2>/dev/null)
    [ "$had" = "$3" ] && return
    # A longer file is another file, so start again.
    [ "${had:-0}" -lt "$3" ] || rm -f "$2"
    return 1
}

gone() {
    fail "layer $1 of image $image can't be had from $server by $transport." \
        "the server: was this generation ($generation) removed meanwhile? A reboot gets the current one."
}

broken() {
    fail "layer $1 of image $image is not a squashfs that this kernel can mount." \
        "'dmesg | tail' here, and 'ltspctl image build $image' on the server."
}

# directories: make those on which the kernel's file systems will be mounted.
directories() {
    local each
    for each in run dev proc sys; do
        [ -d "$new/$each" ] || mkdir "$new/$each"
    done
}

# mount_kernels HOW: bind or move the kernel's file systems to the new root. One process does all of them; proc comes last,
# because that process needs it.
mount_kernels() {
    local each
    for each in run dev sys proc; do echo "/$each $new/$each none $1 0 0"; done >"$ltsp/mounts"
    mount -a -T "$ltsp/mounts"
}

# start: hand over to the distribution's init, with its kernel file systems in place.
start() {
    init=${init:-/sbin/init}
    # Its links are for the new root, and may look broken from here.
    [ -e "$new$init" ] || [ -L "$new$init" ] || fail "the image has no $init." "init= of KERNEL_PARAMETERS, or the image."
    directories
    say "starting $init"
    mount_kernels move
    # shellcheck disable=SC2093
    exec switch_root -c /dev/console "$new" "$init" "$@"
    fail "$init of the image can't be started." "the image."
}
