"""Whose key counts: each machine's first one that it keeps; else the present one, or what is approved. Pure.

Anybody on the network can report any public key for any MAC address. So a key that is known as a machine's
own is never replaced by a report, only by an administrator.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from ltspd.clients.fields import ClientStage, is_mac, is_sound
from ltspd.model.client import ClientState, Enrol, Enrolled, Identity
from ltspd.model.state import Problem

# As many as clients are known. Beyond that boot-long keys make room. Kept ones are of machines that may be
# off, so they stay, and no new key is taken.
MOST = 2000
# Kept keys that count from one address without approval: as many as a room behind one router has machines.
# So who forges reports can't fill the list with the addresses that one machine can have.
ADDRESS_MOST = 64
# Clients whose keys don't count and get a line in Problems; one more line counts the others.
PROBLEMS_MOST = 10
# The version of the file. Fields only come to it.
VERSION = 1

Registry = Mapping[str, Enrolled]

# A boot has begun, and its key is not made yet; or a boot has ended.
_WITHOUT_KEY = frozenset({ClientStage.NETWORK, ClientStage.OFF})


def settle(
    registry: Registry, clients: Mapping[str, ClientState], macs: Iterable[str], policy: Enrol
) -> tuple[Registry, Mapping[str, ClientState]]:
    """Return the registry and the clients after the reports of these machines."""
    known, found = dict(registry), dict(clients)
    # How many that count towards the limit each address has.
    crowds = Counter(each.address for each in known.values() if _counts(each))
    for mac in macs:
        client = found[mac]
        if mac not in known and len(known) >= MOST:
            _make_room(known)
        full = len(known) >= MOST
        before = known.get(mac)
        crowded = _is_crowded(before, client, crowds[client.address])
        entry = _entry(before, client, policy, full=full, crowded=crowded)
        if entry is not None:
            known[mac] = entry
        else:
            known.pop(mac, None)
        for each, number in ((before, -1), (entry, 1)):
            if each is not None and _counts(each):
                crowds[each.address] += number
        identity = judge(entry, client, policy)
        if client.identity is not identity:
            found[mac] = replace(client, identity=identity)
    return known, found


def _make_room(known: dict[str, Enrolled]) -> None:
    """Drop the oldest boot-long key, if there is one: its boot has probably ended without a word."""
    oldest = min(
        (each for each in known.values() if not each.kept), key=lambda each: each.since, default=None
    )
    if oldest is not None:
        del known[oldest.mac]


def _counts(entry: Enrolled) -> bool:
    """Return whether a key is one that came by itself and stays."""
    return entry.kept and not entry.approved


def _is_crowded(before: Enrolled | None, client: ClientState, number: int) -> bool:
    """Return whether a client would be one kept key too many of its address, which has ``number``."""
    if client.kept != "1" or (before is not None and before.kept):
        return False
    return number >= ADDRESS_MOST


def _entry(
    before: Enrolled | None, client: ClientState, policy: Enrol, *, full: bool, crowded: bool
) -> Enrolled | None:
    """Return what is known of a machine after its report."""
    kept = client.kept == "1" and not crowded
    if before is not None and not before.kept and client.stage in _WITHOUT_KEY:
        # A boot-long key ends with its boot. A lie about that costs what a lie about the key does.
        return None
    if not client.key or client.stage == ClientStage.OFF:
        return before
    if before is not None and before.key == client.key:
        # An address may be another machine's now; then the gateway doesn't know ours.
        return replace(
            before,
            kept=before.kept or kept,
            address=client.address or before.address,
            hostname=client.hostname or before.hostname,
        )
    if policy is not Enrol.AUTO or crowded or (before is not None and before.kept):
        return before
    if before is None and full:
        return None
    return _new(client)


def _new(client: ClientState, *, approved: bool = False) -> Enrolled:
    return Enrolled(
        client.mac,
        client.key,
        client.kept == "1",
        client.last_seen,
        client.address,
        client.hostname,
        approved,
    )


def judge(entry: Enrolled | None, client: ClientState, policy: Enrol) -> Identity:
    """Return what the key that a client reported last counts for."""
    if policy is Enrol.OFF:
        return Identity.NONE
    if not client.key:
        return Identity.KEPT if entry is not None and entry.kept else Identity.NONE
    if entry is not None and entry.key == client.key:
        return Identity.KEPT if entry.kept else Identity.BOOT
    if entry is not None and entry.kept:
        return Identity.REFUSED
    return Identity.NONE if client.stage == ClientStage.OFF else Identity.PENDING


def approve(registry: Registry, client: ClientState) -> Registry:
    """Return the registry in which the key that a client reported last is that machine's."""
    return {**registry, client.mac: _new(client, approved=True)}


def forget(registry: Registry, mac: str) -> Registry:
    """Return the registry without a machine; the next key that it reports is its first one again."""
    return {each: entry for each, entry in registry.items() if each != mac}


def remembered(registry: Registry) -> Mapping[str, ClientState]:
    """Return the machines that are known before they report: those that keep their keys."""
    return {
        each.mac: ClientState(
            each.mac, each.hostname, each.address, last_seen=each.since, identity=Identity.KEPT
        )
        for each in registry.values()
        if each.kept
    }


def fingerprint(key: str) -> str:
    """Return a public key's fingerprint as ssh-keygen(1) shows it; empty for no key."""
    if not key:
        return ""
    digest = hashlib.sha256(base64.b64decode(key.split(" ")[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def problems(registry: Registry, clients: Iterable[ClientState]) -> tuple[Problem, ...]:
    """Return a problem for each client whose key an administrator has to look at, the newest first."""
    waiting = sorted(
        (each for each in clients if each.identity in (Identity.PENDING, Identity.REFUSED)),
        key=lambda each: (-each.last_seen, each.mac),
    )
    shown = [_problem(registry.get(each.mac), each) for each in waiting[:PROBLEMS_MOST]]
    if more := len(waiting) - len(shown):
        shown.append(
            Problem("clients", f"the keys of {more} more don't count; 'ltspctl client list' shows them.")
        )
    if sum(each.kept for each in registry.values()) >= MOST:
        shown.append(
            Problem(
                "clients",
                f"{len(registry)} keys of clients are known, so no new client's key counts. "
                "'ltspctl client forget' drops those of machines that are gone.",
            )
        )
    return tuple(shown)


def _problem(entry: Enrolled | None, client: ClientState) -> Problem:
    subject = f"client {client.hostname or client.mac}"
    key = fingerprint(client.key)
    # With the key in it, so that another one that comes meanwhile is not approved.
    approve = f"'ltspctl client approve {client.mac} {key}'"
    if client.identity is Identity.PENDING:
        return Problem(
            subject,
            f"its key waits for approval and opens no account yet: {approve}.",
        )
    known = fingerprint(entry.key) if entry is not None else ""
    return Problem(
        subject,
        f"{client.address or 'a machine'} has its MAC address, but another key than {known}, which is known, "
        "so that opens no account. "
        f"If the machine's key was lost or replaced: {approve}; otherwise look for another machine there.",
    )


def dump(registry: Registry) -> bytes:
    """Return the registry as JSON, the same bytes for the same registry."""
    whole = {
        "version": VERSION,
        "clients": {
            mac: {name: value for name, value in asdict(entry).items() if name != "mac"}
            for mac, entry in registry.items()
        },
    }
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def load(data: bytes) -> Registry:
    """Return the registry from JSON; raises ValueError if any of it can't be right."""
    try:
        whole = json.loads(data)
        return {mac: _loaded(mac, entry) for mac, entry in whole["clients"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no list of clients: {error!r}") from error


def _loaded(mac: str, entry: Mapping[str, Any]) -> Enrolled:
    # What has a default came later, and what we don't know is of a later version.
    names = {each.name for each in fields(Enrolled)} - {"mac"}
    found = Enrolled(mac, **{name: value for name, value in entry.items() if name in names})
    texts = ("key", "address", "hostname")
    if not is_mac(mac) or not found.key or not all(is_sound(each, getattr(found, each)) for each in texts):
        raise ValueError(f"the entry of {mac[:40]!r} can't be right")
    return replace(found, kept=bool(found.kept), since=int(found.since), approved=bool(found.approved))
