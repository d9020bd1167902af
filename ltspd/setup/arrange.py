"""Set-ups: planned, made, confirmed and undone, with a record of all that must be undone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ltspd.dbus.caller import CallError, Client, Unreachable
from ltspd.errors import InvalidOption, LtspError, ToolFailed
from ltspd.model.setup import SetupKind
from ltspd.network.firewall import firewalld_routing, ufw_routing
from ltspd.observe.host import in_container
from ltspd.paths import Paths
from ltspd.setup.bus import Peer
from ltspd.setup.ifupdown import IfUpDown
from ltspd.setup.interfaces import stanza
from ltspd.setup.managers import Manager, Undo, cards
from ltspd.setup.networkd import Networkd
from ltspd.setup.networkmanager import NetworkManager
from ltspd.setup.request import Change, Decision, Request, decide
from ltspd.system.files import remove, write_atomically

# What may go wrong with the bus, the disk, and the programs that have the cards.
TROUBLE = (LtspError, CallError, Unreachable, OSError)
# It undoes an unconfirmed set-up after a minute.
TIMER = "ltspd-setup.timer"
_SYSTEMD = "org.freedesktop.systemd1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was done, or would be: a line for each difference. ``confirm``: it ends by itself without that."""

    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    confirm: bool = False


class Arranger:
    """Makes and undoes set-ups of one server."""

    def __init__(self, paths: Paths, client: Client) -> None:
        """Keep the record below ``paths``, and speak to everybody on the system bus."""
        self._paths = paths
        self._file = paths.state / "setup.json"
        self._client = client
        self._ifupdown = IfUpDown(paths.root)
        self._nm = NetworkManager(client)
        self._networkd = Networkd(client, paths.root)

    def plan(self, request: Request) -> Answer:
        """Return what ``make`` would do; raises LtspError if it can't be done."""
        decision = self._decide(request)
        if self._stands(request, decision):
            return Answer((), decision.warnings)
        lines = [
            line
            for change in decision.changes
            for line in self._manager(change, request.convert).difference(change)
        ]
        return Answer(
            (*lines, *_consequences(decision)),
            (*decision.warnings, *self._firewalls(decision)),
            any(each.cuts for each in decision.changes),
        )

    def make(self, request: Request) -> Answer:
        """Make a set-up; raises LtspError with everything as it was."""
        answer = self.plan(request)
        if not answer.changes:
            return answer
        if record := self._read():
            # Somebody has taken away what it did.
            self._undo_steps(record)
        decision = self._decide(request)
        chosen = [(self._manager(each, request.convert), each) for each in decision.changes]
        steps = [(manager, change, manager.prepare(change)) for manager, change in chosen]
        self._write(request, decision, [undo for _, _, undo in steps], confirmed=not answer.confirm)
        try:
            if answer.confirm:
                self._timer("RestartUnit")
            for manager, change, undo in steps:
                manager.apply(change, undo)
            if answer.confirm:
                # The whole minute is for the person. Until now it was for a set-up that breaks off.
                self._timer("RestartUnit")
        except TROUBLE:
            self.undo()
            raise
        return answer

    def confirm(self) -> Answer:
        """Let a set-up stay."""
        record = self._read()
        if not record:
            raise InvalidOption("There is no set-up to confirm; 'ltspctl setup dual --dry-run' shows one.")
        self._save({**record, "confirmed": True})
        self._timer("StopUnit")
        return Answer()

    def undo(self, *, unconfirmed: bool = False) -> Answer:
        """Undo what a set-up did; with ``unconfirmed`` only if nobody has confirmed it."""
        record = self._read()
        if not record or (unconfirmed and record.get("confirmed")):
            return Answer()
        lines = self._undo_steps(record)
        remove(self._file)
        if not unconfirmed:
            self._timer("StopUnit")
        return Answer((*lines, f"- the set-up with {_WORDS[record['kind']]}, its routing and its names"))

    def _decide(self, request: Request) -> Decision:
        return decide(request, cards(), in_container(self._paths))

    def _stands(self, request: Request, decision: Decision) -> bool:
        """Return whether this very set-up is in force; raises InvalidOption if another one is."""
        record = self._read()
        if not record:
            return False
        setup = decision.setup
        if (record["kind"], record["lan"], record.get("wan", "")) != (setup.kind, setup.lan, setup.wan):
            raise InvalidOption(
                f"There is a set-up with {_WORDS[record['kind']]} already; 'ltspctl setup undo' comes first."
            )
        return not decision.changes and bool(record.get("dns")) == setup.dns

    def _manager(self, change: Change, convert: bool) -> Manager:
        name = change.link.name
        managers: Sequence[NetworkManager | Networkd] = (self._nm, self._networkd)
        there = [each for each in managers if each.present]
        if self._ifupdown.has(name) or (not there and self._ifupdown.present):
            if convert:
                return self._ifupdown
            lines = "".join(f"\n    {line}" for line in stanza(change).splitlines())
            raise ToolFailed(
                f"{name} is a card of ifupdown. Write this to /etc/network/interfaces in place of what is "
                f"there of {name}, and run 'ifdown {name}; ifup {name}'; or let --convert do both:{lines}"
            )
        for each in [*(each for each in there if each.has(name)), *there]:
            return each
        raise ToolFailed(
            "Neither NetworkManager nor systemd-networkd runs, and ifupdown is not installed, so nobody can "
            f"give {name} {change.address or 'an address'}. Start one: "
            "'systemctl enable --now systemd-networkd'."
        )

    def _firewalls(self, decision: Decision) -> list[str]:
        if decision.setup.kind is not SetupKind.DUAL:
            return []
        lan, wan = decision.setup.lan, decision.setup.wan
        lines = []
        if Peer(self._client, "org.fedoraproject.FirewallD1").present:
            lines.append(f"firewalld runs, {_LETS}: {'; '.join(firewalld_routing(lan))}")
        ufw = self._paths.at("/etc/ufw/ufw.conf")
        if ufw.exists() and "ENABLED=yes" in ufw.read_text(errors="replace"):
            commands = (f"ufw allow in on {lan}", *ufw_routing(lan, wan))
            lines.append(f"ufw is enabled, {_LETS}: {'; '.join(commands)}")
        return lines

    def _undo_steps(self, record: Mapping[str, Any]) -> list[str]:
        """Undo all steps, the last one first; raises ToolFailed, and keeps those that failed."""
        managers: Mapping[str, Manager] = {
            each.name: each for each in (self._ifupdown, self._nm, self._networkd)
        }
        failed: list[Undo] = []
        why: list[str] = []
        lines = []
        for step in reversed(record.get("steps", [])):
            try:
                managers[step["manager"]].undo(step)
                lines.append(f"- {step['link']}: what {step['manager']} had of it for the set-up")
            except TROUBLE as error:
                failed.insert(0, step)
                why.append(str(error))
        if failed:
            self._save({**record, "steps": failed})
            raise ToolFailed(" ".join(why))
        return lines

    def _timer(self, method: str) -> None:
        try:
            systemd = Peer(self._client, _SYSTEMD)
            body = [TIMER, "replace"]
            systemd.call("/org/freedesktop/systemd1", f"{_SYSTEMD}.Manager", method, "ss", body)
        except (CallError, Unreachable) as error:
            if method != "StopUnit":
                raise ToolFailed(f"{TIMER} can't be started ({error}), so nothing is done.") from error

    def _write(self, request: Request, decision: Decision, steps: list[Undo], *, confirmed: bool) -> None:
        setup = replace(decision.setup, confirmed=confirmed)
        self._save(
            {
                "kind": setup.kind,
                "lan": setup.lan,
                "wan": setup.wan,
                "dns": setup.dns,
                "confirmed": setup.confirmed,
                "steps": steps,
            }
        )

    def _save(self, record: Mapping[str, Any]) -> None:
        # Files of ifupdown in it may hold a password for a wireless network.
        write_atomically(self._file, json.dumps(record, indent=1).encode(), 0o600)

    def _read(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolFailed(f"{self._file} can't be read ({error}); remove it to begin anew.") from error
        return found if isinstance(found, dict) else {}


_LETS = "and drops what it has no rule for. These let clients in and out"
_WORDS = {SetupKind.SINGLE: "one card", SetupKind.DUAL: "two cards"}


def _consequences(decision: Decision) -> list[str]:
    """Return what ltspd itself does once the set-up stands."""
    setup = decision.setup
    if setup.kind is SetupKind.SINGLE:
        return [
            f"+ set-up with one card: {setup.lan}",
            *(["+ ltspd-dns.service: names for clients (DNS)"] if setup.dns else []),
        ]
    return [
        f"+ set-up with two cards: addresses for clients at {setup.lan}, no answers at {setup.wan}",
        "+ ltspd-nat.service: table ip ltspd-nat of nftables, and net.ipv4.ip_forward=1",
        "+ ltspd-dns.service: names for clients (DNS)",
    ]
