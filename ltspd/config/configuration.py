"""The configuration as the daemon uses it: what counts for the server, and what is wrong. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from ltspd.config.check import check
from ltspd.config.document import Document, Finding, Severity
from ltspd.config.evaluate import effective_server
from ltspd.config.parameter import SERVER, Settings
from ltspd.config.parameters import sides
from ltspd.config.parse import parse_files


@dataclass(frozen=True, slots=True)
class Config:
    """One reading of the files: what they say, what of it counts for the server, and what is wrong.

    If it is not ``ok``, the caller keeps the last one that was.
    """

    document: Document
    settings: Settings
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors

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
    values = effective_server(document).items()
    # Nothing else, so that no output can come upon a secret that the file holds for another purpose.
    texts = {name: value.text for name, value in values if SERVER in sides(name)}
    return Config(document, Settings(texts), check(document))
