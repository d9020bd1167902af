"""A machine's boot, read from its serial console. Pure. The text is the image's, so it is not trusted."""

import re

from ltspd.trial.messages import PHASES

_ORDER = tuple(PHASES)
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78cM])")
# Characters of a line that are read, so that a console without line ends can't fill the memory.
_LONGEST = 4096
# The line with which each phase of messages.PHASES begins.
_BEGINS = (
    ("kernel", re.compile(r"Linux version ")),
    ("root", re.compile(r"ltsp: init started")),
    ("init", re.compile(r"ltsp: (?:starting /|the distribution's own initrd goes on)")),
    ("login", re.compile(r"ltsp: trial: login$")),
)
_ENDS = (
    (re.compile(r"ltsp: This client can't boot: (.+)"), "the boot initrd says: {}"),
    (re.compile(r"Kernel panic - not syncing: (.+)"), "its kernel panicked: {}"),
    (re.compile(r"You are in (emergency|rescue) mode"), "systemd ended up in {} mode"),
    (re.compile(r"ltsp: trial: no login: (.+)"), "{}"),
)
_TELLS = re.compile(r"ltsp: trial: its login will be told")
_FAILED = re.compile(r"ltsp: trial: failed (\S+)$")
_ENDED = re.compile(r"ltsp: trial: ended \S+$")
_PROMPT = re.compile(r"\blogin: ?$")


class Console:
    """Reads a console piece by piece. ``phase`` is the last that began, ``reason`` why no login can come.

    ``complete`` means that nothing more will come: the boot failed, or the login was reached and all units
    have started or failed. ``failed`` are the failed units.
    """

    def __init__(self) -> None:
        """Begin with the firmware."""
        self.phase = "firmware"
        self.reason = ""
        self.complete = False
        self.failed: tuple[str, ...] = ()
        self._line = ""
        self._tells = False

    @property
    def login(self) -> bool:
        """Whether the login was reached."""
        return self.phase == "login"

    def feed(self, text: str) -> None:
        """Read a piece of the console."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._read(plain(line))
        self._line = self._line[-_LONGEST:]
        # An image of an older version of ours does not report its login; then the prompt counts.
        if not self.complete and not self._tells and _PROMPT.search(plain(self._line)):
            self.phase, self.complete = "login", True

    def _read(self, line: str) -> None:
        if self.complete:
            return
        for phase, pattern in _BEGINS:
            if _ORDER.index(phase) > _ORDER.index(self.phase) and pattern.search(line):
                self.phase = phase
        if _TELLS.search(line):
            self._tells = True
        if found := _FAILED.search(line):
            self.failed = (*self.failed, found[1])
        for pattern, sentence in _ENDS:
            if found := pattern.search(line):
                self.reason, self.complete = sentence.format(found[1].strip()), True
                return
        self.complete = self.login and bool(_ENDED.search(line))


def plain(line: str) -> str:
    """Return a line as a screen shows it, without the codes that move cursors or change colours."""
    line = _ESCAPES.sub("", line[:_LONGEST]).rstrip("\r").rpartition("\r")[2]
    return "".join(each if each.isprintable() or each == "\t" else "?" for each in line).rstrip()
