"""Give a DHCP server of ours the leases that another one gave before: ``leases dnsmasq|kea|isc``.

Its unit runs this before it starts the server, so nobody else writes these files then.
"""

import os
import stat
import sys
import time
from pathlib import Path

from ltspd.leases.formats import add, merge, parse
from ltspd.paths import Paths

# Each server's files, below the root, the newest last; the first is the one that is written. Units show them
# to the servers under other names. Of Kea's, kea-lfc makes ".2" of ".1", and Kea adds to the last one.
FILES = {
    "dnsmasq": ("var/lib/ltspd/dnsmasq.leases",),
    "kea": tuple(f"var/lib/ltspd/kea/kea-leases4.csv{end}" for end in (".1", ".2", "")),
    "isc": ("var/lib/ltspd/dhcpd/dhcpd.leases",),
}
CONFIGURATION = "var/lib/ltspd/outputs/kea-dhcp4.conf"


def main() -> int:
    """Return 0; what can't be done leaves the server with its own leases."""
    take_over(sys.argv[1], Paths().root, int(time.time()))
    return 0


def take_over(kind: str, root: Path, now: int) -> None:
    """Add to a server's file what others gave and what still counts; raises OSError."""
    texts = {name: "".join(_read(root / each) for each in places) for name, places in FILES.items()}
    new = merge({name: parse(name, text) for name, text in texts.items()}, kind, now)
    changed = add(kind, texts[kind], new, _read(root / CONFIGURATION) if kind == "kea" else "")
    own, *rest = (root / each for each in FILES[kind])
    # dhcpd does not start without its file.
    if changed != _read(own) or not own.exists():
        candidate = own.with_name(f"{own.name}.new")
        candidate.write_text(changed)
        os.replace(candidate, own)
    for each in rest:
        each.unlink(missing_ok=True)


def _read(place: Path) -> str:
    """Return a file's text; nothing if it is none, because it may be another user's, and we root."""
    try:
        opened = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(opened, errors="replace") as file:
        return file.read() if stat.S_ISREG(os.fstat(opened).st_mode) else ""


if __name__ == "__main__":
    sys.exit(main())
