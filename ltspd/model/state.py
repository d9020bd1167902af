"""State: all that the daemon publishes, replaced as a whole. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from ltspd.model.client import ClientState, Machine
from ltspd.model.facts import Leftover
from ltspd.model.image import ImageState
from ltspd.model.job import Job
from ltspd.model.network import LinkState
from ltspd.model.output import OutputStatus


class ServerState(StrEnum):
    """The state of the server on the bus."""

    STARTING = "starting"
    IN_SYNC = "in-sync"
    APPLYING = "applying"
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that people should know: a sentence with thing, reason and next step."""

    subject: str
    message: str

    def __str__(self) -> str:
        """Return the line that ``Problems`` shows."""
        return f"{self.subject}: {self.message}"


@dataclass(frozen=True, slots=True)
class State:
    """All that the daemon publishes; replaced as a whole, never changed in place.

    ``rooms`` are those of ltsp.conf, ``machines`` what it names by MAC address. ``set_up`` is the kind of the
    set-up of the server's cards that is in force; empty: none. ``set_up_waits``: it is undone soon unless
    somebody confirms it. ``serving``: machines that boot are answered. ``config_tag``: of ltsp.conf's file.
    """

    version: str
    state: ServerState = ServerState.STARTING
    revision: int = 0
    problems: tuple[str, ...] = ()
    base_directory: str = ""
    tftp_directory: str = ""
    images: tuple[ImageState, ...] = ()
    links: tuple[LinkState, ...] = ()
    clients: tuple[ClientState, ...] = ()
    outputs: tuple[OutputStatus, ...] = ()
    jobs: tuple[Job, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    set_aside: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    set_up: str = ""
    set_up_waits: bool = False
    machines: tuple[Machine, ...] = ()
    serving: bool = True
    config_tag: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter's value for one host. For a default, ``file`` is empty and ``line`` 0.

    A ``withheld`` value is a secret, so it is empty here. With ``code`` the value is what the line says, and
    only the client can know what that gives.
    """

    name: str
    value: str
    file: str
    line: int
    withheld: bool
    code: bool = False


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """A mistake in ltsp.conf. ``severity`` is error or warning; line and column count from 1, 0 = none."""

    severity: str
    file: str
    line: int
    column: int
    message: str
