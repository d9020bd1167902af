"""Accounts and groups of the server, without anything secret. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A line of passwd without its password field; ``closed_from`` is the day (shadow(5)) of its end."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    closed_from: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A line of group without its password field."""

    name: str
    gid: int
    members: tuple[str, ...]
