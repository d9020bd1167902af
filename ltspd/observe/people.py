"""The accounts and groups that clients may get, and those that are left out. Reads files only.

The numbers in login.defs(5) tell people's accounts from the system's. Names are kept as they are, also those
that useradd(8) accepts only with --badname.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from ltspd.model.account import Account, Group
from ltspd.observe import closed
from ltspd.observe.host import lines
from ltspd.paths import Paths

# The defaults of login.defs(5); the numbers that Debian Policy 9.2.2 always gives to the system.
_UIDS = _GIDS = (1000, 60000)
_RESERVED = range(60000, 65536)
# Where a name is used, this would be another field, line, file or option; `+` and `-` begin lines for NIS.
_UNFIT = re.compile(r"$|[-+~.]|.*[\s\x00-\x1f\x7f,/]")
_WHY = "a name can't begin with - + ~ or . nor hold a space, a comma or a slash"


def look(
    paths: Paths, directory: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> tuple[tuple[Account, ...], tuple[Group, ...], tuple[str, ...]]:
    """Return people's accounts, their groups, and a sentence for each one that is left out.

    ``directory`` has lines of passwd and group that the server knows from elsewhere. Its own come first.
    """
    defs = dict(_definitions(paths))
    left_out: list[str] = []
    uids, gids = _range(defs, "UID", _UIDS), _range(defs, "GID", _GIDS)
    own, others = _entries(lines(paths.at("/etc/passwd")), 7), _entries(directory.get("passwd", ()), 7)
    # A directory has numbers of its own, far above those that useradd gives.
    beyond = range(uids.start, 1 << 32)
    found = {
        each.name: each
        for each in (
            *_accounts(others, beyond, {}, left_out),
            *_accounts(own, uids, closed.days(paths), left_out),
        )
    }
    accounts = (
        tuple(sorted(found.values(), key=lambda each: each.uid)) if directory else tuple(found.values())
    )
    rows = (*_entries(lines(paths.at("/etc/group")), 4), *_entries(directory.get("group", ()), 4))
    return accounts, tuple(_groups(rows, accounts, gids, left_out)), tuple(left_out)


def _accounts(
    rows: Iterable[list[str]], uids: range, ends: Mapping[str, int], left_out: list[str]
) -> Iterator[Account]:
    for fields in rows:
        name, _, uid, gid, gecos, home, shell = fields
        number = int(uid)
        if number in _RESERVED or number < uids.start or not gid.isdecimal():
            continue
        if number not in uids:
            left_out.append(f"{name!r} (its number {number} is above UID_MAX of /etc/login.defs)")
        elif _UNFIT.match(name):
            left_out.append(f"{name!r} ({_WHY})")
        else:
            yield Account(name, number, int(gid), gecos, home, shell, ends.get(name))


def _groups(
    rows: Iterable[list[str]], members: Sequence[Account], gids: range, left_out: list[str]
) -> Iterator[Group]:
    """Yield the groups whose number is in people's range, primary groups, and groups with a member."""
    names = {account.name for account in members}
    primary = {account.gid for account in members}
    seen: set[str] = set()
    for name, _, gid, listed in rows:
        number = int(gid)
        if name in seen:
            continue
        seen.add(name)
        people = tuple(each for each in listed.split(",") if each in names)
        if not people and number not in primary and (number not in gids or number in _RESERVED):
            continue
        if _UNFIT.match(name):
            left_out.append(f"the group {name!r} ({_WHY})")
        else:
            yield Group(name, number, people)


def _entries(rows: Iterable[str], count: int) -> Iterator[list[str]]:
    """Yield the fields of each line that has ``count`` of them and a number as the third."""
    for line in rows:
        fields = line.split(":")
        if len(fields) == count and re.fullmatch(r"[0-9]{1,10}", fields[2]):
            yield fields


def _definitions(paths: Paths) -> Iterable[tuple[str, str]]:
    for line in lines(paths.at("/etc/login.defs")):
        match line.split():
            case [name, value] if not name.startswith("#"):
                yield name, value


def _range(defs: dict[str, str], kind: str, default: tuple[int, int]) -> range:
    """Return the range of people's numbers. It never includes 0 (root), whatever login.defs says."""
    first, last = (
        int(value) if re.fullmatch(r"[1-9][0-9]{0,9}", value := defs.get(f"{kind}_{end}", "")) else usual
        for end, usual in zip(("MIN", "MAX"), default, strict=True)
    )
    return range(first, last + 1) if first <= last else range(default[0], default[1] + 1)
