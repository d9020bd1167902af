"""ltsp.conf on disk -> Config. With a mistake the last good one stays in force, also after a restart."""

import logging
import threading
from dataclasses import replace

from ltspd.config.configuration import Config, load
from ltspd.config.document import Finding, Severity
from ltspd.config.parameter import Settings
from ltspd.errors import ConfigError
from ltspd.model.state import Problem
from ltspd.paths import Paths
from ltspd.system.files import write_atomically

log = logging.getLogger(__name__)

# Findings name the file so, also where ``paths.root`` is another directory.
NAME = "/etc/ltsp/ltsp.conf"


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
        # Reload() reads in another thread than a pass.
        self._lock = threading.Lock()
        self._text: str | None = None
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

    def _read(self) -> tuple[Config, tuple[Problem, ...]]:
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
            if not self._kept.exists() or self._kept.read_bytes() != data:
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
