"""Homes of the lab's server: a file system for them, people, and ways to have them on a client by hand."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.client import Client
from tests.lab.net import SERVER_ADDRESS, ip
from tests.lab.server import Server

PEOPLE = {"alice": 1500, "bob": 1501}
# By hand: an sshd that knows one key, and the options of client/live/home.sh.
_SSHD = """mkdir -p /run/sshd /run/homes && cd /run/homes
[ -e host ] || ssh-keygen -q -t ed25519 -N '' -f host
[ -e key ] || ssh-keygen -q -t ed25519 -N '' -f key
printf '%s\\n' 'Port 10999' 'HostKey /run/homes/host' 'PasswordAuthentication no' 'StrictModes no' \\
    'AuthorizedKeysFile /run/homes/key.pub' 'PidFile /run/homes/pid' 'Subsystem sftp internal-sftp' \\
    'ForceCommand internal-sftp' >conf
[ -e pid ] || /usr/sbin/sshd -f conf
"""
_SSHFS = (
    "reconnect,nosuid,nodev,allow_other,default_permissions,negative_timeout=1,no_contain_symlinks,setuid={},"
    "drop_privileges"
)
_CARRY = """#!/bin/sh
exec /usr/bin/ssh -p 10999 -i /run/homes/key -o BatchMode=yes -o StrictHostKeyChecking=no \\
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
"""

# A person's program that writes a number a line, each with fsync, and notes in RAM what failed.
WRITER = """cat >/run/writer <<'END'
n=0
while [ -e /run/on ]; do
    n=$((n + 1))
    echo "$n" | dd of=numbers oflag=append conv=notrunc,fsync status=none 2>>/run/wrong || echo >>/run/wrong
    echo "$n" >/run/written
done
END
: >/run/wrong; : >/run/on; : >/run/written; chmod 666 /run/wrong /run/written
(setsid su - alice -c 'sh /run/writer' </dev/null >/dev/null 2>&1 &)"""


def make_people(server: Server) -> None:
    """Make people, with homes that are empty and theirs alone."""
    for name, uid in PEOPLE.items():
        server.run(
            f"id {name} 2>/dev/null || useradd --uid {uid} -M -d /home/{name} -s /bin/bash {name}; "
            f"usermod -p '*' {name}; mkdir -m 700 /home/{name} && chown {uid}:{uid} /home/{name}"
        )


@contextmanager
def file_system(server: Server, megabytes: int) -> Iterator[None]:
    """Give the server a /home of its own for a while, with people.

    An NFS server in user space can't name files of an overlay, as the server's root is.
    """
    server.run(
        f"truncate -s {megabytes}M /srv/ltsp/.homes && mkfs.ext4 -q -m 20 /srv/ltsp/.homes && "
        "mkdir -p /home && mount -o loop /srv/ltsp/.homes /home && rmdir /home/lost+found"
    )
    try:
        make_people(server)
        yield
    finally:
        server.run("systemctl stop ltspd-homes; umount /home && rm /srv/ltsp/.homes", check=False)


def person(name: str, command: str) -> str:
    """Return the command that does something as a person in the person's home."""
    return f"su - {name} -c {shlex.quote(command)}"


def mount_again(client: Client, point: str, port: int = 2050) -> None:
    """Mount the homes a second time, as another client would: nothing is shared with the first mount."""
    own = "$(hostname -I | cut -d' ' -f1)"
    options = (
        f"vers=4.1,proto=tcp,port={port},nosharecache,nosuid,nodev,addr={SERVER_ADDRESS},clientaddr={own}"
    )
    client.shell(f"mkdir -p {point} && mount -t nfs4 -o {options} {SERVER_ADDRESS}:/home {point}")


def mount_by_ssh(server: Server, client: Client, name: str, *points: str) -> None:
    """Mount the home of a person by SSHFS at some places."""
    server.run(_SSHD)
    key = server.run("cat /run/homes/key")
    client.shell(
        f"mkdir -p /run/homes && cat >/run/homes/key <<'END'\n{key}END\n"
        f"cat >/run/homes/carry <<'END'\n{_CARRY}END\n"
        f"chmod 755 /run/homes/carry; chmod 600 /run/homes/key; chown {name} /run/homes /run/homes/key"
    )
    options = f"{_SSHFS.format(name)},ssh_command=/run/homes/carry"
    for point in points:
        source = f"sshfs#{name}@{SERVER_ADDRESS}:/home/{name}"
        client.shell(f"mkdir -p {point} && modprobe fuse; mount.fuse3 {source} {point} -o {options}")


def cut(client: Client, *, off: bool) -> None:
    """Pull a client's cable, or plug it in again."""
    ip(client.lan.switch, f"link set {client.tap} {'down' if off else 'up'}")


def put(client: Client, text: str, path: str) -> None:
    """Write a program to a client, in pieces that its terminal can take."""
    client.shell(f": >{path}")
    lines = text.splitlines(keepends=True)
    for at in range(0, len(lines), 50):
        client.shell(f"cat >>{path} <<'END-OF-PIECE'\n{''.join(lines[at : at + 50])}END-OF-PIECE")


def write(client: Client) -> None:
    """Begin to write numbers on a client, as a person in the home."""
    client.shell(WRITER)


def goes_on(server: Server, client: Client, count: int = 20) -> None:
    """Wait until so many more numbers are written."""

    def written() -> int:
        return int(client.shell("cat /run/written").strip() or 0)

    before = written()
    server.wait_for(lambda: written() >= before + count)


def ends(server: Server, client: Client) -> None:
    """End the writer, and check that the server has every number that it wrote, once."""
    client.shell("rm /run/on; while pgrep -f /run/writer >/dev/null; do sleep 1; done")
    last = int(client.shell("cat /run/written"))
    assert client.shell("cat /run/wrong").strip() == ""
    assert server.run("cat /home/alice/numbers").split() == [str(n) for n in range(1, last + 1)]
    client.shell(person("alice", "rm numbers"))
