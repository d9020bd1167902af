"""The nouns of a parsed ltsp.conf: sections, assignments, findings, hosts. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ltspd.config.headers import ROOM


class Severity(StrEnum):
    """An error keeps the last good configuration in place; a warning does not; info is no mistake at all."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where, why, and what to do. ``line`` and ``column`` count from 1; 0 = none."""

    severity: Severity
    file: str
    line: int
    reason: str
    step: str
    column: int = 0

    @property
    def message(self) -> str:
        """Reason and next step in one sentence."""
        return f"{self.reason}; {self.step}" if self.step else self.reason

    def __str__(self) -> str:
        """Return ``FILE:LINE[:COLUMN]: SEVERITY: reason; next step``."""
        column = f":{self.column}" if self.column else ""
        return f"{self.file}:{self.line}{column}: {self.severity}: {self.message}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A ``$NAME`` inside a value; evaluate puts the host's text in its place."""

    name: str


Part = str | Reference


@dataclass(frozen=True, slots=True)
class Assignment:
    """``NAME=value``; the parts have no quotes and escapes any more."""

    name: str
    parts: tuple[Part, ...]
    file: str
    line: int

    @property
    def text(self) -> str | None:
        """The value, or None if it depends on other parameters."""
        if any(isinstance(part, Reference) for part in self.parts):
            return None
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the parameters that the value is made from."""
        return tuple(part.name for part in self.parts if isinstance(part, Reference))


@dataclass(frozen=True, slots=True)
class Include:
    """``INCLUDE=section``: ``target`` is lower-case.

    ``called``: the line is ``section_x``, and the target is LTSP's id of the section.
    """

    target: str
    file: str
    line: int
    called: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """Lines that only a shell understands. Nothing here runs them: clients get them as they are.

    ``names`` are the parameters that they set, as far as the text shows it.
    """

    text: str
    names: tuple[str, ...]
    file: str
    line: int


Entry = Assignment | Include | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A section. The lines before a file's first header are the section named ``""``.

    ``patterns`` are the lower-case alternatives of the header. If the header can't be read there are none, so
    that the lines below it apply to nobody. ``members``: who is in it, if it is a room.
    """

    name: str
    patterns: tuple[str, ...]
    file: str
    line: int
    entries: tuple[Entry, ...] = ()
    members: tuple[str, ...] = ()

    @property
    def room(self) -> str:
        """The name of the room that this is, or an empty string."""
        return self.name.removeprefix(ROOM) if self.patterns and self.name.startswith(ROOM) else ""

    @property
    def assignments(self) -> Iterator[Assignment]:
        """The assignments in order."""
        return (entry for entry in self.entries if isinstance(entry, Assignment))

    @property
    def code(self) -> Iterator[Code]:
        """The lines of code in order."""
        return (entry for entry in self.entries if isinstance(entry, Code))

    @property
    def includes(self) -> Iterator[Include]:
        """The INCLUDE lines in order."""
        return (entry for entry in self.entries if isinstance(entry, Include))

    @property
    def label(self) -> str:
        """How a message names the section."""
        return f"[{self.name}]" if self.name else "the lines above the first section"


@dataclass(frozen=True, slots=True)
class Document:
    """What one or more files say. ``sections[0]`` is the unnamed one; ``mistakes`` are what can't be read."""

    file: str
    sections: tuple[Section, ...]
    mistakes: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The host whose values are asked for. ``mac`` is lower-case with colons; unknown fields are empty.

    ``kind`` is ``client`` or ``server``; ``server`` is the address that ``$SERVER`` stands for. ``applet`` is
    a part of a client's life, as LTSP names them; sections such as [init/pc*] count for one alone.
    """

    mac: str = ""
    ip: str = ""
    hostname: str = ""
    kind: str = "client"
    server: str = ""
    applet: str = "init"


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter's text for one host and the line that set it."""

    text: str
    file: str
    line: int
