# needs: LTSP_API 1
# shellcheck shell=dash disable=SC2154
# The server's homes by NFS, where it exports them (NFS_HOME). They are mounted before people log in, and if that fails,
# at each use until it succeeds. Nobody can write to the directory below, so nothing is ever written beside the homes.

# $ltsp/homes is there if the server exports homes; NFS_HOME=0 leaves them out on some clients. In a trial there is no
# server that anything could be mounted from.
if [ ! -s "$ltsp/homes" ] || [ "$NFS_HOME" = 0 ] || [ "$trial" = 1 ]; then return 0; fi
# These are mounted below /home, each by itself.
case "$HOME_KIND" in local | guest) return 0 ;; esac
read -r port exported point <"$ltsp/homes"

# name_mount PATH: set unit to the name that systemd has for the mount of a path (systemd.unit(5), "escaping").
name_mount() {
    local rest="${1#/}/" part
    unit=''
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        while :; do
            case "$part" in
                *-*) unit="$unit${part%%-*}\\x2d" part=${part#*-} ;;
                *) break ;;
            esac
        done
        unit="$unit$part${rest:+-}"
    done
}

name_mount "$point"
mkdir -p "$new$point"
# vers: nfs-ganesha 4 fails with 4.2. The kernel's server has the root at the same port. With the root's version, Linux
# would use the root's connection for the homes, too, which comes from a port that anybody can have.
case "$port" in 2049) version=4.2 ;; *) version=4.1 ;; esac
# addr, clientaddr: so the image needs no mount.nfs. The port on this side is one that only root can have (no
# noresvport), and the server refuses others. timeo: a server that was away is noticed, and found again,
# within seconds; reads and writes wait for it, however long that takes (hard). acdirmax: what the person changes on
# the server or on another client is seen after 10 s, not after a minute.
write "$run/systemd/system/$unit.mount" "[Unit]
Description=Homes of the server, by NFS
DefaultDependencies=no
Conflicts=umount.target
Before=umount.target systemd-user-sessions.service
StartLimitIntervalSec=0
[Mount]
What=$server:$exported
Where=$point
Type=nfs4
Options=vers=$version,proto=tcp,port=$port,sec=sys,hard,timeo=100,retrans=2,acdirmin=3,acdirmax=10,nosuid,nodev,\
addr=$server,clientaddr=$address
TimeoutSec=30"
write "$run/systemd/system/$unit.automount" "[Unit]
Description=Homes of the server, mounted at their first use
DefaultDependencies=no
Conflicts=umount.target
Before=umount.target systemd-user-sessions.service
[Automount]
Where=$point"
want "$unit.automount"
want "$unit.mount"
# The server knows clients by this name, and takes the second client of a name for the first one, restarted.
write "$run/modprobe.d/ltsp-homes.conf" "options nfs nfs4_unique_id=ltsp-$mac"
[ -e "$store/login/home" ] || return 0
want ltsp-homes-told.service
{
    keep server "$server"
    echo "busybox=$store/busybox"
    scripts live/homes
} >"$store/homes"
write "$run/systemd/system/ltsp-homes-told.service" "[Unit]
Description=Tell people when the server of their homes is away
[Service]
ExecStart=$store/busybox sh $store/homes
Restart=always
RestartSec=5"
