"""What replaces a source's personal files in its image: account databases, identity, mounts. Pure.

An image is public to the network it is served on, so no account of a person and no password hash
may be in it. The source is never modified: replacements are put into the image beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# People's accounts: Debian policy 9.2.2 gives 1000–59999 to them; 60000–65535 belong to packages,
# nobody and systemd; what lies above comes from directory services and was never a system account.
FIRST_PERSON, LAST_PERSON, LAST_RESERVED = 1000, 59999, 65535

FSTAB = b"# Left empty by ltspd: a netboot client mounts what its server tells it to.\n"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The account databases as bytes; None is a file that the source does not have."""

    passwd: bytes | None
    group: bytes | None
    shadow: bytes | None = None
    gshadow: bytes | None = None
    subuid: bytes | None = None
    subgid: bytes | None = None


def _of_person(number: bytes) -> bool:
    # An account whose number can't be read is none of a package.
    if not number.isdigit():
        return True
    value = int(number)
    return FIRST_PERSON <= value <= LAST_PERSON or value > LAST_RESERVED


def _fields(text: bytes | None, least: int) -> list[list[bytes]]:
    lines = (line.split(b":") for line in (text or b"").split(b"\n"))
    return [fields for fields in lines if len(fields) >= least and fields[0]]


def _text(rows: list[list[bytes]]) -> bytes:
    return b"".join(b":".join(fields) + b"\n" for fields in rows)


def _locked(password: bytes, shadowed: bool) -> bytes:
    """Return the password field without a hash: ``x``, empty and locked ones stay as they are."""
    if password in (b"", b"*", b"!", b"!!", b"!*", b"*LK*") or (not shadowed and password == b"x"):
        return password
    return b"!" if password.startswith(b"!") else b"*"


def clean_accounts(accounts: Accounts) -> Accounts:
    """Return the databases with system accounts only, consistent with each other, without hashes."""
    people, kept, primary = set(), set(), set()
    passwd = []
    for fields in _fields(accounts.passwd, 7):
        if _of_person(fields[2]):
            people.add(fields[0])
            continue
        fields[1] = _locked(fields[1], shadowed=False)
        kept.add(fields[0])
        primary.add(fields[3])
        passwd.append(fields)
    group, groups = [], set()
    for fields in _fields(accounts.group, 4):
        if _of_person(fields[2]) and fields[2] not in primary:
            continue
        fields[1] = _locked(fields[1], shadowed=False)
        fields[3] = _without(fields[3], kept)
        groups.add(fields[0])
        group.append(fields)
    shadow = [fields for fields in _fields(accounts.shadow, 2) if fields[0] in kept]
    for fields in shadow:
        fields[1] = _locked(fields[1], shadowed=True)
    gshadow = [fields for fields in _fields(accounts.gshadow, 4) if fields[0] in groups]
    for fields in gshadow:
        fields[1] = _locked(fields[1], shadowed=True)
        fields[2], fields[3] = _without(fields[2], kept), _without(fields[3], kept)
    return Accounts(
        passwd=None if accounts.passwd is None else _text(passwd),
        group=None if accounts.group is None else _text(group),
        shadow=None if accounts.shadow is None else _text(shadow),
        gshadow=None if accounts.gshadow is None else _text(gshadow),
        subuid=None if accounts.subuid is None else _ranges(accounts.subuid, kept),
        subgid=None if accounts.subgid is None else _ranges(accounts.subgid, kept),
    )


def _without(members: bytes, kept: set[bytes]) -> bytes:
    return b",".join(name for name in members.split(b",") if name in kept)


def _ranges(text: bytes, kept: set[bytes]) -> bytes:
    rows = _fields(text, 3)
    return _text([fields for fields in rows if fields[0] in kept])


def replacements(files: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Return the new content of each file that must not go into the image as it is.

    ``files`` maps the names in ``READ`` to what the source has (None: no such file). An empty
    machine-id makes systemd invent one in memory without taking the boot for the first
    (ConditionFirstBoot, machine-id(5)), which ``uninitialized`` or a missing file would do.
    """
    cleaned = clean_accounts(Accounts(*(files.get(f"etc/{name}") for name in _ACCOUNT_NAMES)))
    new = {f"etc/{name}": getattr(cleaned, name) for name in _ACCOUNT_NAMES}
    new["etc/fstab"] = FSTAB
    new["etc/machine-id"] = b""
    return {name: content for name, content in new.items() if content is not None}


_ACCOUNT_NAMES = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
READ = tuple(f"etc/{name}" for name in _ACCOUNT_NAMES)
