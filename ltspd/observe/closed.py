"""Accounts that nobody may get into without a password: locked, expired, without a shell. Reads files only.

What is behind the names in /etc/shadow leaves this module as a word or a date.
"""

import time
from collections.abc import Iterator, Mapping

from ltspd.observe.host import lines
from ltspd.paths import Paths

_NO_SHELL = ("nologin", "false")


def look(paths: Paths) -> Mapping[str, str]:
    """Return why accounts are closed, as the end of a sentence, by their names."""
    today = time.time() // 86400
    found: dict[str, str] = {}
    for line in lines(paths.at("/etc/passwd")):
        fields = line.split(":")
        if len(fields) == 7 and fields[6].rpartition("/")[2] in _NO_SHELL:
            found[fields[0]] = f"has the shell {fields[6]}"
    for fields in _shadow(paths):
        if _is_locked(fields[1]):
            found[fields[0]] = "is locked (usermod -U unlocks it)"
        elif fields[7].isdecimal() and int(fields[7]) <= today:
            found[fields[0]] = "has expired (chage -E changes that)"
    return found


def days(paths: Paths) -> Mapping[str, int]:
    """Return the day, as shadow(5) counts them, from which on each account that ends is closed; 1: now.

    pam_unix(8) closes a locked account for passwords only; here it is closed for what asks for none, too.
    """
    found = {}
    for name, password, changed, _, most, _, grace, end, _ in _shadow(paths):
        ends = [1] * _is_locked(password)
        if end.isdecimal():
            # 0 means 1970 to some programs and never to others.
            ends.append(max(1, int(end)))
        if changed.isdecimal() and int(changed) and most.isdecimal() and grace.isdecimal():
            ends.append(int(changed) + int(most) + int(grace) + 1)
        if ends:
            found[name] = min(ends)
    return found


def _shadow(paths: Paths) -> Iterator[list[str]]:
    rows = (line.split(":") for line in lines(paths.at("/etc/shadow")))
    return (row for row in rows if len(row) == 9)


def _is_locked(password: str) -> bool:
    """Whether this is what usermod -L writes; "!" alone is an account that never had a password."""
    return password.startswith("!") and bool(password.strip("!"))
