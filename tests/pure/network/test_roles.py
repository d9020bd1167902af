"""Which links are served, in which role and by which address, and the ranges of leases."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.model.network import DhcpRole, Link, LinkKind, ServedLink
from ltspd.network.roles import lease_range
from tests.worlds.planning import decide, link, server_section


def test_ltsps_own_network_gets_addresses_others_only_boot_options() -> None:
    inner, outer = link("eth1", "192.168.67.1/24"), link("eth0", "10.0.3.2/24")
    desired = decide("", outer, inner)
    assert desired.network.served == (
        ServedLink("eth0", IPv4Interface("10.0.3.2/24"), DhcpRole.PROXY, None, None, True, index=2),
        ServedLink(
            "eth1",
            IPv4Interface("192.168.67.1/24"),
            DhcpRole.REAL,
            IPv4Address("192.168.67.20"),
            IPv4Address("192.168.67.250"),
            True,
            index=2,
        ),
    )
    assert desired.problems == ()


@pytest.mark.parametrize(
    ("kind", "container", "served"),
    [
        (LinkKind.ETHERNET, False, True),
        (LinkKind.BRIDGE, False, True),
        (LinkKind.BOND, False, True),
        (LinkKind.VLAN, False, True),
        (LinkKind.VETH, False, False),
        (LinkKind.VETH, True, True),
        (LinkKind.WIRELESS, False, False),
        (LinkKind.VIRTUAL, True, False),
        (LinkKind.LOOPBACK, True, False),
    ],
)
def test_which_kinds_are_served(kind: LinkKind, container: bool, served: bool) -> None:
    found = decide("", link("x0", "10.0.3.2/24", kind=kind), container=container)
    assert bool(found.network.served) is served
    assert any("no interface is served" in each.message for each in found.problems) is not served


@pytest.mark.parametrize("name", ["docker0", "virbr0", "wg0", "br-0123456789ab"])
def test_a_foreign_network_is_served_only_by_name(name: str) -> None:
    foreign = link(name, "172.17.0.1/16", kind=LinkKind.VIRTUAL)
    assert decide("", foreign).network.served == ()
    (named,) = decide(server_section(f'DHCP_LINKS="{name}=proxy"'), foreign).network.served
    assert (named.link, named.role) == (name, DhcpRole.PROXY)


def test_ports_of_a_bridge_are_left_out() -> None:
    port = replace(link("eth0", "10.0.3.2/24"), enslaved=True)
    bridge = link("br0", "10.0.3.3/24", kind=LinkKind.BRIDGE, index=3)
    assert [each.link for each in decide("", port, bridge).network.served] == ["br0"]


@pytest.mark.parametrize("address", ["169.254.3.4/16", "127.0.0.2/8", "10.0.0.1/31", "10.0.0.1/32"])
def test_addresses_without_a_network_of_clients_are_left_out(address: str) -> None:
    assert decide("", link("eth0", address)).network.served == ()


def test_a_link_that_is_down_is_not_served() -> None:
    down = replace(link("eth0", "10.0.3.2/24"), up=False)
    assert decide("", down).network.served == ()
    assert decide(server_section("DHCP_LINKS=eth0=real"), down).network.served == ()


PROXY, REAL = DhcpRole.PROXY, DhcpRole.REAL


@pytest.mark.parametrize(
    ("line", "addresses", "served"),
    [
        # Beside a network that somebody else gives addresses in, we give none.
        ("", ("10.0.3.2/24", "192.168.67.1/24"), ("10.0.3.2/24", PROXY)),
        ("", ("192.168.67.1/24", "10.0.3.2/24"), ("10.0.3.2/24", PROXY)),
        ("", ("10.0.3.2/24", "172.16.5.2/24"), ("10.0.3.2/24", PROXY)),
        ('DHCP_LINKS="eth0=real"', ("10.0.3.2/24", "192.168.67.1/24"), ("192.168.67.1/24", REAL)),
        ('DHCP_LINKS="eth0=real"', ("10.0.3.2/24", "172.16.5.2/24"), ("10.0.3.2/24", REAL)),
        (
            'DHCP_LINKS="eth0=proxy"',
            ("192.168.67.1/24", "192.168.68.1/24"),
            ("192.168.68.1/24", PROXY),
        ),
    ],
)
def test_a_link_has_one_role_and_one_address_and_the_rest_is_told(
    line: str, addresses: tuple[str, ...], served: tuple[str, DhcpRole]
) -> None:
    desired = decide(server_section(line), link("eth0", *addresses))
    assert [(str(each.address), each.role) for each in desired.network.served] == [served]
    (problem,) = desired.problems
    assert problem.subject == "link eth0"
    for address in addresses:
        assert str(IPv4Interface(address).network) in problem.message
    assert "DHCP_LINKS" in problem.message


@pytest.mark.parametrize(
    ("line", "addresses", "served"),
    [
        ("REAL_DHCP=0", ("10.0.3.2/24", "192.168.67.1/24"), ("10.0.3.2/24", PROXY)),
        ("PROXY_DHCP=0", ("10.0.3.2/24", "192.168.67.1/24"), ("192.168.67.1/24", REAL)),
        (
            'DHCP_LINKS="eth0=proxy:172.16.5.2"',
            ("10.0.3.2/24", "172.16.5.2/24"),
            ("172.16.5.2/24", PROXY),
        ),
        # Several addresses in one network are no question.
        ("", ("10.0.3.2/24", "10.0.3.9/24"), ("10.0.3.2/24", PROXY)),
        ("", ("10.0.3.2/24", "169.254.3.4/16"), ("10.0.3.2/24", PROXY)),
    ],
)
def test_who_has_chosen_is_not_told(
    line: str, addresses: tuple[str, ...], served: tuple[str, DhcpRole]
) -> None:
    desired = decide(server_section(line), link("eth0", *addresses))
    assert [(str(each.address), each.role) for each in desired.network.served] == [served]
    assert desired.problems == ()


def test_an_address_that_the_link_does_not_have_is_a_problem() -> None:
    line = 'DHCP_LINKS="eth0=proxy:10.0.3.9"'
    desired = decide(server_section(line), link("eth0", "10.0.3.2/24"))
    assert desired.network.served == ()
    assert "the address 10.0.3.9 that DHCP_LINKS" in desired.problems[0].message


@pytest.mark.parametrize("name", ["eth*", "*", "a,b", "-x", "a'b", 'a"b', "a{b", "a\x01", "\u00e9th0"])
def test_a_name_that_a_server_would_read_as_something_else_is_not_served(name: str) -> None:
    plain = link("eth1", "10.0.4.2/24", index=3)
    desired = decide("", link(name, "10.0.3.2/24"), plain)
    assert [each.link for each in desired.network.served] == ["eth1"]
    (problem,) = desired.problems
    assert problem.subject == f"link {name}"
    assert "rename it" in problem.message


def test_a_link_that_is_off_may_be_missing() -> None:
    assert decide(server_section('DHCP_LINKS="eth9=off"'), link("eth0", "10.0.3.2/24")).problems == ()


@pytest.mark.parametrize(
    ("line", "roles"),
    [
        ("REAL_DHCP=0", {"eth0": DhcpRole.PROXY}),
        ("PROXY_DHCP=0", {"eth1": DhcpRole.REAL}),
        ('DHCP_LINKS="eth0=off"', {"eth1": DhcpRole.REAL}),
        ('DHCP_LINKS="eth1=proxy"', {"eth0": DhcpRole.PROXY, "eth1": DhcpRole.PROXY}),
        ('DHCP_LINKS="eth0=real eth1=off"', {"eth0": DhcpRole.REAL}),
        ('PROXY_DHCP=0\nDHCP_LINKS="eth0=proxy"', {"eth0": DhcpRole.PROXY, "eth1": DhcpRole.REAL}),
    ],
)
def test_what_ltsp_conf_says_of_roles(line: str, roles: dict[str, DhcpRole]) -> None:
    links = link("eth0", "10.0.3.2/24"), link("eth1", "192.168.67.1/24")
    served = decide(server_section(line), *links).network.served
    assert {each.link: each.role for each in served} == roles


def test_a_range_of_its_own() -> None:
    line = 'DHCP_LINKS="eth0=real:10.0.3.100-10.0.3.199"'
    (served,) = decide(server_section(line), link("eth0", "10.0.3.2/24")).network.served
    assert (served.first, served.last) == (IPv4Address("10.0.3.100"), IPv4Address("10.0.3.199"))


def test_a_range_is_for_the_network_that_it_lies_in() -> None:
    line = 'DHCP_LINKS="eth0=real:10.0.3.100-10.0.3.199"'
    (served,) = decide(server_section(line), link("eth0", "10.0.3.2/24", "172.16.0.1/24")).network.served
    assert str(served.address) == "10.0.3.2/24"


def test_a_range_in_no_network_of_the_link_is_a_problem() -> None:
    line = 'DHCP_LINKS="eth0=real:10.9.9.100-10.9.9.199"'
    desired = decide(server_section(line), link("eth0", "10.0.3.2/24"))
    assert desired.network.served == ()
    first = desired.problems[0]
    assert first.subject == "link eth0"
    assert "10.9.9.100-10.9.9.199" in first.message
    assert "10.0.3.0/24" in first.message


def test_a_named_link_that_is_missing_is_a_problem() -> None:
    desired = decide(server_section('DHCP_LINKS="eth7=real"'), link("eth0", "10.0.3.2/24"))
    (problem,) = desired.problems
    assert problem.subject == "link eth7"
    assert "no such interface" in problem.message


def test_router_advertisements_only_where_there_is_no_ipv6() -> None:
    plain, six = link("eth0", "10.0.3.2/24"), replace(link("eth1", "10.0.4.2/24"), global_ipv6=True)
    assert [each.quiet_router for each in decide("", plain, six).network.served] == [True, False]
    off = decide(server_section("ROUTER_ADVERTISEMENTS=0"), plain)
    assert [each.quiet_router for each in off.network.served] == [False]


# ---- lease ranges ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "first", "last"),
    [
        ("192.168.67.1/24", "192.168.67.20", "192.168.67.250"),
        ("10.0.0.1/30", "10.0.0.1", "10.0.0.2"),
        ("10.0.0.129/25", "10.0.0.138", "10.0.0.253"),
        ("172.16.0.1/16", "172.16.20.0", "172.16.250.0"),
    ],
)
def test_default_ranges(address: str, first: str, last: str) -> None:
    assert lease_range(IPv4Interface(address)) == (IPv4Address(first), IPv4Address(last))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_a_default_range_lies_inside_its_network(number: int, prefix: int) -> None:
    address = IPv4Interface((number, prefix))
    first, last = lease_range(address)
    network = address.network
    assert network.network_address < first <= last < network.broadcast_address


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.sampled_from(LinkKind), st.booleans())
def test_plan_is_total_over_addresses(number: int, prefix: int, kind: LinkKind, up: bool) -> None:
    odd = Link("eth0", 2, "", kind, up, addresses=(IPv4Interface((number, prefix)),))
    for each in decide("", odd).network.served:
        assert each.role is not DhcpRole.OFF
        assert (each.first is not None) == (each.role is DhcpRole.REAL)


# ---- relays, and other people's servers ------------------------------------------------------------


@pytest.mark.parametrize("role", [DhcpRole.RELAY, DhcpRole.FOREIGN])
def test_a_link_may_be_served_without_an_answer_to_its_own_machines(role: DhcpRole) -> None:
    (served,) = decide(server_section(f"DHCP_LINKS=eth0={role}"), link("eth0", "10.0.3.2/24")).network.served
    assert (served.role, served.first) == (role, None)


RELAYED = 'DHCP_RELAYED="10.5.0.0/24=real 10.6.0.0/24=real:10.6.0.7-10.6.0.9 10.7.0.0/16=proxy"\n'


def test_subnets_behind_relays_have_ranges_and_routers_of_their_own() -> None:
    text = server_section(f'{RELAYED}DHCP_ROUTER="10.6.0.254 10.0.3.1"')
    desired = decide(text, link("eth0", "10.0.3.2/24"), link("eth1", "192.168.67.1/24"))
    assert desired.problems == ()
    first, second, third = desired.network.relayed
    assert (str(first.first), str(first.last), first.routers) == ("10.5.0.20", "10.5.0.250", ())
    assert (str(second.first), str(second.last), *map(str, second.routers)) == (
        "10.6.0.7",
        "10.6.0.9",
        "10.6.0.254",
    )
    assert (third.role, third.first) == (DhcpRole.PROXY, None)
    assert [str(each) for each in desired.network.networks] == [
        "10.0.3.0/24",
        "10.5.0.0/24",
        "10.6.0.0/24",
        "10.7.0.0/16",
        "192.168.67.0/24",
    ]


def test_a_relay_needs_a_link_on_which_its_requests_are_heard() -> None:
    proxied = link("eth0", "10.0.3.2/24")
    found = decide(server_section("DHCP_RELAYED=10.5.0.0/24=real"), proxied)
    assert [each.subject for each in found.problems] == ["subnet 10.5.0.0/24"]
    text = server_section("DHCP_RELAYED=10.5.0.0/24=real\nDHCP_LINKS=eth0=relay")
    found = decide(text, proxied)
    assert found.problems == ()
    assert [each.link for each in found.network.links(DhcpRole.REAL)] == ["eth0"]
    assert found.network.links(DhcpRole.PROXY) == ()


def test_a_served_network_is_no_subnet_behind_a_relay() -> None:
    found = decide(server_section("DHCP_RELAYED=10.0.3.128/25=proxy"), link("eth0", "10.0.3.2/24"))
    assert found.network.relayed == ()
    assert "no relay is needed" in found.problems[0].message
