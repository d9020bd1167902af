"""Outputs: files that must be there, and what puts them into force: a unit or a command. Pure."""

import shlex
from dataclasses import dataclass
from enum import StrEnum


class OutputState(StrEnum):
    """How an output on disk relates to what it should be."""

    IN_SYNC = "in-sync"
    PENDING = "pending"
    EDITED = "edited"
    FAILED = "failed"
    DISABLED = "disabled"


# How an output is, and why.
Finding = tuple[OutputState, str]


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as published. ``applied_at`` is in microseconds since the epoch, 0 = never."""

    name: str
    paths: tuple[str, ...]
    unit: str
    state: OutputState
    message: str = ""
    applied_at: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """A file that an output consists of; ``path`` is absolute in the served system."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link that an output consists of; both sides are absolute in the served system."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit that runs with an output's files.

    It is restarted when they change, unless it takes new files by a ``reload`` or ``follows`` them by itself.
    """

    name: str
    reload: bool = False
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A program that puts an output's files into force, and one that undoes this, as root like the daemon.

    ``do`` runs when the files change, and once after each start of the daemon, because a reboot may have
    ended what it did; so it must do no harm when it is repeated. ``{}`` in it is the path of the output's
    first file. ``undo`` runs after the files are removed, maybe in a later release that knows nothing else of
    this output: it must name none of the files, and succeed where there is nothing to undo. Neither is run by
    a shell.
    """

    do: tuple[str, ...]
    undo: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One rendered output: its files, and the unit or command that puts them into force.

    ``wanted`` says whether they are to be there at all. ``check`` is a command that must accept a candidate
    file, with ``{}`` for its path. ``missing`` says why the output can't be had on this machine; then nothing
    is written. ``ports`` are what its unit listens on, and ``port_setting`` is the parameter that gives it
    another port. ``questions`` are what its server must answer once it runs, each ``KIND:LINK:ADDRESS`` (see
    ``ltspd.probe``).
    """

    name: str
    files: tuple[File, ...] = ()
    links: tuple[Symlink, ...] = ()
    activation: Unit | Command | None = None
    wanted: bool = True
    check: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    missing: str = ""
    questions: tuple[str, ...] = ()
    port_setting: str = ""

    @property
    def unit(self) -> str:
        """The name of its unit; empty if it has none."""
        return self.activation.name if isinstance(self.activation, Unit) else ""

    @property
    def key(self) -> str:
        """What the record knows its unit or command by: for a command, all that is needed to undo it."""
        match self.activation:
            case Command(undo=undo):
                return f"{self.name}: {shlex.join(undo)}"
        return self.unit

    @property
    def needed(self) -> bool:
        """Whether its files are to be there and in force."""
        return self.wanted and not self.missing
