"""What running clients take from the server: texts with a serial number, which the daemon signs. Pure.

The first lines say which one it is: ``serial=N``, and ``document=NAME``, so that none passes for another. A
client takes no older one, so numbers grow for ever, also over restarts and steps of the clock.
"""

import re
from collections.abc import Iterable, Iterator

from ltspd.model.account import Account, Group

ACCOUNTS, SETTINGS = "accounts", "settings"
_SERIAL = re.compile(rb"serial=([0-9]{1,15})\n")
# Characters that end a field or a line. Bytes that are no UTF-8, as in old accounts' real names, do not.
_BREAKS = re.compile("[:\x00-\x1f\x7f]")


def accounts_text(accounts: Iterable[Account], groups: Iterable[Group]) -> bytes:
    """Return accounts and groups as lines of passwd(5) and group(5), each after the word that says which.

    ``x`` stands for the password; ``expires:NAME:DAY`` says from which day on an account is closed. A row
    whose fields would break its line is left out.
    """
    rows = [
        *_rows(accounts),
        *(("group", each.name, "x", str(each.gid), ",".join(each.members)) for each in groups),
    ]
    sound = (row for row in rows if row[1] and not any(map(_BREAKS.search, row)))
    return "".join(":".join(row) + "\n" for row in sound).encode("utf-8", "surrogateescape")


def _rows(accounts: Iterable[Account]) -> Iterator[tuple[str, ...]]:
    for each in accounts:
        yield "passwd", each.name, "x", str(each.uid), str(each.gid), each.gecos, each.home, each.shell
        if each.closed_from is not None:
            yield "expires", each.name, str(each.closed_from)


def numbered(name: str, text: bytes, before: bytes, now: int) -> bytes:
    """Return the document: the one ``before`` if it says the same, else one with a higher number.

    ``now``, the time in seconds, is the number where nothing higher is known.
    """
    found = _SERIAL.match(before)
    rest = f"document={name}\n".encode() + text
    if found and before[found.end() :] == rest:
        return before
    return f"serial={max(int(found[1]) + 1 if found else 1, now)}\n".encode() + rest
