"""What the listener hears of a machine before that reports anything: words, checked on both sides. Pure.

The listener says it with these types, the daemon takes it apart again. Anybody on the network can have made
it up, so it is shown and nothing else: no key, no order and no generation depends on it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ltspd.clients.fields import ClientStage, is_address, is_mac
from ltspd.model.client import ClientState, Seen, Server, Stage, Step, Word
from ltspd.names import is_link_name

T = TypeVar("T")

SECOND = 1_000_000
# A server that gave no answer for this long is not named any more.
FRESH = 3600 * SECOND
# Steps of one machine that are kept.
STEPS_MOST = 16
# Machines that were only heard, and never reported; and for how long they are remembered. There are machines
# that ask for a network boot whenever they are switched on, and then start from their disk.
ONLY_HEARD_MOST = 1000
REMEMBERED = 24 * 3600 * SECOND

_WORD = re.compile(r"[!-~]{0,128}")
_STEP = re.compile(
    r"([0-9]{1,17}) ([a-z]{1,16}) (\S{1,15}) (\S{1,15}) (\S{1,128}) ([0-9]{1,9}) ([0-9]{1,17})"
)
_VENDORS = ("", "PXEClient", "HTTPClient")
# Keys on the bus, their D-Bus types, and the fields.
MACHINE: Mapping[str, tuple[str, str]] = {
    "Mac": ("s", "mac"),
    "Link": ("s", "link"),
    "Architecture": ("i", "architecture"),
    "Vendor": ("s", "vendor"),
    "Stage": ("s", "stage"),
    "Server": ("s", "server"),
    "File": ("s", "file"),
    "Lease": ("s", "lease"),
    "Expires": ("t", "expires"),
    "LastSeen": ("t", "at"),
    "Steps": ("as", "steps"),
}
SERVER: Mapping[str, tuple[str, str]] = {
    "Link": ("s", "link"),
    "Address": ("s", "address"),
    "Mac": ("s", "mac"),
    "Gives": ("b", "gives"),
    "Boots": ("b", "boots"),
    "File": ("s", "file"),
    "LastSeen": ("t", "heard"),
}


def dump(keys: Mapping[str, tuple[str, str]], value: Seen | Server) -> dict[str, tuple[str, Any]]:
    """Return a machine or a server as the bus carries it."""
    fields = value._asdict()
    if isinstance(value, Seen):
        fields["steps"] = list(map(_written, value.steps))
    return {key: (signature, fields[name]) for key, (signature, name) in keys.items()}


def _written(step: Step) -> str:
    words = (
        step.at,
        step.word,
        step.server or "-",
        step.address or "-",
        step.text or "-",
        step.times,
        step.last,
    )
    return " ".join(map(str, words))


def machine(report: Mapping[str, Any], now: int) -> Seen | None:
    """Return what was heard of a machine; None if that can't be right. No time is later than ``now``."""
    fields = _fields(MACHINE, report)
    steps = [_step(each, now) for each in fields.pop("steps", ())]
    sound = (
        is_mac(fields.get("mac", ""))
        and is_link_name(fields.get("link", ""))
        and fields.get("stage", "") in ("", *Stage)
        and fields.get("vendor", "") in _VENDORS
        and -1 <= fields.get("architecture", -1) <= 0xFFFF
        and all(not fields.get(each) or is_address(fields[each]) for each in ("server", "lease"))
        and _WORD.fullmatch(fields.get("file", ""))
        and len(steps) <= STEPS_MOST
    )
    if not sound or None in steps:
        return None
    found = Seen(**{**fields, "steps": tuple(each for each in steps if each is not None)})
    return found._replace(at=min(found.at, now))


def _step(text: str, now: int) -> Step | None:
    match = _STEP.fullmatch(text)
    if match is None or match[2] not in list(Word):
        return None
    at, word, server, address, what, times, last = match.groups()
    server, address, what = ("" if each == "-" else each for each in (server, address, what))
    if not all(not each or is_address(each) for each in (server, address)) or not _WORD.fullmatch(what):
        return None
    return Step(min(int(at), now), Word(word), server, address, what, int(times), min(int(last), now))


def server(report: Mapping[str, Any], now: int) -> Server | None:
    """Return a server that was heard; None if that can't be right."""
    fields = _fields(SERVER, report)
    sound = (
        is_link_name(fields.get("link", ""))
        and is_address(fields.get("address", ""))
        and (not fields.get("mac") or is_mac(fields["mac"]))
        and _WORD.fullmatch(fields.get("file", ""))
    )
    return Server(**{**fields, "heard": min(fields.get("heard", 0), now)}) if sound else None


def _fields(keys: Mapping[str, tuple[str, str]], report: Mapping[str, T]) -> dict[str, Any]:
    return {name: report[key] for key, (_, name) in keys.items() if key in report}


def merge(
    clients: Mapping[str, ClientState], reports: Iterable[Mapping[str, object]], now: int
) -> tuple[Mapping[str, ClientState], int]:
    """Return the clients with what was heard merged in, and how many reports were refused as invalid.

    A machine that has reported itself since stays at the stage that it reported.
    """
    found = dict(clients)
    refused = 0
    for report in reports:
        seen = machine(report, now)
        if seen is None:
            refused += 1
            continue
        before = found.get(seen.mac, ClientState(seen.mac))
        after = replace(before, seen=seen)
        if seen.stage and seen.at > before.last_seen:
            # Its last boot has ended, so it can't obey an order. Of one that runs that would be a claim.
            boot = "" if before.stage == ClientStage.OFF else before.boot
            after = replace(after, stage=seen.stage, last_seen=seen.at, error="", boot=boot)
        # Who has told a key has told its address, too, and both belong together.
        if seen.lease and is_only_heard(before):
            after = replace(after, address=seen.lease)
        found[seen.mac] = after
    heard = sorted((each for each in found.values() if is_only_heard(each)), key=lambda each: each.last_seen)
    old = {each.mac for each in heard if now - each.last_seen > REMEMBERED}
    old |= {each.mac for each in heard[:-ONLY_HEARD_MOST]}
    return {mac: each for mac, each in found.items() if mac not in old}, refused


def is_only_heard(client: ClientState) -> bool:
    """Whether a machine was heard by the listener, and has never reported itself."""
    return bool(client.seen.mac) and not (client.boot or client.key or client.image or client.hostname)
