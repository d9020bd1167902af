"""Outputs: files and units that must be so, and how they relate to what is there. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class OutputState(StrEnum):
    """How an output on disk relates to what it should be."""

    IN_SYNC = "in-sync"
    PENDING = "pending"
    EDITED = "edited"
    FAILED = "failed"
    DISABLED = "disabled"


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
class Output:
    """One rendered output: its files, and the unit that must run (or not) with them.

    ``reload``: the unit takes new files by a reload; ``follows``: it takes them without being told;
    otherwise it is restarted. ``check`` is a
    command that must accept a candidate file, with ``{}`` for its path. ``missing`` says why the
    output can't be had on this machine; then nothing is written. ``port_setting`` is the parameter that
    gives it another port. ``questions`` are what its server must answer once it runs, each
    ``KIND:LINK:ADDRESS`` (see ``ltspd.probe``).
    """

    name: str
    files: tuple[File, ...] = ()
    links: tuple[Symlink, ...] = ()
    unit: str = ""
    wanted: bool = True
    reload: bool = False
    follows: bool = False
    check: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    missing: str = ""
    questions: tuple[str, ...] = ()
    port_setting: str = ""

    @property
    def needed(self) -> bool:
        """Whether its files and its unit are to be there at all."""
        return self.wanted and not self.missing
