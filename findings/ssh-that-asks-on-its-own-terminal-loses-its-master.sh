#!/bin/sh
# OpenSSH 9.2 (Debian 12): `ssh -M -f -N` that leads the session of its terminal exits with 0, and its master is gone.
#
# A program that lets ssh ask for a password on a pty of its own (pty.fork(), expect, PAM modules) makes ssh the
# leader of that terminal's session. With -f, ssh goes to the background when it is logged in: its parent exits with 0
# at once, and the terminal then hangs up on the child, which is often not yet in a session of its own. So the caller
# is told of a connection that does not exist. If SIGHUP is ignored when ssh starts, the master always stays.
#
# Seen on Debian 12, 2026-11-29 (as root, because sshd runs in a network namespace of its own):
#   usual: ssh ended with 0 in 20 of 20, a master was lost
#   SIGHUP ignored: ssh ended with 0 in 20 of 20, no master was lost
set -eu
[ "$(id -u)" = 0 ] || {
    echo "this needs root"
    exit 1
}
if [ "${1-}" != inside ]; then
    self=$(realpath "$0")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    chmod 755 .
    for package in openssh-client openssh-server; do
        apt-get -q download $package=1:9.2p1-2+deb12u10 >/dev/null 2>&1
    done
    for file in *.deb; do dpkg-deb -x "$file" .; done
    unshare --net --mount --pid --fork --kill-child "$self" inside "$work"
    exit
fi

work=$2
cd "$work"
ip link set lo up
mount -t proc proc /proc
mount -t tmpfs run /run
mkdir /run/sshd
cp /etc/passwd passwd
grep -q '^sshd:' passwd || echo 'sshd:x:120:65534::/run/sshd:/usr/sbin/nologin' >>passwd
mount --bind passwd /etc/passwd
# A key stands in for the password, which changes nothing here.
usr/bin/ssh-keygen -q -t ed25519 -N '' -f host
usr/bin/ssh-keygen -q -t ed25519 -N '' -f key
cp key.pub authorized
cat >sshd_config <<END
Port 2022
ListenAddress 127.0.0.1
HostKey $work/host
AuthorizedKeysFile $work/authorized
PermitRootLogin yes
UsePAM no
StrictModes no
PidFile none
END
"$work/usr/sbin/sshd" -f sshd_config -E "$work/log"
sleep 1
cat >try.py <<'END'
import os, pty, signal, subprocess, sys

work, ignored = sys.argv[1], sys.argv[2] == "ignored"
options = ["-F", "none", "-p", "2022", "-i", f"{work}/key", "-o", f"UserKnownHostsFile={work}/known"]
options += ["-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
ended = lost = 0
for number in range(20):
    socket = f"{work}/{'i' if ignored else 'u'}{number}"
    pid, terminal = pty.fork()
    if pid == 0:
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(f"{work}/usr/bin/ssh", ["ssh", *options, "-M", "-S", socket, "-f", "-N", "root@127.0.0.1"])
    ended += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    stop = [f"{work}/usr/bin/ssh", *options, "-S", socket, "-O", "exit", "root@127.0.0.1"]
    lost += subprocess.run(stop, capture_output=True).returncode != 0
what = "SIGHUP ignored" if ignored else "usual"
print(f"{what}: ssh ended with 0 in {ended} of 20, {'a' if lost else 'no'} master was lost")
END
{
    python3 try.py "$work" usual
    python3 try.py "$work" ignored
} | tee seen
cat >expected <<'END'
usual: ssh ended with 0 in 20 of 20, a master was lost
SIGHUP ignored: ssh ended with 0 in 20 of 20, no master was lost
END
diff -u expected seen && echo "as stated above"
