"""The commands that let machines through each firewall: to our ports, and through this server. Pure.

All of them hold for good, but those for plain rules of nftables: see `added`.
"""

from collections.abc import Iterator, Sequence

# Where Debian's nftables.service has its rules from.
NFTABLES = "/etc/nftables.conf"


def firewalld_ports(zone: str, ports: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield what lets these ports in from a zone."""
    words = " ".join(f"--add-port={port}/{protocol}" for protocol, port in ports)
    yield f"firewall-cmd --permanent --zone={zone} {words}"
    yield "firewall-cmd --reload"


def firewalld_routing(lan: str) -> Iterator[str]:
    """Yield what lets clients of a link in and through."""
    yield f"firewall-cmd --permanent --zone=trusted --change-interface={lan}"
    yield "firewall-cmd --reload"


def ufw_ports(link: str, ports: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield what lets these ports in from a link."""
    for protocol, numbers in _by_protocol(ports):
        yield f"ufw allow in on {link} proto {protocol} to any port {','.join(numbers)}"


def ufw_routing(lan: str, wan: str) -> Iterator[str]:
    """Yield what lets clients of a link through."""
    yield f"ufw route allow in on {lan} out on {wan}"


def nft_ports(link: str, ports: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield the rules that let these ports in from a link."""
    for protocol, numbers in _by_protocol(ports):
        yield f'iifname "{link}" {protocol} dport {{ {", ".join(numbers)} }} accept'


def nft_routing(lan: str) -> Iterator[str]:
    """Yield the rules that let clients of a link through, and the answers back."""
    yield f'iifname "{lan}" accept'
    yield f'oifname "{lan}" ct state established,related accept'


def added(chain: str, rules: Sequence[str], saved: bool) -> Iterator[str]:
    """Yield what puts rules before those of a chain, now; if its table is ``saved``, also the next time."""
    for each in rules:
        yield f"nft insert rule {chain} '{each}'"
    for each in rules if saved else ():
        yield f"echo 'insert rule {chain} {each}' >>{NFTABLES}"


def _by_protocol(ports: Sequence[tuple[str, int]]) -> Iterator[tuple[str, list[str]]]:
    for protocol in dict.fromkeys(protocol for protocol, _ in ports):
        yield protocol, [str(port) for each, port in ports if each == protocol]
