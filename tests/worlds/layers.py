"""What a client sees of layers: mounts them as it does, in a namespace of its own, and lists all entries.

As a program, started through ``unshare --mount``: ``seen.py LAYER…``, base first, prints a pickle. The
mounts and loop devices end with it, however it ends. Also lists a plain directory, for comparison.
"""

import errno
import hashlib
import os
import pickle
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """One entry; ``links`` are all names of the same file."""

    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    device: int = 0
    target: bytes = b""
    content: str = ""
    attributes: dict[str, bytes] = field(default_factory=dict)
    links: tuple[bytes, ...] = ()


def walk(root: bytes) -> dict[bytes, Seen]:
    """List a directory with all that is below it; the root itself is the empty path."""
    paths = [b""]
    for directory, directories, files in os.walk(root):
        paths += [os.path.relpath(os.path.join(directory, each), root) for each in (*directories, *files)]
    status = {path: os.lstat(os.path.join(root, path)) for path in paths}
    groups: dict[tuple[int, int], list[bytes]] = {}
    for path, each in status.items():
        groups.setdefault((each.st_dev, each.st_ino), []).append(path)
    out = {}
    for path, each in status.items():
        if stat.S_ISCHR(each.st_mode) and each.st_rdev == 0:
            continue
        # mksquashfs makes two of a symbolic link with two names.
        shared = not (stat.S_ISDIR(each.st_mode) or stat.S_ISLNK(each.st_mode))
        links = tuple(sorted(groups[each.st_dev, each.st_ino])) if shared else ()
        out[path] = _entry(os.path.join(root, path), each, links)
    return out


def _entry(file: bytes, status: os.stat_result, links: tuple[bytes, ...]) -> Seen:
    regular = stat.S_ISREG(status.st_mode)
    device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    try:
        names = os.listxattr(file, follow_symlinks=False)
    except OSError as error:
        # A squashfs without any.
        if error.errno != errno.ENOTSUP:
            raise
        names = []
    names = [name for name in names if not name.startswith(("system.", "trusted.overlay."))]
    attributes = {name: os.getxattr(file, name, follow_symlinks=False) for name in names}
    return Seen(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime_ns // 10**9),
        size=status.st_size if regular else 0,
        device=status.st_rdev if device else 0,
        target=os.readlink(file) if stat.S_ISLNK(status.st_mode) else b"",
        content=_digest(file) if regular else "",
        attributes=attributes,
        links=links,
    )


def _digest(file: bytes) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha1").hexdigest()


def through_layers(*layers: Path) -> dict[bytes, Seen]:
    """List what a client with these layers sees, base first; needs root."""
    command = ["unshare", "--mount", sys.executable, __file__, *map(str, layers)]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    raw: dict[bytes, dict[str, object]] = pickle.loads(done.stdout)
    return {path: Seen(**each) for path, each in raw.items()}  # type: ignore[arg-type]


def difference(
    one: dict[bytes, Seen], other: dict[bytes, Seen]
) -> dict[bytes, tuple[Seen | None, Seen | None]]:
    """Return the entries that differ."""
    paths = one.keys() | other.keys()
    return {path: (one.get(path), other.get(path)) for path in paths if one.get(path) != other.get(path)}


def _main(layers: list[str]) -> None:
    # A tmpfs over /mnt of this namespace only: nothing is left anywhere, not even a directory.
    subprocess.run(["mount", "-t", "tmpfs", "seen", "/mnt"], check=True)
    below = []
    for number, layer in enumerate(layers):
        below.append(f"/mnt/{number}")
        os.mkdir(below[-1])
        subprocess.run(["mount", "-t", "squashfs", "-o", "loop,ro", layer, below[-1]], check=True)
    view = below[0]
    if len(below) > 1:
        view = "/mnt/all"
        os.mkdir(view)
        lower = "lowerdir=" + ":".join(reversed(below))
        subprocess.run(["mount", "-t", "overlay", "-o", lower, "seen", view], check=True)
    found = {path: vars(each) for path, each in walk(os.fsencode(view)).items()}
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1:])
