"""Single machines: which address and name each is given, and which are answered at all. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

from ltspd.config.configuration import Config
from ltspd.config.document import Host
from ltspd.config.evaluate import Index, effective, exact_hosts
from ltspd.config.parameter import BOTH, SERVER, Parameter
from ltspd.config.readers import Reader, read_address
from ltspd.model.network import DhcpRole, Network, Reservation
from ltspd.model.state import Problem
from ltspd.names import is_host_name, is_mac, is_mac_glob


def _lower(word: str) -> str:
    return word.lower().replace("-", ":")


def _read_machine(text: str) -> Reservation:
    """Read ``52:54:00:00:00:01 192.168.67.30 pc1``; without the address, or without the name, as well."""
    found: dict[str, str | IPv4Address] = {}
    for word in text.replace(",", " ").split():
        kind, value = _word(word)
        if kind in found:
            raise ValueError(f"has two of one kind: {found[kind]} and {value}")
        found[kind] = value
    if "mac" not in found or len(found) < 2:
        raise ValueError("has not a MAC address and one more thing")
    return Reservation(**found)  # type: ignore[arg-type]


def _word(word: str) -> tuple[str, str | IPv4Address]:
    if is_mac(_lower(word)):
        return "mac", _lower(word)
    try:
        return "address", IPv4Address(word)
    except AddressValueError:
        pass
    # An address with a typing mistake would pass for a name.
    if not is_host_name(word) or ":" in word or re.fullmatch(r"[0-9.]+", word):
        raise ValueError(f"has {word!r}, which is no MAC address, IPv4 address or host name")
    return "name", word


def _read_globs(text: str) -> tuple[str, ...]:
    found = tuple(map(_lower, text.replace(",", " ").split()))
    for each in found:
        if not is_mac_glob(each):
            raise ValueError(f"has {each!r}, which is not like 52:54:00:00:00:01 or 52:54:00:*")
    return tuple(dict.fromkeys(found))


_GLOBS = Reader("MAC addresses", _read_globs, "MAC addresses, or their first bytes as 52:54:00:*")
MACHINES = Parameter(
    "DHCP_HOST_*",
    Reader("a machine", _read_machine, "52:54:00:00:00:01 192.168.67.30 pc1"),
    "",
    SERVER,
    "A machine's MAC address, and the IP address and host name that it is given",
)
ADDRESS = Parameter(
    "DHCP_ADDRESS",
    Reader("an IPv4 address", lambda text: read_address(text) if text else None),
    "",
    BOTH,
    "In the section of a MAC address: the address that this machine is given",
)
DENIED = Parameter("DHCP_DENY", _GLOBS, "", SERVER, "Machines whose DHCP requests are not answered")
ALLOWED = Parameter("DHCP_ALLOW", _GLOBS, "", SERVER, "The only machines whose DHCP requests are answered")


# Answers nobody: no card has this address.
_NOBODY = ("00:00:00:00:00:00",)


def with_machines(network: Network, config: Config, problems: list[Problem]) -> Network:
    """Return the network with what ltsp.conf says of single machines; add a problem for what can't be."""
    settings = config.settings
    readable = settings.readable(DENIED) and settings.readable(ALLOWED)
    return replace(
        network,
        reservations=tuple(_fitting(network, _machines(config, problems), problems)),
        denied=settings[DENIED],
        # Where it can't be read who is to be answered, that is not guessed.
        allowed=settings[ALLOWED] if readable else _NOBODY,
    )


def _machines(config: Config, problems: list[Problem]) -> Iterator[tuple[str, Reservation]]:
    """Yield what is said of each machine, and where; its name and address may be in two places."""
    found: dict[str, tuple[str, Reservation]] = {}
    for place, each in _said(config):
        before, known = found.get(each.mac, (place, each))
        if (known.address or each.address) != (each.address or known.address):
            text = f"{before} gives the same machine {known.address}, and counts; take one of both out."
            problems.append(Problem(place, text))
        both = Reservation(each.mac, known.address or each.address, known.name or each.name)
        found[each.mac] = (before, both)
    yield from found.values()


def _said(config: Config) -> Iterator[tuple[str, Reservation]]:
    for name, each in config.settings.family(MACHINES).items():
        yield MACHINES.stem + name, each
    index = Index(config.document)
    # What counts for every machine is nobody's own name.
    common = {name: value.text for name, value in effective(index, Host()).items()}
    for kind, mac, host in exact_hosts(config.document):
        if kind == "mac" and is_mac(mac):
            values = {name: value.text for name, value in effective(index, host).items()}
            own = {name: text for name, text in values.items() if common.get(name) != text}
            address, name = own.get(ADDRESS.name, ""), own.get("HOSTNAME", "")
            found = ADDRESS.reader.read(address) if not ADDRESS.problem(address) else None
            if found or is_host_name(name):
                yield f"[{mac}]", Reservation(mac, found, name if is_host_name(name) else "")


def _fitting(
    network: Network, found: Iterable[tuple[str, Reservation]], problems: list[Problem]
) -> Iterator[Reservation]:
    """Yield the reservations that can be: each address once, and in a network where we give addresses."""
    given = [each.address.network for each in network.served if each.role is DhcpRole.REAL]
    given += [each.network for each in network.relayed if each.role is DhcpRole.REAL]
    own = {each.address.ip for each in network.served}
    taken: dict[IPv4Address, str] = {}
    for place, each in found:
        address, why = each.address, ""
        if address in own:
            why = f"{address} is this server's own address"
        elif address in taken:
            why = f"{taken[address]} has the same address ({address}), and keeps it"
        elif address and given and not any(address in network for network in given):
            networks = ", ".join(map(str, given))
            why = f"{address} is in no network where this server gives addresses ({networks})"
        if why:
            problems.append(Problem(place, f"{why}, so it is not given; write another one."))
            address = None
        elif address:
            taken[address] = place
        if address or each.name:
            yield replace(each, address=address)
