"""The add-on initrd nbd.img: the server's own nbd-client with the shared libraries it is linked against.

Only clients whose root comes by NBD load it. Reads below the given root only and starts no program of it.
"""

import asyncio
from pathlib import Path

from ltspd.errors import LtspError
from ltspd.initrd import boot, cpio, elf, rooted
from ltspd.inside import path_inside

# The client's init takes it from here to its own root, wherever that is.
_HOME = "ltsp/nbd"
_PROGRAM = ("usr/sbin/nbd-client", "sbin/nbd-client")
# Where the loader looks without a cache or configuration (ld.so(8)), multiarch directories included.
_LIBRARIES = ("usr/lib", "usr/lib64", "lib", "lib64")


async def make_nbd_initrd(root: Path = Path("/")) -> bytes:
    """Return nbd.img, made of the nbd-client of the system below ``root`` (the server itself).

    Raises LtspError if nbd-client or one of its libraries is missing there, ToolFailed.
    """
    entries = await asyncio.to_thread(_closure, root)
    return cpio.aligned(await boot.compress(await asyncio.to_thread(cpio.archive, entries)))


def _closure(root: Path) -> list[cpio.Entry]:
    program = next((data for path in _PROGRAM if (data := rooted.read(root, path)) is not None), None)
    facts = None if program is None else elf.parse(program)
    if program is None or facts is None:
        raise LtspError(f"There is no nbd-client below {root}; install the package nbd-client.")
    entries = [cpio.file(f"{_HOME}/bin/nbd-client", program, 0o755)]
    if facts.interpreter:
        loader = rooted.read(root, facts.interpreter)
        if loader is None:
            raise LtspError(
                f"{facts.interpreter} of {root} is missing; nbd-client can't run. Reinstall libc6."
            )
        entries.append(cpio.file(f"{_HOME}/{facts.interpreter.lstrip('/')}", loader, 0o755))
    places = [place for place in _places(root) if path_inside(root, place) is not None]
    todo, seen = list(facts.needed), set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        data = _library(root, places, name, facts.machine)
        # One flat directory is enough: the loader searches /lib by default.
        entries.append(cpio.file(f"{_HOME}/lib/{name}", data, 0o755))
        needs = elf.parse(data)
        todo += needs.needed if needs else ()
    return entries


def _places(root: Path) -> list[str]:
    """Return the directories that may hold libraries, those named after a machine first."""
    named = [
        f"{place}/{each.name}"
        for place in _LIBRARIES
        if (real := path_inside(root, place)) is not None
        for each in sorted(real.glob("*-linux-gnu*"))
    ]
    return [*named, *_LIBRARIES]


def _library(root: Path, places: list[str], name: str, machine: int) -> bytes:
    for place in places:
        data = rooted.read(root, f"{place}/{name}")
        facts = elf.parse(data) if data else None
        if data is not None and facts is not None and facts.machine == machine:
            return data
    raise LtspError(
        f"Library {name} of nbd-client is missing below {root}; reinstall the package nbd-client."
    )
