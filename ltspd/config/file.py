"""ltsp.conf on disk -> Config. With a mistake the last good one stays in force, also after a restart."""

import logging
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

from ltspd.config.configuration import Config, load
from ltspd.config.document import Finding, Severity
from ltspd.config.parameter import Settings
from ltspd.config.secrecy import withheld
from ltspd.errors import ConfigChanged, ConfigError, ToolFailed
from ltspd.model.state import Problem
from ltspd.paths import Paths
from ltspd.system.files import write_atomically

log = logging.getLogger(__name__)

# Findings name the file so, also where ``paths.root`` is another directory.
NAME = "/etc/ltsp/ltsp.conf"
# More than this is no ltsp.conf: that of a school with 1,000 sections has 100 kB.
LARGEST = 512 * 1024
# The tag of a file that is not there.
NO_FILE = "none"


def check(text: str) -> tuple[Finding, ...]:
    """Return every finding of a text that might become the file; raises ConfigError if it is too large."""
    if len(text) > LARGEST:
        raise ConfigError(f"The text has {len(text):,} characters; an ltsp.conf has {LARGEST:,} at most.")
    return load({NAME: text}).findings


def _careful() -> Config:
    """Return what is in force while there are no good settings: defaults, but no addresses for anybody."""
    return replace(load({}), settings=Settings({"REAL_DHCP": "0"}))


class ConfFile:
    """The configuration in force."""

    def __init__(self, paths: Paths) -> None:
        """Read from ``paths.conf``; keep the last good text in ``paths.state``."""
        self._paths = paths
        # Written with mode 0600, because ltsp.conf may hold passwords.
        self._kept = paths.state / "ltsp.conf.good"
        # What was there before that.
        self._former = paths.state / "ltsp.conf.former"
        # Reload() reads in another thread than a pass.
        self._lock = threading.Lock()
        self._text: str | None = None
        # Of the file that was read last.
        self.tag = NO_FILE
        self._config: Config | None = None
        self._wrong: tuple[Problem, ...] = ()

    def read(self) -> tuple[Config, tuple[Problem, ...]]:
        """Return the configuration in force, and why the one on disk is not in force (empty if it is)."""
        with self._lock:
            return self._read()

    def check(self) -> tuple[Finding, ...]:
        """Return every finding of the file on disk, also of one that is not in force; raises ConfigError."""
        try:
            text = self._paths.conf.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise ConfigError(f"{NAME} can't be read ({error.strerror}).") from error
        return load({NAME: text}).findings

    def text(self, *, former: bool = False) -> tuple[str, str]:
        """Return the file on disk, or what was there before, and its tag, which differs for each version.

        No file is an empty text. Raises ConfigError if it can't be read, or is no text.
        """
        place, name = (self._former, str(self._former)) if former else (self._paths.conf, NAME)
        tag = _tag(place)
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            return "", NO_FILE
        except OSError as error:
            raise ConfigError(f"{name} can't be read ({error.strerror}).") from error
        return _as_text(data, name), tag

    def save(self, text: str, tag: str) -> str:
        """Replace the file of this tag by a text without errors, keep what was there, return the new tag.

        Owner and mode stay. Raises ConfigError for a text with errors, ConfigChanged if the file has another
        tag now, ToolFailed if it can't be written.
        """
        if errors := [each for each in check(text) if each.severity is Severity.ERROR]:
            raise ConfigError("Nothing is saved, because of mistakes:\n" + "\n".join(map(str, errors)))
        # A link to the file stays one.
        place, data = Path(os.path.realpath(self._paths.conf)), text.encode()
        with self._lock:
            if _tag(place) != tag:
                raise ConfigChanged(
                    f"{NAME} was changed by somebody else since it was read, so nothing is saved. Read it "
                    "again, and make your changes there."
                )
            try:
                before = place.read_bytes() if tag != NO_FILE else b""
                if before == data and tag != NO_FILE:
                    return tag
                write_atomically(self._former, before, 0o600)
                write_atomically(place, data, _mode(place, text))
                write_atomically(self._kept, data, 0o600)
            except OSError as error:
                raise ToolFailed(f"{error.filename or NAME} can't be written ({error.strerror}).") from error
            return _tag(place)

    def _read(self) -> tuple[Config, tuple[Problem, ...]]:
        self.tag = _tag(self._paths.conf)
        try:
            text = self._paths.conf.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            self._config = self._config or self._last_good()
            why = f"{self._paths.conf} can't be read ({error.strerror}); {self._instead()}."
            return self._config or _careful(), (Problem("ltsp.conf", why),)
        if text != self._text or (self._config is None and not self._wrong):
            self._text = text
            self._take(text)
        return self._config or _careful(), self._wrong

    def _take(self, text: str) -> None:
        config = load({NAME: text})
        if config.ok:
            self._config, self._wrong = config, ()
            self._keep(text.encode("utf-8", "surrogateescape"))
            for finding in config.findings:
                log.log(logging.INFO if finding.severity is Severity.INFO else logging.WARNING, "%s", finding)
            return
        self._config = self._config or self._last_good()
        instead = self._instead()
        told = f"{instead[0].upper()}{instead[1:]}."
        self._wrong = tuple(Problem("ltsp.conf", f"{error}. {told}") for error in config.errors)

    def _instead(self) -> str:
        if self._config is not None:
            return "the last good settings stay"
        return "there are no earlier settings, so defaults are in force, and no addresses are given out"

    def _keep(self, data: bytes) -> None:
        try:
            before = self._kept.read_bytes() if self._kept.exists() else None
            if before == data:
                return
            if before is not None:
                write_atomically(self._former, before, 0o600)
            write_atomically(self._kept, data, 0o600)
        except OSError as error:
            log.warning(
                "%s can't be written, so these settings may not outlive a restart: %s", self._kept, error
            )

    def _last_good(self) -> Config | None:
        try:
            text = self._kept.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
        # An older version may have accepted lines that are mistakes now; the other lines still count.
        return load({NAME: text})


def _tag(place: Path) -> str:
    try:
        found = place.stat()
    except FileNotFoundError:
        return NO_FILE
    except OSError as error:
        return f"unread-{error.errno}"
    # Not of the content, which may hold a password that somebody could then guess.
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _as_text(data: bytes, name: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: this line is not in UTF-8; save the file so, as by iconv."
        ) from None
    if "\0" in text:
        raise ConfigError(f"{name} holds a zero byte, so it is no text.")
    return text


def _mode(place: Path, text: str) -> int:
    """Return who may read the new file: as before, and at first everybody if it holds no secret."""
    try:
        found = place.stat()
    except FileNotFoundError:
        return 0o600 if withheld(load({NAME: text}).document) else 0o644
    if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        raise ToolFailed(
            f"{NAME} belongs to user {found.st_uid} and group {found.st_gid}, which would be lost. Change it "
            f"with an editor, or give it to root: 'chown root:root {NAME}'."
        )
    return stat.S_IMODE(found.st_mode)
