"""The lease files of dnsmasq, Kea and isc-dhcp-server: what of them another server must know. Pure.

Host names and the like are left out: machines send them, and nothing needs them here.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
# dhcpd.leases(5): one block for each change of a lease; the last one counts.
_BLOCK = re.compile(r"^lease ([0-9.]+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"^\s*ends \d ([0-9/]+ [0-9:]+);", re.MULTILINE)
_HARDWARE = re.compile(r"^\s*hardware ethernet ([0-9a-f:]+);", re.MULTILINE)
_ACTIVE = re.compile(r"^\s*binding state active;", re.MULTILINE)
# DHCP has 32 bits for the seconds of a lease.
LONGEST = (1 << 32) - 1
_NOBODY = "00:00:00:00:00:00"
_TIME = "%Y/%m/%d %H:%M:%S"
# What Kea 2.2 has in its file. kea-lfc, which reads the file next, adds the columns of newer ones.
_COLUMNS = (
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context"
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has an address until when, in seconds since the epoch."""

    address: IPv4Address
    mac: str
    ends: int


def parse(kind: str, text: str) -> Iterator[Lease]:
    """Yield the leases of a server's file (``dnsmasq``, ``kea``, ``isc``); what can't be read is left out."""
    found = {"dnsmasq": _dnsmasq, "kea": _kea, "isc": _isc}[kind](text)
    for address, mac, ends in found:
        if _MAC.fullmatch(mac) and ends.isascii() and ends.isdigit():
            try:
                yield Lease(IPv4Address(address), mac, int(ends[:20]))
            except AddressValueError:
                continue


def _dnsmasq(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        match line.split():
            case [ends, mac, address, _, _]:
                yield address, mac, ends


def _kea(text: str) -> Iterator[tuple[str, str, str]]:
    for row in _table(text):
        # 0: in use; declined and reclaimed ones are nobody's.
        if row.get("state") == "0" and row.get("valid_lifetime") != "0":
            yield row["address"], row.get("hwaddr", ""), row.get("expire", "")
        else:
            yield row["address"], _NOBODY, "0"


def _isc(text: str) -> Iterator[tuple[str, str, str]]:
    for address, body in _BLOCK.findall(text):
        ends, mac = _ENDS.search(body), _HARDWARE.search(body)
        if not (ends and mac and _ACTIVE.search(body)):
            yield address, _NOBODY, "0"
            continue
        try:
            moment = datetime.strptime(ends[1], _TIME).replace(tzinfo=UTC)
        except ValueError:
            continue
        yield address, mac[1], str(int(moment.timestamp()))


def merge(files: Mapping[str, Iterable[Lease]], own: str, now: int) -> tuple[Lease, ...]:
    """Return the leases that still count and that the server ``own`` does not know from its own file.

    A file's last word of an address is what it says of it. Of two files the one counts whose lease ends last,
    as that was given last.
    """
    found: dict[IPv4Address, tuple[Lease, str]] = {}
    for kind, leases in files.items():
        for each in {lease.address: lease for lease in leases}.values():
            known = found.get(each.address)
            if now < each.ends <= now + LONGEST and (known is None or known[0].ends < each.ends):
                found[each.address] = (each, kind)
    return tuple(lease for _, (lease, kind) in sorted(found.items()) if kind != own)


def add(kind: str, text: str, leases: Iterable[Lease], configuration: str) -> str:
    """Return a server's file with more leases; ``configuration`` is Kea's, which numbers its subnets."""
    new = {str(each.address): each for each in leases}
    match kind:
        case "dnsmasq":
            kept = [line for line in text.splitlines() if line.split()[2:3] not in [[each] for each in new]]
            lines = [*kept, *(f"{each.ends} {each.mac} {each.address} * *" for each in new.values())]
            return "".join(f"{line}\n" for line in lines)
        case "isc":
            return text + "".join(map(_block, new.values()))
    return _rows(text, new.values(), _subnets(configuration))


def _rows(text: str, leases: Iterable[Lease], subnets: Mapping[IPv4Network, int]) -> str:
    """Return Kea's file with the last row of each address only, because it adds one for each renewal."""
    names = (text.splitlines() or [_COLUMNS])[0].split(",")
    rows = {row["address"]: row for row in _table(text)}
    for each in leases:
        for network, number in subnets.items():
            if each.address in network:
                rows[str(each.address)] = {
                    "address": str(each.address),
                    "hwaddr": each.mac,
                    # Kea takes a lease's beginning from that, and nothing else.
                    "valid_lifetime": "3600",
                    "expire": str(each.ends),
                    "subnet_id": str(number),
                    **dict.fromkeys(("fqdn_fwd", "fqdn_rev", "state", "pool_id"), "0"),
                }
    lines = [",".join(row.get(name, "") for name in names) for row in rows.values()]
    return "".join(f"{line}\n" for line in (",".join(names), *lines))


def _table(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of Kea's files, one file after the other. Kea writes no comma into a field."""
    lines = text.splitlines() or [_COLUMNS]
    names = lines[0].split(",")
    for line in lines[1:]:
        row = dict(zip(names, line.split(","), strict=False))
        # The headers of the later files are no rows.
        if row.get("address", "") not in ("", "address"):
            yield row


def _block(lease: Lease) -> str:
    ends = datetime.fromtimestamp(lease.ends, UTC)
    return (
        f"lease {lease.address} {{\n  starts 4 1970/01/01 00:00:00;\n"
        f"  ends {ends.isoweekday() % 7} {ends.strftime(_TIME)};\n  binding state active;\n"
        f"  next binding state free;\n  hardware ethernet {lease.mac};\n}}\n"
    )


def _subnets(configuration: str) -> Mapping[IPv4Network, int]:
    whole = json.loads(configuration)
    return {IPv4Network(each["subnet"]): each["id"] for each in whole["Dhcp4"]["subnet4"]}
