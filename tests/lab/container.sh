#!/bin/sh
# The server's container, seen from inside a mount namespace of its own: all mounts made here vanish
# with the container's last process, however it ends.
#   container.sh NAME TREE DIRECTORY NETNS REPOSITORY [NSPAWN-ARGUMENT…]
# DIRECTORY takes the writable layer and the real /srv/ltsp (an export of files needs file handles, which
# an overlay does not have). Started by server.py with `unshare --mount`.
set -eu
name=$1 tree=$2 directory=$3 netns=$4 repository=$5
shift 5

# Without a systemd outside, the container's systemd takes the control group it finds itself in for its own
# root. Two containers in one group would end each other's services.
while IFS=: read -r _ controllers path; do
    case $controllers in
    '') top=/sys/fs/cgroup/unified ;;
    name=*) top=/sys/fs/cgroup/${controllers#name=} ;;
    *) top=/sys/fs/cgroup/$controllers ;;
    esac
    [ -d "$top" ] || top=/sys/fs/cgroup
    mkdir -p "$top/$name" 2>/dev/null || continue
    for setting in cpuset.cpus cpuset.mems; do
        [ -e "$top/$setting" ] && cat "$top/$setting" >"$top/$name/$setting"
    done
    echo $$ >"$top/$name/cgroup.procs" 2>/dev/null || : "stays in $path"
done </proc/self/cgroup

root=$directory/root
mkdir -p "$root" "$directory/upper" "$directory/work" "$directory/srv"
mount -t overlay -o "lowerdir=$tree,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"

# A known machine-id: without one systemd takes this for the first boot, and enables every unit there is.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
echo ltsp-server >"$root/etc/hostname"
mkdir -p "$root/srv/ltsp"
if [ -e "$repository/Makefile" ]; then
    make -C "$repository" --no-print-directory --silent install "DESTDIR=$root"
fi
[ ! -e "$root/lib/systemd/system/ltspd.service" ] || systemctl --root="$root" --quiet enable ltspd.service

for device in /dev/loop-control /dev/loop[0-9] /dev/loop[0-9][0-9] /dev/net/tun /dev/fuse; do
    [ -e "$device" ] && set -- "$@" "--bind=$device"
done
# From version 258 on systemd needs the unified hierarchy of control groups, whatever the machine has.
for library in "$tree"/usr/lib/*-linux-gnu/systemd/libsystemd-shared-*.so; do
    version=${library##*-shared-} version=${version%%[!0-9]*}
    [ "${version:-0}" -lt 258 ] || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
done
# open_by_handle_at: what an NFS server in user space opens files with; nspawn's own filter refuses it.
exec systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --machine="$name" \
    --network-namespace-path="/run/netns/$netns" --capability=all --system-call-filter=open_by_handle_at \
    --console=pipe --resolv-conf=off --timezone=off --link-journal=no \
    --bind="$directory/srv:/srv/ltsp" "$@"
