"""What ltsp.conf says of single machines: their addresses and names, and who is answered."""

from ipaddress import IPv4Address

import pytest

from ltspd.config.configuration import load
from ltspd.model.network import Network, Reservation
from ltspd.network import machines
from ltspd.network.machines import with_machines
from tests.worlds.planning import decide, link, server_section

LAN = link("lan0", "192.168.67.1/24")
ONE = "52:54:00:00:00:01"


def of(text: str) -> tuple[tuple[Reservation, ...], list[str]]:
    """Return the reservations, and what is wrong with others."""
    desired = decide(text, LAN)
    about = [str(each) for each in desired.problems if each.subject.startswith(("DHCP_HOST", "["))]
    return desired.network.reservations, about


@pytest.mark.parametrize(
    "text",
    [
        f'"{ONE} 192.168.67.30 pc1"',
        "52-54-00-00-00-01,192.168.67.30,pc1",
        f'"pc1 {ONE.upper()}, 192.168.67.30"',
    ],
)
def test_a_machine_is_written_in_one_line(text: str) -> None:
    wanted = Reservation(ONE, IPv4Address("192.168.67.30"), "pc1")
    assert of(server_section(f"DHCP_HOST_a={text}")) == ((wanted,), [])


def test_an_empty_line_is_none() -> None:
    assert of(server_section("DHCP_HOST_a=''\nDHCP_HOST_b=")) == ((), [])


def test_an_address_alone_or_a_name_alone_is_enough() -> None:
    assert of(server_section(f'DHCP_HOST_a="{ONE} pc1"'))[0] == (Reservation(ONE, None, "pc1"),)
    assert of(server_section(f'DHCP_HOST_a="{ONE} 192.168.67.30"'))[0][0].name == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.168.67.30", "has not a MAC address and one more thing"),
        (ONE, "has not a MAC address and one more thing"),
        (f"{ONE} 192.168.67.300", "has '192.168.67.300', which is no MAC address, IPv4 address or host name"),
        (f"{ONE} 52:54:00:00:00", "has '52:54:00:00:00', which is no MAC address"),
        (f"{ONE} pc1 pc2", "has two of one kind: pc1 and pc2"),
        (f"{ONE} pc_1;x", "has 'pc_1;x', which is no"),
    ],
)
def test_a_line_that_is_none_is_an_error_with_its_reason(text: str, reason: str) -> None:
    (error,) = load({"/etc/ltsp/ltsp.conf": server_section(f'DHCP_HOST_a="{text}"')}).errors
    assert reason in error.reason
    assert "DHCP_HOST_a" in error.reason


def test_the_section_of_a_machine_says_it_as_well() -> None:
    text = f"[clients]\nHOSTNAME=pc%{{MAC}}\n[{ONE}]\nDHCP_ADDRESS=192.168.67.30\nHOSTNAME=pc1\n"
    assert of(text) == ((Reservation(ONE, IPv4Address("192.168.67.30"), "pc1"),), [])
    # What all clients have is nobody's own name.
    assert of(f"[clients]\nHOSTNAME=pc\n[{ONE}]\nDHCP_ADDRESS=192.168.67.30\n")[0][0].name == ""


def test_the_name_and_the_address_may_be_in_two_places() -> None:
    text = f'[server]\nDHCP_HOST_a="{ONE} 192.168.67.30"\n[{ONE}]\nHOSTNAME=pc1\n'
    assert of(text) == ((Reservation(ONE, IPv4Address("192.168.67.30"), "pc1"),), [])
    found, wrong = of(f"{text}DHCP_ADDRESS=192.168.67.31\n")
    assert found[0].address == IPv4Address("192.168.67.30")
    assert wrong == [
        f"[{ONE}]: DHCP_HOST_a gives the same machine 192.168.67.30, and counts; take one of both out."
    ]


def test_an_address_is_given_once_and_only_where_we_give_addresses() -> None:
    lines = [
        f'DHCP_HOST_a="{ONE} 192.168.67.30"',
        'DHCP_HOST_b="52:54:00:00:00:02 192.168.67.30 pc2"',
        'DHCP_HOST_c="52:54:00:00:00:03 192.168.67.1"',
        'DHCP_HOST_d="52:54:00:00:00:04 10.0.0.4"',
    ]
    found, wrong = of("\n".join(["[server]", *lines, ""]))
    # Who loses an address keeps the name.
    assert found == (
        Reservation(ONE, IPv4Address("192.168.67.30")),
        Reservation("52:54:00:00:00:02", None, "pc2"),
    )
    assert wrong == [
        "DHCP_HOST_b: DHCP_HOST_a has the same address (192.168.67.30), and keeps it, so it is not given; "
        "write another one.",
        "DHCP_HOST_c: 192.168.67.1 is this server's own address, so it is not given; write another one.",
        "DHCP_HOST_d: 10.0.0.4 is in no network where this server gives addresses (192.168.67.0/24), so it "
        "is not given; write another one.",
    ]


def test_machines_are_denied_and_allowed_by_how_their_addresses_begin() -> None:
    network = decide('[server]\nDHCP_DENY="52-54-00-* 02:00:00:00:00:01"\nDHCP_ALLOW=52:*\n', LAN).network
    assert network.denied == ("52:54:00:*", "02:00:00:00:00:01")
    assert network.allowed == ("52:*",)


@pytest.mark.parametrize("text", ["*", "52:54", "52:54:*:01", "pc1", "52:54:0*"])
def test_who_is_denied_must_be_clear(text: str) -> None:
    (error,) = load({"/etc/ltsp/ltsp.conf": server_section(f"DHCP_DENY={text}")}).errors
    assert f"{text!r}, which is not like 52:54:00:00:00:01 or 52:54:00:*" in error.reason


def test_where_it_cannot_be_read_who_is_answered_nobody_is() -> None:
    config = load({"/etc/ltsp/ltsp.conf": server_section("DHCP_ALLOW=52:54:0*")})
    network = with_machines(Network(()), config, [])
    assert network.allowed == ("00:00:00:00:00:00",)
    assert machines.ALLOWED.problem("52:54:0*")
