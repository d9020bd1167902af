"""AUTOLOGIN and PASSWORDS_x of one client: which accounts it opens by its own key, without a password. Pure.

Clients read AUTOLOGIN as well, for their display managers (``autologin_account`` of client/boot/text.sh); a
test compares both. Both must name the same account, so a pattern may only hold what every kind of regular
expression means the same by.
"""

import re
from dataclasses import dataclass

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import Reader

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
# Text, any sign, sets of signs, repetition. Basic and extended expressions differ in ( ) { } + ? | and \.
_PATTERN = re.compile(r"\^?(?:(?:[A-Za-z0-9._-]|\[\^?[A-Za-z0-9._-]+\])\*?)+\$?")
# Each repetition multiplies the time that a comparison may take.
_REPEATED_MOST = 3


@dataclass(frozen=True, slots=True)
class Autologin:
    """A user, or what takes the place of a ``pattern`` in a host name: ``pc/guest`` makes guest01 of pc01."""

    user: str
    pattern: str = ""

    def account(self, hostname: str) -> str:
        """Return the account of the client with this name; empty if the pattern doesn't fit the name."""
        if not self.pattern:
            return self.user
        found, count = re.subn(self.pattern, self.user, hostname, count=1)
        return found if count and _USER.fullmatch(found) else ""


def _autologin(text: str) -> Autologin | None:
    pattern, slash, user = text.rpartition("/")
    if not text:
        return None
    if not _USER.fullmatch(user):
        raise ValueError(f"names {user[:40]!r}, which can't be an account")
    if not slash:
        return Autologin(user)
    if not _PATTERN.fullmatch(pattern) or pattern.count("*") > _REPEATED_MOST:
        raise ValueError(
            "has a pattern of more than letters, digits, . - _ [ ] ^ $ and three times *, "
            "which clients may read differently"
        )
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError("has a pattern that is no regular expression") from None
    return Autologin(user, pattern)


def _named(text: str) -> tuple[str, ...]:
    """Return the accounts that are named. Behind a slash is a password, at which nobody here looks."""
    names = (word.partition("/")[0] for word in text.split())
    return tuple(dict.fromkeys(name for name in names if _USER.fullmatch(name)))


AUTOLOGIN = Parameter(
    "AUTOLOGIN",
    Reader("an account, or a pattern of host names and an account", _autologin, "user01 or pc/guest"),
    "",
    CLIENT,
    "Account that is logged in by itself; pc/guest logs in guest01 at pc01",
)
PASSWORDS = Parameter(
    "PASSWORDS_*",
    Reader("accounts, each with a slash and a password", _named),
    "",
    CLIENT,
    "Accounts that this client opens without a password; what is behind a slash is not used",
    secret=True,
)
