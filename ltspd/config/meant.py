"""Sections that can be read, but that probably mean something else than their author thinks. Pure."""

import re
from collections.abc import Iterator

from ltspd.config.document import Document, Finding, Severity
from ltspd.config.evaluate import Index, effective, exact_hosts
from ltspd.config.headers import SPECIAL, is_glob
from ltspd.config.parameter import MENU
from ltspd.config.parameters import sides, suggestion

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


def globs_of_the_menu(document: Document, index: Index) -> Iterator[Finding]:
    """Find settings of the boot menu in sections with globs, which iPXE can't compare with."""
    found = [
        (section, each)
        for section in document.sections
        if section.patterns and all(map(is_glob, section.patterns))
        for each in section.assignments
        if MENU in sides(each.name)
    ]
    if not found:
        return
    # A section that names a host exactly may give it the HOSTNAME that selects the glob.
    hosts = (effective(index, host) for _, _, host in exact_hosts(document))
    used = {(each.file, each.line) for values in hosts for each in values.values()}
    told: set[tuple[str, int]] = set()
    for section, each in found:
        if (each.file, each.line) in used | told:
            continue
        told.add((each.file, each.line))
        reason = f"{each.name} has no effect in {section.label}: the boot menu can't compare with globs"
        step = "write the MAC addresses, IP addresses or names of the hosts, with | between them"
        yield Finding(Severity.WARNING, each.file, each.line, reason, step)
