"""Accounts that nobody may get into without a password: locked, expired, without a shell. Reads files only.

What is behind the names in /etc/shadow leaves this module as a word.
"""

import time
from collections.abc import Mapping

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
    for line in lines(paths.at("/etc/shadow")):
        fields = line.split(":")
        if len(fields) != 9:
            continue
        # "!" alone is an account that never had a password, as those of guests; "!" before something is what
        # usermod -L writes.
        if fields[1].startswith("!") and fields[1].strip("!"):
            found[fields[0]] = "is locked (usermod -U unlocks it)"
        elif fields[7].isdecimal() and int(fields[7]) <= today:
            found[fields[0]] = "has expired (chage -E changes that)"
    return found
