"""Accounts and groups that the server has from a directory: LDAP, Active Directory, SSSD.

The server's own name service modules know them (nsswitch.conf(5)). They are foreign code, so getent runs them
as a user without any right, and its lines are read as those of a file.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from ltspd.errors import LtspError
from ltspd.observe.host import lines
from ltspd.paths import Paths
from ltspd.system.run import run

log = logging.getLogger(__name__)

# What has the server's own files, or only accounts that live as long as a program does.
_OWN = frozenset({"files", "compat", "systemd", "altfiles", "extrausers", "cache", "mymachines", "resolve"})
# A directory that is out of reach must not hold up passes; its people stay as they were last seen. Seconds.
PATIENCE = 10.0
# Bytes of all lines at most: 50,000 people.
_MOST = 8 << 20
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--inh-caps=-all")

# By database and what was asked for: the lines of the last answer.
_last: dict[tuple[str, ...], list[str]] = {}


def services(paths: Paths, database: str) -> list[str]:
    """Return the services of a database in nsswitch.conf(5) that are a directory."""
    for line in lines(paths.at("/etc/nsswitch.conf")):
        name, _, rest = line.partition("#")[0].partition(":")
        if name.strip() == database:
            words = rest.split()
            return [each for each in words if each not in _OWN and each.isalnum()]
    return []


async def look(paths: Paths, users: Sequence[str] = (), groups: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the lines of passwd and group that come from directories: those listed there, and those named.

    Many directories don't list anybody; there, ``users``, ``groups`` and their members are asked for by name.
    """
    # Another root is that of a test, whose directories nobody has asked for.
    if paths.root != Path("/"):
        return {}
    found: dict[str, list[str]] = {"passwd": [], "group": []}
    for database in found:
        for service in services(paths, database):
            found[database] += await _ask(service, database)
    if services(paths, "group") and groups:
        for service in services(paths, "group"):
            named = await _ask(service, "group", *groups)
            found["group"] += named
            users = [*users, *(name for line in named for name in line.rpartition(":")[2].split(",") if name)]
    for service in services(paths, "passwd") if users else ():
        found["passwd"] += await _ask(service, "passwd", *dict.fromkeys(users))
    return {database: list(dict.fromkeys(rows)) for database, rows in found.items()}


async def _ask(service: str, database: str, *names: str) -> list[str]:
    asked = ("-s", service, database, *(["--"] if names else []), *names)
    try:
        async with asyncio.timeout(PATIENCE):
            # It ends with 2 if there is none of a name, and prints the others.
            done = await run([*_NOBODY, "getent", *asked], whole=_MOST, check=False)
    except (TimeoutError, LtspError) as error:
        log.warning("The accounts of the directory %s stay as they were: %s", service, error or "no answer")
    else:
        _last[asked] = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    return _last.get(asked, [])
