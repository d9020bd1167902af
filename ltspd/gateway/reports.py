"""What a client sends about itself: bytes from the network → a Report, or a reason why not. Pure.

A report is lines of ``key=value``, made by client/boot/report.sh. Older and newer clients than this server
report here as well, so keys that are not known are left alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ltspd.clients.fields import ANSWER, is_sound

# Reports have about 400 bytes; only the sentence of a client that can't boot may be long.
BYTES_MOST = 2048
LINES_MOST = 32
# The moments of a boot that clients report, in seconds since the kernel started.
MARKS = ("init", "network", "root", "setup", "login")
# Ten years: a client may wait for its server over the holidays, and one that has run for weeks tells a server
# that was restarted what it is.
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")
SECONDS_MOST = 3650 * 86400.0


class BadReport(ValueError):
    """The bytes are no report; the text says why, and repeats nothing of them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one client says. ``clock`` and the moments in ``marks`` are seconds since its kernel started.

    With an ``order`` it is the answer to that, and says nothing of the boot. ``initrd`` is what the gateway
    itself has to say of it.
    """

    mac: str
    stage: str
    clock: float
    hostname: str = ""
    image: str = ""
    generation: str = ""
    transport: str = ""
    error: str = ""
    marks: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    kept: str = ""
    boot: str = ""
    pending: str = ""
    card: str = ""
    initrd: str = ""
    order: str = ""
    result: str = ""


def parse(body: bytes) -> Report:
    """Return the report that these bytes are; raises BadReport."""
    if len(body) > BYTES_MOST:
        raise BadReport(f"more than {BYTES_MOST} bytes")
    try:
        lines = body.decode().strip("\n").split("\n")
    except UnicodeDecodeError:
        raise BadReport("not UTF-8") from None
    if len(lines) > LINES_MOST:
        raise BadReport(f"more than {LINES_MOST} lines")
    values: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or key in values:
            raise BadReport("a line is no key=value, or its key comes twice")
        values[key] = value
    return _report(values)


def _report(values: Mapping[str, str]) -> Report:
    fields = (
        "hostname",
        "image",
        "generation",
        "transport",
        "error",
        "key",
        "kept",
        "boot",
        "pending",
        "card",
        *ANSWER,
    )
    found = {name: values.get(name, "") for name in ("mac", "stage", *fields)}
    if not is_sound("card", found["card"]):
        # Vendors make names of devices up, and a machine can do without this.
        found["card"] = ""
    for name, value in found.items():
        if not is_sound(name, value):
            raise BadReport(f"{name} can't be that")
    if found["order"]:
        if not found["result"]:
            raise BadReport("no result")
        return Report(found["mac"], "", 0.0, boot=found["boot"], order=found["order"], result=found["result"])
    if not found["stage"]:
        raise BadReport("no stage")
    marks = {}
    for word in values.get("marks", "").split():
        name, _, when = word.partition("=")
        if name in MARKS:
            marks[name] = _seconds(when)
    return Report(**found, clock=_seconds(values.get("clock", "")), marks=marks)


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or float(text) > SECONDS_MOST:
        raise BadReport("a time is no number of seconds")
    return float(text)
