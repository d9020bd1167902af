"""What a person should know of a new generation: excludes without effect, big things that got in. Pure."""

from collections.abc import Iterable, Iterator
from stat import S_ISREG

from ltspd.image import excludes
from ltspd.image.entries import RECORD, Table, records

# Smaller things are not worth a line: on a network of 1 Gb/s this is read in 10 s.
LARGE = 1_000_000_000
# More lines than this nobody reads.
MOST = 10
# Where most of a directory is in one entry of it, that is what is meant.
_SHARE = 0.9
# What lies directly here is a system's own order; each entry is judged by itself.
_ORDER = frozenset([b"", b"usr", b"var", b"var/lib", b"var/cache"])
# Programs and their data are what an image is for, however much it is; a single large file in there is odd.
_PROGRAMS = frozenset(
    b"""
    bin boot lib lib32 lib64 libx32 sbin snap usr/bin usr/include usr/lib usr/lib32 usr/lib64 usr/libexec
    usr/libx32 usr/sbin usr/share usr/src var/lib/apt var/lib/dpkg var/lib/flatpak var/lib/rpm var/lib/snapd
    """.split()
)


def unused(own: Iterable[str], omitted: Iterable[str], used: frozenset[str]) -> tuple[str, ...]:
    """Return a sentence for each pattern of the administrator that left nothing out of the image.

    ``own`` are those that are not built in, ``used`` those that had an effect; ``omitted`` are lines of
    OMIT_IMAGE_EXCLUDES that are in no list.
    """
    return (
        *(f"The exclude {each!r} leaves out nothing: nothing fits it." for each in own if each not in used),
        *(f"OMIT_IMAGE_EXCLUDES has {each!r}, which is not in the list of excludes." for each in omitted),
    )


def large(table: Table, threshold: int = LARGE) -> tuple[str, ...]:
    """Return a sentence for each big thing in an image that people would not expect, the biggest first.

    ``threshold`` is in bytes; sizes are those that files say, not what they take on a disk.
    """
    found = sorted(_find(table, threshold), key=lambda each: (-each[1], each[0]))
    lines = []
    for path, size, is_directory in found[:MOST]:
        pattern = excludes.literal(path) + ("/*" if is_directory else "")
        name = path.decode("utf-8", "backslashreplace")
        # Not all that people write can be said in one line of ltsp.conf.
        hint = f': ADD_IMAGE_EXCLUDES="{pattern}"' if pattern.isprintable() and '"' not in pattern else ""
        lines.append(
            f"/{name} makes {size / 1e9:.1f} GB of the image; leave it out if no client needs it{hint}."
        )
    if len(found) > MOST:
        lines.append(f"{len(found) - MOST} more are as large.")
    return tuple(lines)


def _find(table: Table, threshold: int) -> Iterator[tuple[bytes, int, bool]]:
    """Yield path, bytes and whether it is a directory, each deepest where it says most."""
    totals = _totals(table)
    below: dict[bytes, list[bytes]] = {}
    for path, size in totals.items():
        if size >= threshold and path:
            below.setdefault(path.rpartition(b"/")[0], []).append(path)
    todo = [(b"", False)]
    while todo:
        path, programs = todo.pop()
        programs = programs or path in _PROGRAMS
        inside = below.get(path, [])
        files = _files(table, path, threshold)
        if programs or path in _ORDER:
            todo += [(each, programs) for each in inside]
            yield from ((name, size, False) for name, size in files)
            continue
        most = _SHARE * totals[path]
        if (part := next((each for each in inside if totals[each] >= most), None)) is not None:
            todo.append((part, False))
        elif (file := next((each for each in files if each[1] >= most), None)) is not None:
            yield (*file, False)
        else:
            yield path, totals[path], True


def _totals(table: Table) -> dict[bytes, int]:
    """Return the bytes of the files in each directory and below it."""
    totals = {
        path: sum(fields[4] for fields in RECORD.iter_unpack(joined))
        for path, (_names, joined) in table.directories.items()
    }
    for path in sorted(totals, key=lambda each: each.count(b"/"), reverse=True):
        if path:
            parent = path.rpartition(b"/")[0]
            totals[parent] = totals.get(parent, 0) + totals[path]
    return totals


def _files(table: Table, path: bytes, threshold: int) -> list[tuple[bytes, int]]:
    prefix = path + b"/" if path else b""
    found = []
    for name, record in records(table.directories.get(path, (b"", b""))).items():
        mode, _, _, _, size, _, _ = RECORD.unpack(record)
        if S_ISREG(mode) and size >= threshold:
            found.append((prefix + name, size))
    return found
