"""Whose keys count, in a file that outlives reboots; only an administrator replaces a key that is kept."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

from ltspd.clients import enrolment
from ltspd.clients.known import Clients
from ltspd.errors import NoKey
from ltspd.model.client import ClientState, Enrol, Enrolled, Identity
from ltspd.model.state import Problem
from ltspd.paths import Paths
from ltspd.system.files import unwritten, write_atomically

log = logging.getLogger(__name__)


class Enrolment:
    """The registry in memory and in its file. ``policy`` is ltsp.conf's."""

    def __init__(self, paths: Paths) -> None:
        """Know what an earlier run has kept."""
        self._path = paths.state / "enrolled.json"
        self._writing = asyncio.Lock()
        self._wrong: tuple[Problem, ...] = ()
        self._known: enrolment.Registry = {}
        # Until ltsp.conf is read.
        self.policy = Enrol.OFF
        # Nobody knows whose keys count. So none does, and the file stays as it is.
        self._damaged = False
        try:
            self._known = enrolment.load(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._damaged = True
            text = (
                f"{self._path} can't be read, so the key of no client counts: {error}. Put back a good copy, "
                "or move the file away, so that each client's next key counts as its first; then "
                "'systemctl restart ltspd'."
            )
            self._wrong = (Problem("clients", text),)
        self._kept = self._known

    def follow(self, policy: Enrol | None) -> None:
        """Judge by ltsp.conf's ENROL from now on."""
        self.policy = Enrol.OFF if self._damaged else policy or Enrol.AUTO

    @property
    def clients(self) -> Clients:
        """The clients that are known before any of them reports."""
        return enrolment.remembered(self._known)

    @property
    def accepted(self) -> tuple[Enrolled, ...]:
        """The clients whose keys count, the first one first."""
        known = () if self.policy is Enrol.OFF else self._known.values()
        return tuple(sorted(known, key=lambda each: (each.since, each.mac)))

    def problems(self, clients: Iterable[ClientState]) -> tuple[Problem, ...]:
        """Return what administrators have to look at."""
        return (*self._wrong, *enrolment.problems(self._known, clients))

    def settle(self, clients: Clients, macs: Iterable[str]) -> Clients:
        """Return the clients with our judgement after the reports of these."""
        before = self._known
        self._known, found = enrolment.settle(before, clients, macs, self.policy)
        for mac, client in found.items():
            # Later reports change what is shown, so what happened is written down.
            new = _key(self._known, mac) not in ("", _key(before, mac))
            if client.key and (new or client is not clients[mac]):
                _tell(client, new=new)
        return found

    def approve(self, clients: Clients, mac: str, key: str) -> Clients:
        """Let the key with this fingerprint be a client's, if it reported that last; raises NoKey."""
        client = clients[mac]
        shown, present = client.hostname or mac, enrolment.fingerprint(client.key)
        if not client.key or self._damaged:
            why = str(self._wrong[0]) if self._damaged else "it has reported none since it was switched on."
            raise NoKey(f"There is no key of {shown} to approve: {why}")
        if key != present:
            raise NoKey(f"The key that {shown} reported last is {present}; look whether that is its own.")
        self._known = enrolment.approve(self._known, client)
        return self.settle(clients, (mac,))

    def forget(self, clients: Clients, mac: str) -> Clients:
        """Have the next key that a client reports be its first one."""
        self._known = enrolment.forget(self._known, mac)
        # What it has reported until now doesn't count again, or else this would do nothing.
        client = replace(clients[mac], key="", kept="", identity=Identity.NONE)
        return {**clients, mac: client}

    async def save(self) -> bool:
        """Write what has changed, and return whether anything had; a full disk is a problem."""
        async with self._writing:
            known = self._known
            if known == self._kept or self._damaged:
                return False
            try:
                await asyncio.to_thread(write_atomically, self._path, enrolment.dump(known), 0o600)
            except OSError as error:
                self._wrong = (Problem("clients", f"{self._path} was {unwritten(error)}"),)
            else:
                self._kept, self._wrong = known, ()
            return True


def _key(known: enrolment.Registry, mac: str) -> str:
    return known[mac].key if mac in known else ""


def _tell(client: ClientState, *, new: bool) -> None:
    """Write what became of a key to the journal."""
    level = logging.WARNING if client.identity is Identity.REFUSED else logging.INFO
    what = "is known from now on" if new else f"is {client.identity}"
    key, at = enrolment.fingerprint(client.key), client.address or "an unknown address"
    log.log(level, "The key %s of client %s at %s %s", key, client.mac, at, what)
