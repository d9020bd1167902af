"""Files and links on the disk: written as a whole or not at all, and compared by digest."""

import errno
import hashlib
import os
import stat
from contextlib import ExitStack
from pathlib import Path


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file by rename, so that readers see the old or the new content and never a part."""
    try:
        _write_atomically(path, data, mode)
    except OSError as error:
        # An error of write() (a full disk) carries no file name.
        error.filename = error.filename or str(path)
        raise


def _write_atomically(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with ExitStack() as undo:
        undo.callback(temporary.unlink, missing_ok=True)
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        undo.pop_all()
    _keep_names(path.parent)


def remove(path: Path) -> None:
    """Remove a file or link if it is there; raises OSError."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    _keep_names(path.parent)


def _keep_names(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def unwritten(error: OSError) -> str:
    """Return the sentence about a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"not written, the last good one stays: no space is left for {error.filename or 'it'}. "
            "Make room on that file system; it is tried again by itself."
        )
    return f"not written, the last good one stays, and it is tried again: {error}"


def digest(data: bytes) -> str:
    """Return the SHA-256 of the data, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of(place: Path) -> str:
    """Return the digest of a file's content; empty if it can't be read."""
    try:
        return digest(place.read_bytes())
    except OSError:
        return ""


def is_open_to_more(place: Path, mode: int) -> bool:
    """Return whether more people may use the file at ``place`` than ``mode`` allows."""
    try:
        return bool(stat.S_IMODE(place.stat().st_mode) & ~mode)
    except OSError:
        return False


def leads_to(place: Path, target: str) -> bool:
    """Return whether ``place`` is a symbolic link to ``target``."""
    return place.is_symlink() and str(place.readlink()) == target


def link(place: Path, target: str) -> bool:
    """Make ``place`` a symbolic link to ``target``; return whether that changed anything."""
    if leads_to(place, target):
        return False
    if place.exists() and not place.is_symlink():
        return False  # an administrator's own file or directory; it is not ours to remove
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(place)
    return True
