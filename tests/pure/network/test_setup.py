"""What a set-up means for the network, and that ltsp.conf has the last word."""

import pytest

from ltspd.model.facts import Facts
from ltspd.model.network import DhcpRole
from ltspd.model.setup import Setup, SetupKind
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import conf, link, server_section

DUAL = Setup(SetupKind.DUAL, "lan0", "wan0", dns=True)
LINKS = (link("wan0", "10.0.0.2/24"), link("lan0", "10.0.5.1/24", index=3))


@pytest.mark.parametrize(
    ("text", "setup", "nat", "dns", "roles"),
    [
        ("", None, False, False, {"wan0": DhcpRole.PROXY, "lan0": DhcpRole.PROXY}),
        ("", DUAL, True, True, {"lan0": DhcpRole.REAL}),
        ("", Setup(SetupKind.SINGLE, "wan0"), False, False, {"wan0": "proxy", "lan0": "proxy"}),
        ("", Setup(SetupKind.SINGLE, "wan0", dns=True), False, True, {"wan0": "proxy", "lan0": "proxy"}),
        ("NAT=0\nDNS=0", DUAL, False, False, {"lan0": DhcpRole.REAL}),
        ("NAT=1\nDNS=1", None, True, True, {"wan0": DhcpRole.PROXY, "lan0": DhcpRole.PROXY}),
        ("DHCP_LINKS=wan0=proxy", DUAL, True, True, {"wan0": DhcpRole.PROXY, "lan0": DhcpRole.REAL}),
    ],
)
def test_a_setup_counts_where_ltsp_conf_says_nothing(
    text: str, setup: Setup | None, nat: bool, dns: bool, roles: dict[str, str]
) -> None:
    network = plan(conf(server_section(text)), Facts(links=LINKS, setup=setup), Paths()).network
    assert (network.nat, network.dns) == (nat, dns)
    assert {each.link: each.role for each in network.served} == roles


def test_a_server_that_routes_and_answers_names_says_so_by_dhcp() -> None:
    network = plan(conf(), Facts(links=LINKS, setup=DUAL), Paths()).network
    (served,) = network.served
    assert [str(each) for each in (*served.routers, *network.resolvers(served))] == ["10.0.5.1", "10.0.5.1"]


def test_a_link_that_a_setup_names_and_that_is_not_there_is_a_problem() -> None:
    problems = plan(conf(), Facts(links=LINKS[:1], setup=DUAL), Paths()).problems
    assert any("'ltspctl setup' names it" in each.message for each in problems)
