"""A server that judges logins and a client that asks it: namespaces over Debian trees, joined by a cable.

All that they write is in memory, and everything ends with the first process of each.
"""

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import REPOSITORY
from tests.lab.session import end
from tests.patience import PATIENCE

HERE = Path(__file__).parent
SERVER, CLIENT, PORT = "10.9.0.1", "10.9.0.2", 2222
LOGIN = "/run/ltsp/login"
MODULE = f"{LOGIN}/pam_ltspd.so"
PASSWORD = "Pumpkin-7-Lantern"
# What another module of the client has asked for before ours.
PRESET = "Window-4-Curtain"
# Makes the root of a machine; the last shell is the machine's first process, which reaps all others.
_BOOT = """set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work" machine root
cd root
mount -t proc proc proc
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ip link set lo up
exec chroot . sh -c 'echo up; exec >/dev/null; sleep infinity & wait'
"""


@dataclass(slots=True)
class Machine:
    """One of the two: ``run`` runs a shell script there, ``put`` writes a file."""

    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        """The first process, whose namespaces are the machine's."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def command(self, *argv: str) -> list[str]:
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts", "--root", "--wd"]
        return [*enter, "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", *argv]

    def run(self, script: str, *, stdin: str = "", check: bool = True) -> str:
        """Return what a script printed; raises RuntimeError with that if it fails."""
        done = subprocess.run(
            self.command("sh", "-ec", script),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        if check and done.returncode:
            raise RuntimeError(f"{script!r} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def put(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        target = Path(f"/proc/{self.pid}/root{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        # A program of that name may be running.
        target.unlink(missing_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)

    def get(self, path: str) -> str:
        return Path(f"/proc/{self.pid}/root{path}").read_text()


def boot(tree: Path, place: Path) -> Machine:
    place.mkdir()
    command = ["setpriv", "--pdeathsig", "KILL", "--"]
    command += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"]
    command += ["sh", "-c", _BOOT, "boot", str(place), str(tree)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    if process.stdout.readline() != b"up\n":
        end(process)
        raise RuntimeError("a machine did not come up")
    process.stdout.close()
    return Machine(process)


@contextlib.contextmanager
def machines(tree: Path, place: Path) -> Iterator[tuple[Machine, Machine]]:
    """Boot a server and a client, and plug the cable between them."""
    with contextlib.ExitStack() as stack:
        both = []
        for name in ("server", "client"):
            both.append(boot(tree, place / name))
            stack.callback(end, both[-1].process, signal.SIGKILL)
        server, client = both
        cable = f"link add eth0 netns {server.pid} type veth peer name eth0 netns {client.pid}"
        subprocess.run(["ip", *cable.split()], check=True)
        for machine, address in ((server, SERVER), (client, CLIENT)):
            machine.run(f"ip address add {address}/24 dev eth0; ip link set eth0 up")
        yield server, client


class Terminal:
    """A person at a terminal of a machine: a program runs there, `expect` reads, `type` types a line."""

    def __init__(self, machine: Machine, *argv: str) -> None:
        command = machine.command(*argv)
        self.text = ""
        self.pid, self._tty = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a regular expression in what came since the last one; AssertionError has the text."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            try:
                ready, _, _ = select.select([self._tty], [], [], 1)
                data = os.read(self._tty, 4096) if ready else b" "[:0]
                assert not ready or data, f"no {pattern!r}: {self.text!r}"
            except OSError:
                raise AssertionError(f"ended without {pattern!r}: {self.text!r}") from None
            assert time.monotonic() < deadline, f"no {pattern!r}: {self.text!r}"
            self.text += data.decode(errors="replace").replace("\r", "")
        self.text = self.text[found.end() :]
        return found

    def type(self, text: str) -> None:
        os.write(self._tty, f"{text}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self._tty, key)

    def close(self) -> int:
        """Hang up, and return the program's exit status once it ended."""
        with contextlib.suppress(OSError):
            while os.read(self._tty, 4096):
                pass
        os.close(self._tty)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


_SSHD = """Port {port}
ListenAddress {server}
HostKey /etc/ssh/ltspd_key
PidFile none
UsePAM yes
{service}
AuthenticationMethods keyboard-interactive
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication no
PermitRootLogin no
DisableForwarding yes
PermitTTY no
PermitUserRC no
LoginGraceTime 0
UseDNS no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
LogLevel ERROR
"""
_SERVER_PAM = """auth requisite pam_probe.so {ask}
auth required pam_unix.so nodelay
auth [success=1 default=ignore] pam_succeed_if.so quiet user notin otto
auth required pam_oath.so usersfile=/etc/users.oath window=5 digits=6
account required pam_nologin.so
account required pam_unix.so
account required pam_probe.so {account}
{changes}
password required pam_unix.so obscure minlen=8 yescrypt
session required pam_permit.so
"""
_SSH_CONFIG = f"""Host ltsp-login
  HostName {SERVER}
  Port {PORT}
  HostKeyAlias ltsp-login
  UserKnownHostsFile {LOGIN}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  PreferredAuthentications keyboard-interactive
  PubkeyAuthentication no
  ConnectTimeout 5
"""
# Comes after the product's ask.sh. Brings a real mount, and asks the server over the connection.
_HOME = """
exec 2>&1
open_home() {
    if [ -e broken ]; then echo "Your home can't be had: $(cat broken)"; return 1; fi
    if [ -z "$uid" ]; then
        entry=$(echo "$told" | sed -n "s/^ltspd-passwd: \\($2:\\)/\\1/p")
        uid=$(echo "$entry" | cut -d: -f3)
        if [ "${uid:-0}" -lt 1000 ]; then echo "Who are you?"; return 1; fi
        echo "$entry" >>/etc/passwd
        echo "$2:*:20000:0:99999:7:::" >>/etc/shadow
        echo "$2:$uid" >>accounts
    fi
    printf '%s\\n' "$2" 0 "/home/$2" login "$connection" >homes/$uid
    as=$(stat -c %u "$socket")
    setpriv --reuid "$as" --clear-groups ssh -F /dev/null -S "$socket" -o ProxyCommand=false \\
        -o BatchMode=yes -s ltsp-login sftp </dev/null || return 1
    echo "connected $as" >>log
    mkdir -p "/home/$2"
    mount -t tmpfs -o "uid=$uid,mode=700" home "/home/$2"
}
case $1 in
enter | judge | change) "$@" ;;
esac
cd /run/ltsp/login
uid=$(sed -n "s/^$2://p" accounts)
case $1 in
up)
    told=$(cat)
    printf '%s\\n' "$1 $2 $uid $(id -u) $told" >>log
    connection=$uid.$PPID
    [ -n "$uid" ] || connection=new.$PPID
    find_socket
    ! mountpoint -q "/home/$2" || exec ssh -F /dev/null -S "$socket" -O exit ltsp-login 2>/dev/null
    open_home "$@" && exit
    ssh -F /dev/null -S "$socket" -O exit ltsp-login 2>/dev/null
    exit 1
    ;;
down)
    umount "/home/$2" || exit 0
    read_home "$uid"
    rm homes/$uid
    find_socket
    ssh -F /dev/null -S "$socket" -O exit ltsp-login 2>/dev/null || :
    ;;
esac
"""


@dataclass(slots=True)
class School:
    """A server with its sshd, and a client with the module in its PAM stacks."""

    server: Machine
    client: Machine
    release: str
    people: list[str] = field(default_factory=list)

    def set_up(self, modules: Path) -> None:
        library = "/usr/lib/x86_64-linux-gnu/security"
        probe = (modules / "pam_probe.so").read_bytes()
        self.server.put(f"{library}/pam_probe.so", probe)
        self.client.put(f"{library}/pam_probe.so", probe)
        self.server.run("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ltspd_key; mkdir -p /run/sshd")
        self.server.put("/etc/users.oath", "HOTP otto - 3132333435363738393031323334353637383930\n", 0o600)
        self.ask()
        self.serve()
        for name, text in (("ssh_config", _SSH_CONFIG), ("port", f"{PORT}\n"), ("accounts", "")):
            self.client.put(f"{LOGIN}/{name}", text)
        ask = (REPOSITORY / "client/live/ask.sh").read_text()
        self.client.put(f"{LOGIN}/home", f"#!/bin/sh\n{ask}{_HOME}", 0o755)
        self.client.run(f"mkdir {LOGIN}/users {LOGIN}/homes")
        self.client.put(MODULE, (modules / "x86_64.so").read_bytes())
        key = " ".join(self.server.get("/etc/ssh/ltspd_key.pub").split()[:2])
        self.client.put(f"{LOGIN}/known_hosts", f"ltsp-login {key}\n")
        for kind in ("auth", "password"):
            self._place_first(kind)
        common = self.client.get("/etc/pam.d/common-session")
        self.client.put("/etc/pam.d/common-session", f"{common}session optional {MODULE}\n")
        stack = "".join(f"@include common-{each}\n" for each in ("auth", "account", "password", "session"))
        self.client.put("/etc/pam.d/greeter", stack)
        self.client.put("/etc/pam.d/polkit-1", stack)
        keyring = "-password optional pam_gnome_keyring.so use_authtok\n"
        self.client.put("/etc/pam.d/ltspd-keyring", f"password required {MODULE} keyring\n{keyring}")
        self.client.put("/etc/pam.d/only-ours", f"auth required {MODULE}\n")
        ours = f"auth required {MODULE}\n"
        self.client.put("/etc/pam.d/with-token", f"{ours}auth required pam_probe.so authtok=/tmp/token\n")
        self.client.put("/etc/pam.d/preset", f"auth required pam_probe.so preset={PRESET}\n{ours}")
        self.client.put("/tmp/caller.py", (HERE / "caller.py").read_bytes())
        self.client.run(
            "useradd --create-home local; useradd --uid 1009 --no-create-home sudoer; userdel sudoer"
        )
        self.client.run(f"echo local:{PASSWORD} | chpasswd")
        self.client.put("/etc/sudoers.d/all", "ALL ALL=(ALL) ALL\n", 0o440)

    def _place_first(self, kind: str) -> None:
        """Put the module first, with success jumping to where the image's own would jump."""
        path = f"/etc/pam.d/common-{kind}"
        before = [line for line in self.client.get(path).splitlines() if line.startswith(kind)]
        target = next(i for i, line in enumerate(before) if "pam_permit.so" in line)
        jump = f"success={target} new_authtok_reqd={target}"
        first = f"{kind} [{jump} ignore=ignore default=die] {MODULE}\n"
        self.client.put(path, first + self.client.get(path))

    def ask(self, ask: str = "user=nobody", account: str = "user=nobody") -> None:
        """Have the server ask something before the password, or in its account phase."""
        for service in ("ltspd-login", "ltspd-passwd"):
            changes = f"account required pam_probe.so return={12 if service == 'ltspd-passwd' else 0}"
            self.server.put(
                f"/etc/pam.d/{service}", _SERVER_PAM.format(ask=ask, account=account, changes=changes)
            )

    def serve(self) -> None:
        """Start the two sshd: for logins, and for changes of passwords."""
        for service, port in (("ltspd-login", PORT), ("ltspd-passwd", PORT + 1)):
            # Debian 12's takes the name of its PAM service from its own name, Debian 13's is told it.
            told = f"PAMServiceName {service}\nPerSourcePenalties no" if self.release == "trixie" else ""
            self.server.put(f"/etc/ssh/{service}", _SSHD.format(port=port, server=SERVER, service=told))
            self.server.run(
                f"ln -sf /usr/sbin/sshd /usr/local/sbin/{service}; rm -f /run/{service}.log\n"
                f"/usr/local/sbin/{service} -f /etc/ssh/{service} -E /run/{service}.log"
            )

    def serve_no_more(self) -> None:
        """End all of the server's sshd, with their connections."""
        self.server.run("while pkill -KILL -x 'ltspd-.*|sshd.*'; do sleep 0.1; done")

    def person(self, name: str, *, listed: bool = True, password: str = PASSWORD) -> int:
        """Make an account on the server, which the client knows if it is listed. Returns its uid."""
        uid = 1500 + len(self.people)
        self.people.append(name)
        self.server.run(
            f"useradd --uid {uid} --create-home --shell /bin/bash {name}; chpasswd",
            stdin=f"{name}:{password}\n",
        )
        if listed:
            self.client.run(
                f"groupadd --gid {uid} {name}\n"
                f"echo {name}:x:{uid}:{uid}::/home/{name}:/bin/bash >>/etc/passwd\n"
                f"echo '{name}:*:20000:0:99999:7:::' >>/etc/shadow\n"
                f"mkdir -m 555 -p /home/{name}; echo {name}:{uid} >>{LOGIN}/accounts"
            )
        return uid

    def call(
        self, user: str, *answers: str | None, steps: Sequence[str] = ("authenticate",), **orders: Any
    ) -> Any:
        """Have a program use PAM on the client; see caller.py."""
        orders = {"service": "greeter", "user": user, "answers": answers, "steps": list(steps), **orders}
        done = subprocess.run(
            self.client.command("sh", "-c", "exec 9>&1; exec python3 /tmp/caller.py 9 >&2"),
            input=json.dumps(orders),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.stdout, f"{orders}: {done.stdout} {done.stderr}"
        return json.loads(done.stdout)

    def at_terminal(self, *argv: str) -> Terminal:
        return Terminal(self.client, *argv)

    def token(self) -> str:
        """Return the password that later modules of the service with-token got, and forget it."""
        return self.client.run("head -n 1 /tmp/token; rm /tmp/token").rstrip("\n")

    def connections(self, user: str) -> str:
        """Return the processes of the client that are connections of that user."""
        return self.client.run(f"pgrep -x ssh -a | grep -- '-l {user} '", check=False)

    def held(self, user: str) -> bool:
        """Whether somebody holds the home of that user."""
        return not self.client.run(f"flock -n {LOGIN}/users/{user}.lock echo free", check=False)

    def leave(self, user: str) -> None:
        """Close the home, which nobody holds any more."""
        assert not self.held(user)
        gone = f"while pgrep -x ssh -a | grep -e '-l {user} '; do sleep 0.1; done"
        self.client.run(f"{LOGIN}/home down {user}; ! mountpoint -q /home/{user}; {gone}")

    def log(self) -> list[str]:
        """Return what the client's `home` did since the last time, and forget it."""
        return self.client.run(f"touch {LOGIN}/log; cat {LOGIN}/log; rm {LOGIN}/log").splitlines()


def build(target: Path) -> Path:
    """Build the modules of all architectures, with warnings as errors, and the one for tests."""
    for arch in ("x86_64", "i686", "aarch64"):
        make = [
            "make",
            "-C",
            str(REPOSITORY),
            "pam",
            f"ARCH={arch}",
            f"SO={target}/{arch}.so",
            "PAM_WARNINGS=-Werror",
        ]
        subprocess.run(make, check=True, capture_output=True)
    probe = f"gcc -shared -fPIC -Wall -Wextra -Werror -o {target}/pam_probe.so {HERE}/pam_probe.c -lpam"
    subprocess.run(shlex.split(probe), check=True)
    return target
