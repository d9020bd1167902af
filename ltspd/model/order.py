"""Orders: what clients are told to do, each by its MAC address and only in one boot. Pure."""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for: an order that has no id yet.

    ``refused`` are the results that are known before, ``names`` what people call the machines, both by MAC
    address; ``label`` says who is meant. ``patience`` are the seconds that clients have to answer.
    """

    verb: Verb
    words: tuple[str, ...]
    targets: tuple[Target, ...]
    refused: Mapping[str, str]
    label: str
    names: Mapping[str, str]
    patience: float
    started_by: int
