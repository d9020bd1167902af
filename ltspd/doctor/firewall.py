"""What a packet to one of our ports, or through this server, meets in the rules of firewalls. Pure.

The rules are those that `nft -j list ruleset` prints (libnftables-json(5)), and those of ufw's own file. A
rule that asks something that is not known of the packet may match or not; then nothing is claimed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

# Rules that one packet passes at most: chains can't form a circle, but be large.
RULES_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Packet:
    """A first packet of a machine: it comes in by a link, for one of our ports at our address.

    With ``out``, it goes on by that link, to whatever address.
    """

    link: str
    protocol: str
    port: int
    address: str = ""
    out: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """The chain in which a packet ends; ``zone`` is firewalld's, where that made the rule."""

    family: str
    table: str
    chain: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Ufw:
    """ufw, which is on: its rules (user.rules), and whether it drops what they don't name.

    ``drops`` is of what is for this server, ``drops_routed`` of what goes through it.
    """

    rules: str
    drops: bool = True
    drops_routed: bool = True

    def lets(self, packet: Packet) -> bool:
        """Return whether a packet passes, or may: who sends it is not known."""
        if not (self.drops_routed if packet.out else self.drops):
            return True
        for line in self.rules.splitlines():
            action = _action(line, packet)
            if action:
                return action == "allow"
        return False


# What ufw's rules have where they mean every address.
_EVERYBODY = "0.0.0.0/0"


def _action(line: str, packet: Packet) -> str:
    """Return allow or deny, what a line of user.rules does with a packet; nothing if it is of others.

    A line is ``allow udp 67 TO any FROM [APP APP] in_lan0``. With ``route:`` before it, it is of what goes
    through, by ``in_lan0!out_ext0``. It also says what is logged (``allow_log``), and a comment.
    """
    words = [each for each in line.removeprefix("### tuple ### ").split() if not each.startswith("comment=")]
    if not line.startswith("### tuple ###") or len(words) < 7:
        return ""
    action, protocol, ports, to, source_ports, source, *_, direction = words
    routed, action = action.startswith("route:"), action.removeprefix("route:").partition("_")[0]
    links = dict(each.partition("_")[::2] for each in direction.split("!"))
    fits = (
        routed == bool(packet.out)
        and protocol in ("any", packet.protocol)
        and (ports == "any" or any(_in(packet.port, each) for each in ports.split(",")))
        and ("in" in links or routed)
        and links.get("in", "") in ("", packet.link)
        and links.get("out", "") in ("", packet.out)
    )
    if not fits:
        return ""
    if action in ("allow", "limit"):
        return "allow"
    return "deny" if (to, source_ports, source) == (_EVERYBODY, "any", _EVERYBODY) else ""


class _Unknown(Exception):
    """What comes of the packet depends on what is not known of it."""


Json = Mapping[str, Any]


@dataclass(slots=True)
class _Walk:
    packet: Packet
    rules: Mapping[tuple[str, str, str], Sequence[Sequence[Json]]]
    sets: Mapping[tuple[str, str, str], Sequence[Any]]
    left: int = RULES_MOST
    chains: list[str] = field(default_factory=list)

    def chain(self, family: str, table: str, name: str) -> str:
        """Return accept, drop, or nothing if the packet comes to the end of the chain."""
        self.chains.append(name)
        for rule in self.rules.get((family, table, name), ()):
            self.left -= 1
            if self.left < 0:
                raise _Unknown
            verdict = self.rule(family, table, rule)
            if verdict == "return":
                return ""
            if verdict:
                return verdict
        return ""

    def rule(self, family: str, table: str, rule: Sequence[Json]) -> str:
        """Return a rule's verdict; it doesn't matter whether it matches if it has none."""
        unsure = False
        for each in rule:
            kind = next(iter(each), "")
            if kind == "match":
                met = self.match(family, table, each["match"])
                if met is False:
                    return ""
                unsure = unsure or met is None
            elif kind in ("accept", "drop", "reject", "return", "jump", "goto", "vmap"):
                if unsure:
                    return self.maybe(family, table, kind, each)
                return self.verdict(family, table, kind, each)
            elif kind in ("limit", "xt", "fib", "quota", "connlimit", "ct count"):
                unsure = True
        return ""

    def maybe(self, family: str, table: str, kind: str, each: Json) -> str:
        # A chain that does nothing to the packet is the same as a rule that doesn't match.
        if kind != "jump" or self.verdict(family, table, kind, each):
            raise _Unknown
        return ""

    def verdict(self, family: str, table: str, kind: str, each: Json) -> str:
        if kind in ("jump", "goto"):
            found = self.chain(family, table, each[kind]["target"])
            return found or ("return" if kind == "goto" else "")
        if kind == "vmap":
            value = self.value(each["vmap"]["key"])
            if value is None:
                raise _Unknown
            for key, verdict in self.elements(family, table, each["vmap"]["data"]):
                if self.equal(family, table, value, key):
                    inner = next(iter(verdict))
                    return self.verdict(family, table, inner, verdict)
            return ""
        return "drop" if kind == "reject" else kind

    def match(self, family: str, table: str, match: Json) -> bool | None:
        """Return whether the packet matches; None: that is not known."""
        value = self.value(match["left"])
        if value is None:
            return None
        equal = self.equal(family, table, value, match["right"])
        if match["op"] in ("==", "in"):
            return equal
        return not equal if match["op"] == "!=" else None

    def value(self, left: Any) -> str | int | None:
        """Return what the packet has there; None if that is not known."""
        match left:
            case {"meta": {"key": "iifname" | "iif"}}:
                return self.packet.link
            case {"meta": {"key": "oifname" | "oif"}}:
                return self.packet.out or None
            case {"meta": {"key": "l4proto"}} | {"payload": {"protocol": "ip", "field": "protocol"}}:
                return self.packet.protocol
            case {"meta": {"key": "nfproto"}}:
                return "ipv4"
            case {"meta": {"key": "protocol"}}:
                return "ip"
            case {"payload": {"protocol": "th", "field": "dport"}}:
                return self.packet.port
            case {"payload": {"protocol": "udp" | "tcp" as protocol, "field": "dport"}}:
                return self.packet.port if protocol == self.packet.protocol else -1
            case {"payload": {"protocol": "ip", "field": "daddr"}}:
                return self.packet.address or None
            case {"payload": {"protocol": "icmp" | "icmpv6" | "ip6" | "sctp" | "udp" | "tcp" as of}}:
                return None if of == self.packet.protocol else -1
            case {"ct": {"key": "state"}}:
                return "new"
            case {"ct": {"key": "status"}}:
                return "none"
        return None

    def elements(self, family: str, table: str, right: Any) -> list[Any]:
        if isinstance(right, str) and right.startswith("@"):
            return list(self.sets.get((family, table, right[1:]), ()))
        return right["set"] if isinstance(right, dict) and "set" in right else [right]

    def equal(self, family: str, table: str, value: str | int, right: Any) -> bool:
        return any(_is(value, each) for each in self.elements(family, table, right))


def _is(value: str | int, element: Any) -> bool:
    match element:
        case {"range": [low, high]}:
            if isinstance(value, int):
                return isinstance(low, int) and low <= value <= high
            return _number(low) <= _number(value) <= _number(high)
        case {"prefix": {"addr": address, "len": length}}:
            network = ip_network(f"{address}/{length}", strict=False)
            return _number(value) >= 0 and ip_address(str(value)) in network
        case {"elem": {"val": inner}}:
            return _is(value, inner)
        case str(text) if text.endswith("*"):
            return str(value).startswith(text[:-1])
        case str() | int():
            return str(element) == str(value)
    return False


def _number(text: object) -> int:
    try:
        return int(IPv4Address(str(text)))
    except ValueError:
        return -1


def dropped(ruleset: Json, packet: Packet) -> Drop | None:
    """Return where a packet ends; None if it arrives or goes on, or if that is not known."""
    order = {"prerouting": 0, "forward" if packet.out else "input": 1}
    rules: dict[tuple[str, str, str], list[Sequence[Json]]] = {}
    sets: dict[tuple[str, str, str], Sequence[Any]] = {}
    bases = []
    for each in ruleset.get("nftables", ()):
        for kind, what in each.items():
            key = (what.get("family", ""), what.get("table", ""), what.get("name", ""))
            if kind == "rule":
                rules.setdefault((*key[:2], what["chain"]), []).append(what.get("expr", ()))
            elif kind in ("set", "map"):
                sets[key] = what.get("elem", ())
            elif kind == "chain" and what.get("hook") in order:
                bases.append(what)
    for base in sorted(bases, key=lambda each: (order[each["hook"]], each.get("prio", 0))):
        if base["family"] not in ("ip", "inet") or base.get("type") != "filter":
            continue
        walk = _Walk(packet, rules, sets)
        try:
            verdict = walk.chain(base["family"], base["table"], base["name"]) or base.get("policy", "accept")
        except (_Unknown, KeyError, TypeError, ValueError, RecursionError):
            return None
        if verdict == "drop":
            # Its policies, which may come before the zone, have such names, too.
            zones = (re.fullmatch(r"filter_(?:IN|FWD)_(?!policy_)(.+)", each) for each in walk.chains)
            zone = next((each[1] for each in zones if each and not each[1].endswith(_PARTS)), "")
            return Drop(base["family"], base["table"], base["name"], zone)
    return None


# firewalld's chains of one zone.
_PARTS = ("_pre", "_log", "_deny", "_allow", "_post")


def _in(port: int, text: str) -> bool:
    low, _, high = text.partition(":")
    return low.isdecimal() and int(low) <= port <= int(high if high.isdecimal() else low)
