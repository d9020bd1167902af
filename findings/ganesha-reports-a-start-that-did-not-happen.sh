#!/bin/sh
# nfs-ganesha 4.3 (Debian 12): `ganesha.nfsd` goes to the background before it has read its configuration or bound its
# port, and exits with 0. What then goes wrong only stands in its log.
#
# Other servers that fork go to the background when their sockets are bound, so a unit with Type=forking (which is
# Debian's own for it) fails to start if the port is taken. Here `systemctl start` succeeds and the service is gone a
# moment later; the same with a configuration that can't be read. A relative path of the configuration is one of these:
# the process has changed to / by then.
#
# Seen on Debian 12, 2026-11-29 (as root):
#   sound: exit status 0; 3 s later it runs
#   port taken: exit status 0; 3 s later it has ended
#   no such configuration: exit status 0; 3 s later it has ended
#   relative path: exit status 0; 3 s later it has ended
set -eu
if [ "${1-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "this needs root, for namespaces of its own"; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (
        cd "$work"
        apt-get -q download nfs-ganesha=4.3-2 nfs-ganesha-vfs=4.3-2 libntirpc4.3=4.3-2 >/dev/null 2>&1
        for each in *.deb; do dpkg-deb -x "$each" .; done
    )
    status=0
    # What is started in there ends with the namespace of processes.
    unshare --net --mount --pid --fork --mount-proc sh "$0" inside "$work" || status=$?
    exit $status
fi

work=$2
lib=$work/usr/lib/x86_64-linux-gnu
ip link set lo up
mount -t tmpfs tmpfs /run
cd "$work"
mkdir state export
cat >conf <<END
NFS_CORE_PARAM {
    Protocols = 4;
    NFS_Port = 2049;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    Plugins_Dir = "$lib/ganesha";
}
NFSv4 { RecoveryRoot = "$work/state"; Graceless = true; }
EXPORT {
    Export_Id = 1;
    Path = "$work/export";
    Pseudo = "/export";
    Protocols = 4;
    Transports = TCP;
    FSAL { Name = VFS; }
}
END

start() {
    rm -f pid
    status=0
    LD_LIBRARY_PATH=$lib usr/bin/ganesha.nfsd -f "$2" -L "$work/log" -p "$work/pid" -N EVENT || status=$?
    sleep 3
    state="has ended"
    pid=$(cat pid 2>/dev/null || :)
    if [ "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        state=runs
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    fi
    echo "$1: exit status $status; 3 s later it $state"
}

{
    start "sound" "$work/conf"
    python3 -c 'import socket, time
with socket.create_server(("::", 2049), family=socket.AF_INET6):
    time.sleep(60)' &
    sleep 1
    start "port taken" "$work/conf"
    kill $!
    start "no such configuration" "$work/none"
    start "relative path" conf
} | tee seen
cat >expected <<'END'
sound: exit status 0; 3 s later it runs
port taken: exit status 0; 3 s later it has ended
no such configuration: exit status 0; 3 s later it has ended
relative path: exit status 0; 3 s later it has ended
END
diff -u expected seen && echo "as stated above"
