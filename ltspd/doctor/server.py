"""What may keep machines from booting on the server's own side. Pure: what is looked at is handed in."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltspd.doctor import firewall
from ltspd.doctor.firewall import Drop, Packet, Ufw
from ltspd.model.finding import Finding, Severity
from ltspd.model.network import DhcpRole, Link, LinkKind, Network
from ltspd.model.output import Output
from ltspd.network.firewall import (
    NFTABLES,
    added,
    firewalld_ports,
    firewalld_routing,
    nft_ports,
    nft_routing,
    ufw_ports,
    ufw_routing,
)

# The rest of the questions that DHCP asks: PXE's own port beside another DHCP server.
BOOT_SERVER = ("udp", 4011)
# What clients want of other networks most, for whose names they ask this server.
_OUTSIDE = ("tcp", 443)
_WIRED = frozenset({LinkKind.ETHERNET, LinkKind.BRIDGE, LinkKind.BOND, LinkKind.VLAN})


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port; its unit may be empty."""

    protocol: str
    port: int
    process: str
    pid: int
    unit: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A program that is older than the version which mends known holes."""

    package: str
    version: str
    mended: str
    what: str


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at. ``ruleset`` is nftables' as JSON, None if it can't be read; ``saved`` is its file.

    ``unreadable`` are files below the TFTP root that its server can't read; ``virtual`` are links of other
    software.
    """

    problems: Sequence[str]
    network: Network
    links: Sequence[Link]
    outputs: Sequence[Output] = ()
    holders: Sequence[Holder] = ()
    ruleset: Mapping[str, Any] | None = None
    saved: str = ""
    ufw: Ufw | None = None
    unreadable: Sequence[str] = ()
    holes: Sequence[Hole] = ()


def about(look: Look) -> tuple[Finding, ...]:
    """Return all that was found, the worst first."""
    found = [
        *_serving(look),
        *_problems(look),
        *_ports(look),
        *_firewall(look),
        *_unreadable(look),
        *_links(look),
        *_holes(look),
    ]
    order = list(Severity)
    return tuple(sorted(found, key=lambda each: order.index(each.severity)))


def _problems(look: Look) -> Iterator[Finding]:
    """Yield what the server itself says is wrong; its sentences hold the next step."""
    for each in look.problems:
        subject, _, message = each.partition(": ")
        yield Finding(Severity.ERROR, subject, message or subject)


def _serving(look: Look) -> Iterator[Finding]:
    if not look.network.serving:
        yield Finding(
            Severity.ERROR,
            "serving",
            "it is off, so no machine that boots is answered.",
            "'ltspctl serve on'.",
        )


def _ports(look: Look) -> Iterator[Finding]:
    for output in look.outputs:
        if not output.needed or not output.unit:
            continue
        wanted = {*output.ports, *({BOOT_SERVER} if ("udp", 67) in output.ports else ())}
        for each in look.holders:
            if (each.protocol, each.port) in wanted and each.unit not in _units(look) and each.pid != 1:
                unit = f", {each.unit}" if each.unit else ""
                yield Finding(
                    Severity.ERROR,
                    f"port {each.port}/{each.protocol}",
                    f"{each.process} (pid {each.pid}{unit}) listens there, where {output.unit} should.",
                    f"Stop it ('{_stop(each)}'), then 'ltspctl apply'.",
                )


def _stop(holder: Holder) -> str:
    # With a session, or a person's own systemd, much more would end than that process.
    if not holder.unit.endswith(".service") or holder.unit.startswith("user@"):
        return f"kill {holder.pid}"
    return f"systemctl disable --now {shlex.quote(holder.unit)}"


def _units(look: Look) -> set[str]:
    """Return our own units; DHCP has several servers on the same ports."""
    return {each.unit for each in look.outputs if each.unit}


def _firewall(look: Look) -> Iterator[Finding]:
    outputs = [each for each in look.outputs if each.needed]
    way_out = next((each.name for each in look.links if each.default_route), "")
    for link in look.network.served:
        ports = {port for each in outputs for port in each.ports}
        if link.role is DhcpRole.PROXY:
            ports.add(BOOT_SERVER)
        address = str(link.address.ip)
        packets = [Packet(link.link, protocol, port, address) for protocol, port in sorted(ports)]
        if link.role is DhcpRole.REAL and look.network.nat and way_out not in ("", link.link):
            packets.append(Packet(link.link, *_OUTSIDE, out=way_out))
        if look.ufw is not None:
            if shut := [each for each in packets if not look.ufw.lets(each)]:
                yield _shut(link.link, "ufw", shut, _by_ufw(link.link, shut))
            continue
        if look.ruleset is None:
            continue
        drops = {each: firewall.dropped(look.ruleset, each) for each in packets}
        for drop in dict.fromkeys(each for each in drops.values() if each is not None):
            shut = [each for each, where in drops.items() if where == drop]
            routed = any(each.out for each, where in drops.items() if where)
            table = f"nftables (table {drop.family} {drop.table})"
            what = f"firewalld (zone {drop.zone})" if drop.zone else table
            yield _shut(link.link, what, shut, _by_nft(look, drop, link.link, shut, routed))


def _by_ufw(link: str, shut: Sequence[Packet]) -> Iterator[str]:
    yield from ufw_ports(link, _ports_of(shut))
    for each in shut:
        if each.out:
            yield from ufw_routing(link, each.out)


def _by_nft(look: Look, drop: Drop, link: str, shut: Sequence[Packet], routed: bool) -> Iterator[str]:
    if drop.zone:
        # A zone that lets clients through has all ports open, and the ports of other zones stay as they are.
        yield from firewalld_routing(link) if routed else firewalld_ports(drop.zone, _ports_of(shut))
        return
    rules = nft_routing(link) if any(each.out for each in shut) else nft_ports(link, _ports_of(shut))
    yield from added(f"{drop.family} {drop.table} {drop.chain}", list(rules), _is_saved(look, drop))


def _is_saved(look: Look, drop: Drop) -> bool:
    """Return whether the file of rules makes that chain; with a line there of another one, none is loaded."""
    names = (("table", drop.family, drop.table), ("chain", drop.chain))
    found = (r"\s+".join(map(re.escape, each)) for each in names)
    return all(re.search(rf"^\s*(add\s+)?{each}\s*\{{", look.saved, re.MULTILINE) for each in found)


def _ports_of(packets: Sequence[Packet]) -> list[tuple[str, int]]:
    return [(each.protocol, each.port) for each in packets if not each.out]


def _shut(link: str, who: str, packets: Sequence[Packet], commands: Iterator[str]) -> Finding:
    ports = ", ".join(f"{port}/{protocol}" for protocol, port in _ports_of(packets))
    what = [f"what machines send to {ports}"] if ports else []
    what += [f"what they send to other networks by {each.out}" for each in packets if each.out]
    found = list(commands)
    plain, lasts = any(each.startswith("nft ") for each in found), any(NFTABLES in each for each in found)
    until = " That holds until the rules are loaded anew: add it where they come from." if plain else ""
    return Finding(
        Severity.ERROR,
        f"firewall on {link}",
        f"{who} drops {' and '.join(what)}.",
        f"Let it in: {'; '.join(found)}.{'' if lasts else until} 'ltspctl doctor' then looks again.",
    )


def _unreadable(look: Look) -> Iterator[Finding]:
    for path in look.unreadable:
        yield Finding(
            Severity.ERROR,
            f"TFTP {path}",
            "the TFTP server can't read it: it runs as a user without rights.",
            f"'chmod o+rX {shlex.quote(path)}', then 'ltspctl doctor' again.",
        )


def _links(look: Look) -> Iterator[Finding]:
    served = {each.link for each in look.network.served}
    for link in look.links:
        if link.kind not in _WIRED or link.enslaved or link.name in served or not link.up:
            continue
        if not link.addresses:
            cause, step = "it has no IPv4 address", "give it one"
        else:
            cause, step = (
                "it has no role",
                f'DHCP_LINKS="{link.name}=real" (or proxy) in [server] of ltsp.conf',
            )
        yield Finding(
            Severity.WARNING,
            f"link {link.name}",
            f"{cause}, so machines on it can't boot.",
            f"If there are clients on it: {step}.",
        )


def _holes(look: Look) -> Iterator[Finding]:
    for each in look.holes:
        yield Finding(
            Severity.WARNING,
            f"package {each.package}",
            f"{each.version} has known holes ({each.what}); {each.mended} mends them.",
            f"'apt update && apt install {each.package}'.",
        )
