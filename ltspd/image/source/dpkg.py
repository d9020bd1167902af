"""A source's packages: which there are, whether they are whole, and the lock that keeps them so."""

import asyncio
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ltspd.errors import Busy, InconsistentSource
from ltspd.foreign.inside import list_inside, open_inside, read_inside

STATUS = "var/lib/dpkg/status"
# Frontends hold the first one for their whole run and give the second to dpkg in between; both are
# whole-file fcntl locks, taken in this order (dpkg's doc/frontend-api.txt).
LOCKS = ("var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock")
RETRY_SECONDS = 0.25
# struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = "hhqqi4x"
# States of deb-src-control's Status field that leave a package usable in an image.
_WHOLE = frozenset(("installed", "config-files", "not-installed"))


@dataclass(frozen=True, slots=True)
class Packages:
    """Installed packages as {name: version}, and those that are neither installed nor gone."""

    installed: Mapping[str, str]
    broken: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hex digest that changes when any package does."""
        lines = "".join(f"{name}={version}\n" for name, version in sorted(self.installed.items()))
        return hashlib.sha256(lines.encode()).hexdigest() if self.installed else ""


def read_packages(root: Path) -> Packages:
    """Return the packages that dpkg has in ``root``; none if it has no dpkg. Blocks."""
    installed: dict[str, str] = {}
    broken = []
    text = (read_inside(root, STATUS) or b"").decode(errors="replace")
    for paragraph in text.split("\n\n"):
        fields = dict.fromkeys(("Package", "Status", "Version", "Architecture", "Multi-Arch"), "")
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(": ")
            if colon and name in fields:
                fields[name] = value.strip()
        state = fields["Status"].split(" ")
        if not fields["Package"] or len(state) != 3:
            continue
        # Only these may be there in two architectures at once.
        foreign = f":{fields['Architecture']}" if fields["Multi-Arch"] == "same" else ""
        if state[2] == "installed":
            installed[fields["Package"] + foreign] = fields["Version"]
        elif state[2] not in _WHOLE or state[1] == "reinstreq":
            broken.append(f"{fields['Package']} ({state[2]})")
    return Packages(installed, tuple(sorted(broken)))


def check_consistent(root: Path, packages: Packages) -> None:
    """Raise InconsistentSource if an installation was interrupted or is under way."""
    repair = f"Run 'dpkg --configure -a' and 'apt -f install' in {root} first."
    if packages.broken:
        shown = ", ".join(packages.broken[:8]) + (" …" if len(packages.broken) > 8 else "")
        raise InconsistentSource(
            f"{len(packages.broken)} packages of {root} are half done: {shown}. {repair}"
        )
    # Numbered files there are changes that dpkg had no time to merge into its status file.
    if any(name.isdigit() for name in list_inside(root, "var/lib/dpkg/updates")):
        raise InconsistentSource(
            f"dpkg was interrupted in {root} (var/lib/dpkg/updates is not empty). {repair}"
        )


def _try_lock(descriptor: int) -> int | None:
    """Return None with the lock taken, else the process that holds it (-1: not known).

    Open-file-description locks conflict with dpkg's like its own do, but belong to this
    descriptor: closing another one of the same file doesn't drop them, as it would with POSIX ones.
    """
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except (BlockingIOError, PermissionError):
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted))
        return int(answer[4]) if answer[0] != fcntl.F_UNLCK else -1
    return None


def _process(pid: int) -> str:
    if pid <= 0:
        return "another process"
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


def lock_holder(root: Path) -> str:
    """Return who is working on the packages of ``root`` right now, or an empty string."""
    for name in LOCKS:
        try:
            descriptor = open_inside(root, name, os.O_RDWR)
        except OSError:
            continue
        try:
            holder = _try_lock(descriptor)
        finally:
            os.close(descriptor)
        if holder is not None:
            return _process(holder)
    return ""


@asynccontextmanager
async def package_lock(root: Path, timeout: float) -> AsyncIterator[None]:
    """Keep packages of ``root`` as they are; raises Busy with the holder's name after ``timeout`` s.

    A source without dpkg, or one on a read-only file system, has nothing to keep.
    """
    until = time.monotonic() + timeout
    held: list[int] = []
    try:
        for name in LOCKS:
            try:
                held.append(open_inside(root, name, os.O_RDWR))
            except OSError:
                continue
            while (holder := _try_lock(held[-1])) is not None:
                if time.monotonic() >= until:
                    raise Busy(
                        f"The packages of {root} are being worked on by {_process(holder)}, which holds "
                        f"{name}. Build again when it has finished."
                    )
                await asyncio.sleep(RETRY_SECONDS)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
