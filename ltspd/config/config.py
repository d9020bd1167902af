"""The configuration as the daemon uses it: document, server settings and findings of one reading. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from ltspd.config.check import check
from ltspd.config.document import Document, Finding, Severity
from ltspd.config.parse import parse_files
from ltspd.config.server import ServerSettings, server_settings


@dataclass(frozen=True, slots=True)
class Config:
    """One reading of the files. If it is not ``ok``, the caller keeps the last one that was."""

    document: Document
    server: ServerSettings
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep this configuration from being used."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def load(files: Mapping[str, str]) -> Config:
    """Read files (name to text, decoded as UTF-8 with surrogateescape), /etc/ltsp/ltsp.conf first.

    Later files are read as if they stood below the first; no file at all is an empty configuration.
    Never raises for what the files say.
    """
    document = parse_files(files)
    return Config(document, server_settings(document), check(document))
