"""What a person should know of a new generation: what was left out and why, what got in. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from stat import S_ISREG

from ltspd.image.look.entries import RECORD, Table, records
from ltspd.image.look.privacy import HASH, KEY, Private, missed
from ltspd.image.source import excludes

# Smaller things are not worth a line: on a network of 1 Gb/s this is read in 10 s.
LARGE = 1_000_000_000
# More lines than this nobody reads.
MOST = 10
# Each thing that was left out has its line, because somebody may miss it later.
MOST_PRIVATE = 60
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


def unused(
    own: Iterable[str], wanted: Iterable[str], never: Iterable[str], used: frozenset[str]
) -> tuple[str, ...]:
    """Return a sentence for each pattern of the administrator that has no effect.

    ``own`` are excludes that are not built in, ``used`` those patterns that had an effect. Of the lines of
    OMIT_IMAGE_EXCLUDES ``wanted`` are those that are in no list of excludes, ``never`` those of secrets.
    """
    return (
        *(f"The exclude {each!r} leaves out nothing: nothing fits it." for each in own if each not in used),
        *(
            f"OMIT_IMAGE_EXCLUDES has {each!r}, which is not in the list of excludes, and nothing that others"
            " may not read fits it."
            for each in wanted
            if each not in used
        ),
        *(
            f"OMIT_IMAGE_EXCLUDES has {each!r}, which stays excluded: it is a secret, or what the server is"
            " known by, and everybody on the network can read an image."
            for each in never
        ),
    )


def copies(reasons: Mapping[str, str], used: frozenset[str]) -> tuple[str, ...]:
    """Return a sentence for each directory that was left out for a reason (by pattern in ``reasons``)."""
    found = {each.rpartition("/")[0]: (each, why) for each, why in reasons.items() if each in used}
    lines = [
        f"What is in /{place} is left out, because {why}; OMIT_IMAGE_EXCLUDES={_quoted(pattern)} takes it in."
        for place, (pattern, why) in sorted(found.items())
    ]
    more = [f"{len(lines) - MOST} more directories are left out like these."] if len(lines) > MOST else []
    return (*lines[:MOST], *more)


def private(out: Iterable[Private], told: Iterable[Private]) -> tuple[str, ...]:
    """Return a sentence for each thing that was left out because it is private.

    ``told`` are those that are in the image although others may not read them in its source.
    """
    lines: list[str] = []
    left = missed(out)
    example = next((each for each in left if each.why not in (KEY, HASH)), None)
    for each in left[:MOST_PRIVATE]:
        secret = each.why in (KEY, HASH)
        why = (
            f"it holds {each.why}" if secret else "others may not read it, and no package ships it like that"
        )
        lines.append(f"{_name(each)} is left out: {why}.")
    if len(left) > MOST_PRIVATE:
        lines.append(f"{_count(left[MOST_PRIVATE:])} more are left out for such reasons.")
    if example is not None:
        pattern = excludes.literal(example.path) + ("/*" if example.emptied else "")
        lines.append(
            "If clients need something that others may not read, name it: for example "
            f"OMIT_IMAGE_EXCLUDES={_quoted(pattern)}."
        )
    shown = missed(told)
    for each in shown[:MOST]:
        lines.append(
            f"{_name(each)} is in the image, where everybody can read it; in its source others may not."
        )
    if len(shown) > MOST:
        lines.append(f"{_count(shown[MOST:])} more are in the image although others may not read them.")
    return tuple(lines)


def _name(each: Private) -> str:
    name = "/" + each.path.decode("utf-8", "backslashreplace")
    name = name if name.isprintable() else ascii(name)[1:-1]
    return f"{name} ({each.files} files)" if each.files != 1 or each.emptied else name


def _count(found: Iterable[Private]) -> str:
    return f"{sum(each.files for each in found)} files"


def _quoted(pattern: str) -> str:
    """Return a pattern as it can stand in ltsp.conf, as far as that is possible."""
    return f'"{pattern}"' if pattern.isprintable() and '"' not in pattern else '"…"'


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
