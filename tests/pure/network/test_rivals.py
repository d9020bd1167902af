"""Other DHCP servers on served links: named where they are in the way, and only there."""

from ipaddress import IPv4Interface

import pytest

from ltspd.model.client import Server
from ltspd.model.network import DhcpRole, Link, LinkKind, ServedLink
from ltspd.network.rivals import problems

OWN, OTHER = "52:54:00:aa:00:01", "02:00:00:00:00:09"
LINKS = [
    Link("lan0", 2, OWN, LinkKind.ETHERNET, True, addresses=(IPv4Interface("192.168.67.1/24"),)),
    Link("ext0", 3, "52:54:00:aa:00:02", LinkKind.ETHERNET, True, addresses=(IPv4Interface("10.0.3.2/24"),)),
]
SERVED = [
    ServedLink("lan0", LINKS[0].addresses[0], DhcpRole.REAL),
    ServedLink("ext0", LINKS[1].addresses[0], DhcpRole.PROXY),
]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server("lan0", "192.168.67.9", OTHER, gives=True), [f"192.168.67.9 ({OTHER})", "gives addresses"]),
        (Server("lan0", "192.168.67.9"), ["another DHCP server", '"lan0=proxy"']),
        (Server("lan0", "192.168.67.9", OTHER, boots=True, file="x.0"), ["what to boot", "boot file x.0"]),
        (Server("ext0", "10.0.3.9", OTHER, True, True, "ltsp/a"), ["LTSP server, too", '"ext0=off"']),
        (Server("lan0", "10.0.3.2", LINKS[1].mac, boots=True), ["on ext0 arrives here", "Unplug"]),
        (Server("lan0", "192.168.67.1", OTHER, gives=True), ["another machine", "own address"]),
        # The router gives the addresses, as it should.
        (Server("ext0", "10.0.3.1", OTHER, gives=True), []),
        (Server("ext0", "10.0.3.1"), []),
        (Server("lan0", "192.168.67.1"), []),
        (Server("lan0", "192.168.67.1", OWN, gives=True), []),
        (Server("wlan0", "10.7.0.1", OTHER, gives=True), []),
    ],
)
def test_each_server_in_the_way_is_named_with_a_next_step(server: Server, said: list[str]) -> None:
    found = [str(each) for each in problems([server], SERVED, LINKS)]
    assert len(found) == bool(said)
    for text in found:
        assert text.startswith(f"link {server.link}: ")
        assert [each for each in said if each not in text] == []
