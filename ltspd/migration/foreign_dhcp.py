"""Lines in the files of other DHCP servers: the administrator's own ones, and those that name boot files."""

import re
from collections.abc import Iterator
from pathlib import Path

# Bytes of a file that are read; nobody writes a longer one by hand.
_MOST = 1 << 18
# Lines of a file that a message quotes, and characters of each.
_LINES, _WIDTH = 8, 100
# The options that LTSP 5 and later writes into its dnsmasq file (dnsmasq(8)).
_LTSPS = frozenset({
    "port", "enable-tftp", "tftp-root", "dhcp-match", "dhcp-mac", "tag-if", "pxe-service", "pxe-prompt",
    "dhcp-boot", "dhcp-vendorclass", "dhcp-no-override", "log-dhcp",
})  # fmt: skip
# Options that LTSP and administrators both write: the values that are LTSP's.
_LTSPS_VALUES = {
    "dhcp-range": re.compile(r".*\bproxy\b.*|192\.168\.67\.20,192\.168\.67\.250\b.*"),
    "dhcp-option": re.compile(r"(.*,)?(option:dns-server|option:root-path|6|17)\b.*|vendor:PXEClient\b.*"),
}
# How each server names the boot file of a machine; boot files below "ltsp/" are ltspd's.
_BOOT = {
    "isc-dhcp-server": re.compile(r'(filename\s+"(?!/?ltsp/)|option\s+root-path\b|include\s+"/etc/ltsp/)'),
    "kea-dhcp4-server": re.compile(r'(?!//).*"boot-file-name"\s*:\s*"(?!/?ltsp/)[^"]'),
    "dnsmasq": re.compile(r"(dhcp-boot|pxe-service)\s*=(?!.*\bltsp/)"),
}


def own_lines(place: Path) -> tuple[str, ...]:
    """Return the lines of LTSP's dnsmasq file that LTSP doesn't write."""
    return tuple(each for each in _lines(place) if not _is_ltsps(each))


def boot_lines(place: Path, server: str) -> tuple[str, ...]:
    """Return the lines by which a server's file sends machines to boot files that ltspd doesn't serve."""
    return tuple(each for each in _lines(place) if _BOOT[server].match(each))


def repeat(place: Path, lines: tuple[str, ...]) -> str:
    """Return lines of a file as part of a sentence; only their number if not everybody may read the file."""
    try:
        readable = bool(place.stat().st_mode & 0o004)
    except OSError:
        readable = False
    shown = [f"'{each[:_WIDTH]}'" for each in lines[:_LINES]] if readable else []
    more = len(lines) - len(shown)
    return ", ".join(shown + ([f"{more} {'more ' if shown else ''}line(s)"] if more else []))


def _lines(place: Path) -> Iterator[str]:
    """Yield the lines of a file, stripped, without comments."""
    try:
        if not place.is_file():
            return
        with place.open("rb") as file:
            text = file.read(_MOST).decode(errors="replace")
    except OSError:
        return
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield line


def _is_ltsps(line: str) -> bool:
    name, _, value = (each.strip() for each in line.partition("="))
    pattern = _LTSPS_VALUES.get(name)
    return bool(pattern.match(value)) if pattern else name in _LTSPS
