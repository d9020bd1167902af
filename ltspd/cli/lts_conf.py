"""The files and the report of ``ltspctl config import``."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ltspd.api import remote as server
from ltspd.cli import show

if TYPE_CHECKING:
    from ltspd.migration.lts_conf import Translation

# More than any lts.conf has, in bytes; whoever translates it says how much is too much.
_READ_MOST = 4 << 20


def read(name: str) -> str:
    """Return a file's text: UTF-8, or else Latin-1 as at the time of LTSP 5; raises NoSuch."""
    try:
        with open(name, "rb") as file:
            data = file.read(_READ_MOST)
    except OSError as error:
        raise server.NoSuch(f"{name} can't be read ({error.strerror}).") from error
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def write(name: str, text: str, force: bool) -> None:
    """Write the result as a whole or not at all; raises NoSuch. Only its owner may read a new file."""
    from ltspd.system.files import write_atomically

    path = Path(os.path.realpath(name))
    try:
        status = path.stat() if path.exists() else None
        if status and not stat.S_ISREG(status.st_mode):
            raise server.NoSuch(f"{name} is no file.")
        if status and not force:
            raise server.NoSuch(f"{name} is there already: give another name, or --force to replace it.")
        write_atomically(path, text.encode(), stat.S_IMODE(status.st_mode) if status else 0o600)
        if status and os.geteuid() == 0:
            os.chown(path, status.st_uid, status.st_gid)
    except OSError as error:
        raise server.NoSuch(f"{name} can't be written ({error.strerror}).") from error


def report(result: "Translation") -> list[dict[str, object]]:
    """Return the rows for programs."""
    return [
        {
            "Line": each.line,
            "Section": each.section,
            "Name": each.key,
            "Fate": str(each.fate),
            "Became": each.became,
            "Message": each.message,
        }
        for each in result.rows
    ]


def table(result: "Translation", coloured: bool) -> str:
    """Return the rows for people, and how many there are of each fate."""
    rows: Sequence[tuple[str, ...]] = [
        (str(each.line), each.key or "-", str(each.fate), each.became or "-", each.message)
        for each in result.rows
    ]
    if not rows:
        return "There is no setting in it."
    fates = [str(each.fate) for each in result.rows]
    counts = ", ".join(f"{fates.count(each)} {each}" for each in dict.fromkeys(sorted(fates)))
    shown = show.table(("LINE", "NAME", "FATE", "BECAME", "REMARK"), rows, coloured)
    return f"{shown}\n\n{counts}."
