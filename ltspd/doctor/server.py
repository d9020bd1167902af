"""What may keep machines from booting on the server's own side. Pure: what is looked at is handed in."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltspd.doctor import firewall
from ltspd.doctor.firewall import Packet
from ltspd.model.finding import Finding, Severity
from ltspd.model.network import DhcpRole, Link, LinkKind, Network
from ltspd.model.output import Output

# The rest of the questions that DHCP asks: PXE's own port beside another DHCP server.
BOOT_SERVER = ("udp", 4011)
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
    """What was looked at. ``ruleset`` is nftables' as JSON, None if it can't be read; ``ufw`` is its rules.

    ``unreadable`` are files below the TFTP root that its server can't read; ``virtual`` are links of other
    software.
    """

    problems: Sequence[str]
    network: Network
    links: Sequence[Link]
    outputs: Sequence[Output] = ()
    holders: Sequence[Holder] = ()
    ruleset: Mapping[str, Any] | None = None
    ufw: str | None = None
    unreadable: Sequence[str] = ()
    holes: Sequence[Hole] = ()


def about(look: Look) -> tuple[Finding, ...]:
    """Return all that was found, the worst first."""
    found = [
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
    for link in look.network.served:
        ports = {port for each in outputs for port in each.ports}
        if link.role is DhcpRole.PROXY:
            ports.add(BOOT_SERVER)
        address = str(link.address.ip)
        packets = [Packet(link.link, protocol, port, address) for protocol, port in sorted(ports)]
        if look.ufw is not None:
            shut = [each for each in packets if not firewall.ufw_lets_in(look.ufw, each)]
            if shut:
                yield _shut(link.link, "ufw", shut, firewall.ufw_commands(link.link, _numbers(shut)))
            continue
        if look.ruleset is None:
            continue
        drops = {each: firewall.dropped(look.ruleset, each) for each in packets}
        for drop in dict.fromkeys(each for each in drops.values() if each is not None):
            shut = [each for each, where in drops.items() if where == drop]
            table = f"nftables (table {drop.family} {drop.table})"
            what = f"firewalld (zone {drop.zone})" if drop.zone else table
            yield _shut(link.link, what, shut, firewall.nft_commands(drop, link.link, _numbers(shut)))


def _numbers(packets: Sequence[Packet]) -> list[tuple[str, int]]:
    return [(each.protocol, each.port) for each in packets]


def _shut(link: str, who: str, packets: Sequence[Packet], commands: Iterator[str]) -> Finding:
    ports = ", ".join(f"{each.port}/{each.protocol}" for each in packets)
    return Finding(
        Severity.ERROR,
        f"firewall on {link}",
        f"{who} drops what machines send to {ports}.",
        f"Let it in: {'; '.join(commands)}. 'ltspctl doctor' then looks again.",
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
