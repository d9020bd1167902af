"""Orders: what clients are told to do, each by its MAC address and only in one boot. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What a client can be told. It obeys all but ``wake``, which is for one that is off."""

    MESSAGE = "message"
    LOGOUT = "logout"
    REBOOT = "reboot"
    POWEROFF = "poweroff"
    WAKE = "wake"


@dataclass(frozen=True, slots=True)
class Target:
    """A client that is meant, in the boot with this id, after ``delay`` seconds."""

    mac: str
    boot: str = ""
    delay: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """An order: decimal ``id``, which grows with each; what to do, with what words; who is meant."""

    id: str
    verb: Verb
    words: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
