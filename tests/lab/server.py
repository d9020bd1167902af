"""The server: a container with Debian's own systemd, D-Bus and polkit, on the lab's LAN.

Its root is an overlay over a root tree, with the product installed by `make install` as a package
would; its /srv/ltsp is a real directory.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import REPOSITORY
from tests.lab import trees
from tests.lab.net import Lan
from tests.lab.session import Session, end
from tests.patience import PATIENCE

_LAB = Path(__file__).parent
# SIGRTMIN+3 is "halt" for systemd as PID 1; its number as Linux's C libraries count (systemd(1)).
_HALT = signal.SIGRTMIN + 3
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Server:
    """A running server. ``srv`` is its /srv/ltsp seen from outside, ``conf`` what product.py configured."""

    session: Session
    lan: Lan
    leader: int
    srv: Path
    _process: "subprocess.Popen[bytes]"
    conf: dict[str, dict[str, str]] = field(default_factory=dict)

    def path(self, absolute: str) -> Path:
        """Return where a path of the server lies for us, to read or write files directly."""
        return Path(f"/proc/{self.leader}/root") / absolute.lstrip("/")

    def command(self, argv: list[str]) -> list[str]:
        """Return the command that runs ``argv`` inside the container."""
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        clean = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"]
        return ["nsenter", f"--target={self.leader}", *namespaces, "--", *clean, *argv]

    def run(self, script: str, *, check: bool = True, timeout: float = PATIENCE, stdin: str = "") -> str:
        """Run a shell script as root in the container; return what it printed (both streams).

        Raises RuntimeError with the output if it fails and ``check`` is set, or takes longer
        than ``timeout`` seconds.
        """
        process = subprocess.Popen(
            self.command(["/bin/sh", "-c", script]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(stdin, timeout)
        except BaseException as error:
            # nsenter stays outside as the parent of what runs inside: the whole group must end.
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"on the server, {script!r} took over {timeout:g} s: {output}") from error
            raise
        if check and process.returncode != 0:
            raise RuntimeError(f"on the server, {script!r} ended with {process.returncode}: {output.strip()}")
        return output

    def journal(self, unit: str = "", *, lines: int = 0) -> str:
        """Return the server's journal, of one unit or all, the last ``lines`` or all."""
        words = ["journalctl", "--no-pager", "-q", "-o", "short-monotonic"]
        words += ["-u", unit] if unit else []
        words += ["-n", str(lines)] if lines else []
        return self.run(shlex.join(words))

    def wait_for(self, condition: str | Callable[[], object], timeout: float = PATIENCE) -> None:
        """Wait until a script succeeds in the container, or a function returns something true.

        Raises TimeoutError with the end of the journal after ``timeout`` seconds.
        """
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended by itself; see {self.session.logs}/server-console.log")
            if isinstance(condition, str):
                if self._true(condition):
                    return
            elif condition():
                return
            time.sleep(0.1)
        raise TimeoutError(f"after {timeout:g} s still not: {condition}\n{self.journal(lines=30)}")

    def _true(self, script: str) -> bool:
        argv = self.command(["/bin/sh", "-c", script])
        return (
            subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
        )

    def write(self, absolute: str, text: str) -> None:
        """Write a file of the server as an editor does: a new file, then a rename."""
        path = self.path(absolute)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.lab")
        new.write_text(text)
        new.rename(path)

    def make_patient(self, *sources: str) -> None:
        """Have clients of these images wait longer for their serial lines, which udev may find late.

        Debian 12's systemd knows no word of the kernel's command line for that; its default is 90 s.
        """
        for image in sources:
            home = f"/srv/ltsp/{image}/etc/systemd/system.conf.d"
            # A file that is made anew would be a change to the image.
            self.run(
                f"[ -e {home}/lab.conf ] || {{ mkdir -p {home} && "
                f"printf '[Manager]\\nDefaultDeviceTimeoutSec={PATIENCE:.0f}\\n' >{home}/lab.conf; }}"
            )

    def save_journal(self) -> Path:
        """Write the journal so far to the logs and return where."""
        path = self.session.logs / "server-journal.log"
        path.write_text(self.journal())
        return path

    def stop(self) -> None:
        """Shut the server down as its power button would; save the journal first."""
        if self._process.poll() is not None:
            return
        try:
            self.save_journal()
            os.kill(self.leader, _HALT)
            self._process.wait(60)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            pass
        # unshare itself ignores SIGTERM while it waits.
        end(self._process, signal.SIGKILL)


def start_server(
    session: Session,
    lan: Lan,
    *,
    tree: str = "server",
    sources: Mapping[str, str] | None = None,
    install: bool = True,
    name: str = "server",
) -> Server:
    """Boot a server and wait until it is up. ``sources`` maps image names to root trees.

    A source appears as /srv/ltsp/NAME, writable: an overlay over the cached tree. Raises
    RuntimeError with the console's end if the container doesn't come up.
    """
    directory = session.directory / name
    # It is there when a server starts again with what it had on its disk.
    directory.mkdir(exist_ok=True)
    arguments = []
    for image, recipe in (sources or {}).items():
        upper = directory / f"source-{image}"
        upper.mkdir(exist_ok=True)
        arguments.append(f"--overlay={trees.tree(recipe)}:{upper}:/srv/ltsp/{image}")
    repository = REPOSITORY if install else Path("/nonexistent")
    # In a process namespace of its own: if we are killed, the kernel ends everything inside.
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation=private"]
    argv += ["--", str(_LAB / "container.sh")]
    argv += [
        f"{session.name}",
        str(trees.tree(tree)),
        str(directory),
        lan.server,
        str(repository),
        *arguments,
    ]
    log = f"{name}-console.log"
    process = session.start(argv, log=log, stop_signal=signal.SIGKILL)
    try:
        leader = _leader(process, session.logs / log)
    except RuntimeError:
        end(process, signal.SIGKILL)
        raise
    server = Server(session, lan, leader, directory / "srv", process)
    session.stack.callback(server.stop)
    try:
        # 'degraded' is up, too: some unit of the distribution failed, which is for a test to say.
        server.wait_for("case $(systemctl is-system-running) in running|degraded) ;; *) false ;; esac")
        # On a real machine the kernel makes these as they are needed; a container's /dev is its own.
        server.run('for n in $(seq 8 40); do [ -e "/dev/loop$n" ] || mknod "/dev/loop$n" b 7 "$n"; done')
        server.make_patient(*(sources or ()))
    except BaseException:
        # Nobody gets it, so nobody would stop it before the run ends, and it has the network's ports.
        server.stop()
        raise
    return server


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found.extend(int(child) for child in children.split())
    return found


def _leader(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Return the process id of the container's PID 1, as soon as it is systemd."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for child in _descendants(process.pid):
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            # Until then it is still systemd-nspawn's own fork.
            if words.split(b"\0")[0].rpartition(b"/")[2] in (b"init", b"systemd"):
                return child
        time.sleep(0.02)
    raise RuntimeError(f"the server's container did not start: {log.read_text()[-2000:]} (all of it: {log})")
