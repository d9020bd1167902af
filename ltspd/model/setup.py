"""What ``ltspctl setup`` arranged of the server's network, as its record tells. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class SetupKind(StrEnum):
    """One card beside a router, or two, of which the second one has the clients' own network."""

    SINGLE = "single"
    DUAL = "dual"


@dataclass(frozen=True, slots=True)
class Setup:
    """A set-up that is in force: ``lan`` is the clients' card, ``wan`` the other one, empty with one card.

    Until it is ``confirmed`` it ends by itself. ``dns``: clients ask this server for names.
    """

    kind: SetupKind
    lan: str
    wan: str = ""
    dns: bool = False
    confirmed: bool = True
