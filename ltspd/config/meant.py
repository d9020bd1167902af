"""Sections that can be read, but that probably mean something else than their author thinks. Pure."""

import re
from collections.abc import Iterator

from ltspd.config.document import Document, Finding, Severity
from ltspd.config.evaluate import Index
from ltspd.config.headers import SPECIAL, is_glob
from ltspd.config.parameters import suggestion

# In other configuration files, such as LTSP 5's, these are names of the section for everybody.
_EVERYBODY = frozenset({"all", "any", "client", "default", "defaults", "everyone", "global", "host", "hosts"})
_BARE_MAC = re.compile(r"[0-9a-f]{12}\Z")


def misnamed(document: Document, index: Index) -> Iterator[Finding]:
    """Find names that select one host, but look like something else."""
    included = {id(index.target(each)) for section in document.sections for each in section.includes}
    for section in document.sections:
        if id(section) in included:
            continue
        for pattern in section.patterns:
            if meant := _meant(pattern):
                reason = f"[{pattern}] counts only for a host of that name"
                yield Finding(Severity.WARNING, section.file, section.line, reason, f"is [{meant}] meant?")


def _meant(pattern: str) -> str:
    if _BARE_MAC.match(pattern) and any(map(str.isdigit, pattern)):
        return ":".join(re.findall("..", pattern))
    if pattern in SPECIAL or is_glob(pattern) or ":" in pattern or "/" in pattern:
        return ""
    return "clients" if pattern in _EVERYBODY else suggestion(pattern, SPECIAL)
