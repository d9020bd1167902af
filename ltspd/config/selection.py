"""Which of the server's accounts and groups clients get: LTSP's regular expressions for it. Pure."""

import re
from collections.abc import Iterable

from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import Reader
from ltspd.model.account import Account, Group

# In an expression the names of groups below this number, the system's, begin with a colon: ":sudo".
PEOPLE_FROM = 1000
# Names that an expression consists of, and that can be asked for where a directory doesn't list its people.
_NAMES = re.compile(r":?[A-Za-z0-9_][A-Za-z0-9_.@-]*(?:\|:?[A-Za-z0-9_][A-Za-z0-9_.@-]*)*\Z")


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a regular expression ({error})") from None


PATTERN = Reader("a regular expression", _pattern)
USERS = Parameter("PWMERGE_SUR", PATTERN, "", SERVER, "Give clients only those accounts whose name fits")
MEMBERS = Parameter(
    "PWMERGE_SGR", PATTERN, "", SERVER, "Give clients the members of those groups whose name fits"
)


def select(
    settings: Settings, accounts: Iterable[Account], groups: Iterable[Group]
) -> tuple[tuple[Account, ...], tuple[Group, ...]]:
    """Return the accounts that clients get, and their groups; all, if no expression is given."""
    users, members = settings[USERS], settings[MEMBERS]
    accounts, groups = tuple(accounts), tuple(groups)
    if users is None and members is None:
        return accounts, groups
    fitting = [each for each in groups if members is not None and members.fullmatch(_written(each))]
    names = {name for each in fitting for name in each.members}
    numbers = {each.gid for each in fitting}
    chosen = tuple(
        each
        for each in accounts
        if each.name in names or each.gid in numbers or (users is not None and users.fullmatch(each.name))
    )
    known, primary = {each.name for each in chosen}, {each.gid for each in chosen}
    kept = (
        Group(each.name, each.gid, tuple(name for name in each.members if name in known)) for each in groups
    )
    return chosen, tuple(each for each in kept if each.members or each.gid in primary)


def _written(group: Group) -> str:
    return f":{group.name}" if group.gid < PEOPLE_FROM else group.name


def named(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the users and the groups that the expressions name outright, as ``teachers|pupils`` does."""
    users, groups = (settings.texts.get(each.name, "") for each in (USERS, MEMBERS))
    return _words(users), _words(groups)


def _words(text: str) -> tuple[str, ...]:
    return tuple(each.lstrip(":") for each in text.split("|")) if _NAMES.match(text) else ()
