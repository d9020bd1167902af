"""Plan: what each client gets from the menu, what clients are told, and that no text makes it fail."""

import time
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given

from ltspd.config.configuration import load
from ltspd.model.account import Account, Group
from ltspd.model.desired import Desired, Homes
from ltspd.model.facts import Facts, HomeDirectory
from ltspd.model.menu import MenuChoice, RootTransport, Tool
from ltspd.outputs import outputs
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.patience import FAR_TOO_LONG
from tests.worlds.examples import WHOLE, drawn
from tests.worlds.ltsp_confs import texts
from tests.worlds.planning import BOOT_PROGRAMS, conf, decide, image, link, programs, server_section, world

# ---- the menu --------------------------------------------------------------------------------------

ONE = (image("bookworm"),)
TWO = (image("bookworm"), image("trixie"))


def test_one_image_needs_no_menu() -> None:
    assert decide("", images=ONE).menu.default == MenuChoice("bookworm", RootTransport.NFS, "", None)


def test_several_images_show_one() -> None:
    assert decide("", images=TWO).menu.default == MenuChoice("bookworm", RootTransport.NFS, "", 5000)


def test_what_ltsp_conf_says_of_the_menu() -> None:
    text = (
        '[server]\nDEFAULT_IMAGE=trixie\nMENU_TIMEOUT=900\nKERNEL_PARAMETERS="quiet a=b"\nROOT_TRANSPORT=nbd'
    )
    assert decide(text, images=TWO).menu.default == MenuChoice("trixie", RootTransport.NBD, "quiet a=b", 900)


def test_a_negative_timeout_shows_no_menu() -> None:
    assert decide(server_section("MENU_TIMEOUT=-1"), images=TWO).menu.default.timeout is None


def test_only_images_with_a_current_generation_are_entries() -> None:
    menu = decide("", images=(image("a", current=False), image("b"))).menu
    assert [each.name for each in menu.offer.entries] == ["b"]
    assert menu.default.entry == "b"


def test_an_unknown_default_image_is_one_problem_and_the_first_boots() -> None:
    text = server_section("DEFAULT_IMAGE=nowhere") + "[52:54:00:00:00:01]\nKERNEL_PARAMETERS=x\n"
    desired = decide(text, link("eth0", "10.0.3.2/24"), images=TWO)
    assert desired.menu.default.entry == "bookworm"
    (problem,) = desired.problems
    assert "DEFAULT_IMAGE=nowhere" in problem.message
    assert "bookworm, trixie" in problem.message


def test_before_the_first_build_a_default_image_is_no_problem() -> None:
    desired = decide(server_section("DEFAULT_IMAGE=soon"), link("eth0", "10.0.3.2/24"))
    assert desired.problems == ()
    assert desired.menu.default.entry == ""


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("52:54:00:00:00:0A", "mac", "52:54:00:00:00:0a"),
        ("192.168.67.30", "ip", "192.168.67.30"),
        ("PC01", "hostname", "pc01"),
    ],
)
def test_a_choice_of_one_client(section: str, key: str, value: str) -> None:
    menu = decide(f"[{section}]\nDEFAULT_IMAGE=trixie\nROOT_TRANSPORT=http\n", images=TWO).menu
    assert menu.hosts == ((key, value, MenuChoice("trixie", RootTransport.HTTP, "", 5000)),)
    assert menu.default.entry == "bookworm"


def test_alternatives_of_a_header_are_several_clients() -> None:
    menu = decide("[pc01|192.168.67.9]\nKERNEL_PARAMETERS=x\n", images=ONE).menu
    assert [(key, value) for key, value, _ in menu.hosts] == [("hostname", "pc01"), ("ip", "192.168.67.9")]


def test_a_client_that_gets_the_default_needs_no_line_of_the_menu() -> None:
    text = "[52:54:00:00:00:01]\nHOSTNAME=lib01\n[pc*]\nDEFAULT_IMAGE=trixie\n[clients]\nTIMEZONE=UTC\n"
    assert decide(text, images=TWO).menu.hosts == ()


def test_the_host_name_that_a_section_gives_selects_the_next_one() -> None:
    text = "[52:54:00:00:00:01]\nHOSTNAME=pc01\n[pc*]\nDEFAULT_IMAGE=trixie\n"
    ((key, value, choice),) = decide(text, images=TWO).menu.hosts
    assert (key, value, choice.entry) == ("mac", "52:54:00:00:00:01", "trixie")


@pytest.mark.parametrize("line", ["ROOT_TRANSPORT=$T", "MENU_TIMEOUT=$T"])
def test_a_bad_value_made_from_others_gives_its_host_the_default(line: str) -> None:
    menu = decide(f"[52:54:00:12:34:56]\nT=bogus\n{line}\n[pc1]\nT=http\n", images=TWO).menu
    assert menu.hosts == ()
    assert menu.default == MenuChoice("bookworm", RootTransport.NFS, "", 5000)


def test_a_value_made_from_others_counts_where_it_is_good() -> None:
    menu = decide("[clients]\nROOT_TRANSPORT=$T\n[pc1]\nT=http\nINCLUDE=clients\n", images=TWO).menu
    assert menu.hosts == ()
    menu = decide("[x]\nROOT_TRANSPORT=$T\n[pc1]\nT=http\nINCLUDE=x\n", images=TWO).menu
    assert [each for each in menu.hosts if each[1] == "pc1"] == [
        ("hostname", "pc1", MenuChoice("bookworm", RootTransport.HTTP, "", 5000))
    ]


FACTS = Facts(
    links=(link("eth0", "10.0.3.2/24"), link("eth1", "192.168.67.1/24")),
    images=TWO,
    programs=programs("ganesha.nfsd", "nbd-server", "nbd-client", "dnsmasq"),
)


@drawn(500)
@given(texts())
def test_no_text_of_ltsp_conf_makes_plan_raise(text: str) -> None:
    desired = plan(load({"/etc/ltsp/ltsp.conf": text}), FACTS, Paths())
    choices = [desired.menu.default, *(choice for _, _, choice in desired.menu.hosts)]
    assert {each.entry for each in choices} <= {"bookworm", "trixie"}
    assert all(each.timeout is None or each.timeout >= 0 for each in choices)


MANY = 2000
SHAPES = {
    "one each": "[{mac}]\nHOSTNAME=pc{n}\nKERNEL_PARAMETERS=video={n}\n",
    "by name": "[{mac}]\nHOSTNAME=pc{n}\n[pc{n}]\nT=nbd\nROOT_TRANSPORT=$T\n",
    "globs": "[pc{n}-*]\nHOSTNAME=x\n[pc{n}-1]\nTIMEZONE=UTC\n",
    "includes": "[{mac}]\nINCLUDE=room{room}\n",
    "mistakes": "[pc{n}]\nINCLUDE=nowhere{n}\nHOSTNME{n}=$NOWHERE{n}\nHTTP_PORT=x\n",
}


@WHOLE
@pytest.mark.parametrize("shape", SHAPES)
def test_two_thousand_clients_cost_little(shape: str) -> None:
    sections = (
        SHAPES[shape].format(n=n, mac=f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}", room=n % 20)
        for n in range(MANY)
    )
    rooms = "".join(f"[room{n}]\nDEFAULT_IMAGE=trixie\n" for n in range(20))
    text = "[clients]\nTIMEZONE=UTC\n" + "".join(sections) + rooms
    start = time.process_time()
    outputs(world(load({"/etc/ltsp/ltsp.conf": text}), FACTS))
    assert time.process_time() - start < FAR_TOO_LONG


def test_the_menu_has_the_firmwares_setup_where_ipxe_can_enter_it() -> None:
    for able in (False, True):
        tools = plan(conf(), replace(FACTS, ipxe_enters_setup=able), Paths()).menu.offer.tools
        assert (Tool.SETUP in tools, Tool.FIRMWARE in tools) == (able, True)


# ---- the rest --------------------------------------------------------------------------------------


def test_accounts_are_served_unless_told_not_to() -> None:
    facts = Facts(
        accounts=(Account("ada", 1000, 1000, "Ada", "/home/ada", "/bin/bash"),),
        groups=(Group("ada", 1000, ()),),
    )
    assert plan(conf(), facts, Paths()).add_on.accounts == facts.accounts
    without = plan(conf(server_section("SERVE_ACCOUNTS=0")), facts, Paths()).add_on
    assert (without.accounts, without.groups) == ((), ())


def test_people_who_can_not_be_sent_are_named() -> None:
    facts = Facts(unsent=tuple(f"'a {number}' (why)" for number in range(7)))
    [problem] = [each for each in plan(conf(), facts, Paths()).problems if each.subject == "accounts"]
    assert "'a 0' (why); 'a 1' (why)" in problem.message
    assert "and 2 more" in problem.message
    without = plan(conf(server_section("SERVE_ACCOUNTS=0")), facts, Paths())
    assert not [each for each in without.problems if each.subject == "accounts"]


def test_the_servers_resolver_is_the_default_for_clients() -> None:
    facts = Facts(nameservers=(IPv4Address("9.9.9.9"),), search_domain="lan.example")
    desired = plan(conf(), facts, Paths())
    assert (desired.network.nameservers, desired.network.search_domain) == (facts.nameservers, "lan.example")
    text = server_section('DNS_SERVER="10.0.0.1 10.0.0.2"\nSEARCH_DOMAIN=school.example')
    desired = plan(conf(text), facts, Paths())
    assert [str(each) for each in desired.network.nameservers] == ["10.0.0.1", "10.0.0.2"]
    assert desired.network.search_domain == "school.example"


def test_what_clients_resolve_with_reaches_those_of_another_dhcp_server() -> None:
    facts = Facts(nameservers=(IPv4Address("9.9.9.9"),), search_domain="lan.example $(reboot) other.example")
    # Our own name servers may be out of reach there.
    assert plan(conf(), facts, Paths()).add_on.resolver == b"search lan.example other.example\n"
    text = server_section('DNS_SERVER="10.0.0.1 10.0.0.2"\nSEARCH_DOMAIN=school.example')
    assert plan(conf(text), facts, Paths()).add_on.resolver == (
        b"nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch school.example\n"
    )
    assert plan(conf(), Facts(), Paths()).add_on.resolver == b""


def test_a_resolver_that_is_only_the_server_itself_is_a_problem_where_we_give_addresses() -> None:
    own = Facts(
        nameservers=(IPv4Address("127.0.0.1"),),
        links=(link("eth1", "192.168.67.1/24"),),
        boot_programs=BOOT_PROGRAMS,
    )
    desired = plan(conf(), own, Paths())
    assert desired.network.nameservers == ()
    (problem,) = desired.problems
    assert "127.0.0.1" in problem.message
    assert "DNS_SERVER=" in problem.message
    desired = plan(conf(server_section("DNS_SERVER=10.0.0.1")), own, Paths())
    assert (str(desired.network.nameservers[0]), desired.problems) == ("10.0.0.1", ())
    # Behind another server, that one says it.
    assert plan(conf(), replace(own, links=(link("eth0", "10.0.3.2/24"),)), Paths()).problems == ()


@pytest.mark.parametrize(
    ("line", "gateway", "forwards", "routers"),
    [
        # The server's own gateway, whether it forwards or not.
        ("", "192.168.67.254", False, ["192.168.67.254"]),
        ("", "192.168.67.254", True, ["192.168.67.254"]),
        # A gateway elsewhere is nobody that clients could reach.
        ("", "10.0.3.1", True, ["192.168.67.1"]),
        ("", None, True, ["192.168.67.1"]),
        ("", None, False, []),
        ("DHCP_ROUTER=none", "192.168.67.254", True, []),
        ('DHCP_ROUTER="10.0.0.1 192.168.67.9"', "192.168.67.254", True, ["192.168.67.9"]),
        ("DHCP_ROUTER=10.0.0.1", "192.168.67.254", True, ["192.168.67.254"]),
    ],
)
def test_who_routes_for_clients(line: str, gateway: str | None, forwards: bool, routers: list[str]) -> None:
    own = replace(link("eth1", "192.168.67.1/24"), forwards=forwards)
    own = replace(own, gateway=IPv4Address(gateway) if gateway else None)
    (served,) = decide(server_section(line), own).network.served
    assert [str(each) for each in served.routers] == routers


def test_the_settings_of_clients_hold_no_secret_of_the_server() -> None:
    text = "[server]\nADMIN_PASSWORD=hunter2\n[clients]\nSEARCH_DOMAIN=school.example\n"
    settings = decide(text).add_on.settings
    assert b"school.example" in settings
    assert b"hunter2" not in settings


@pytest.mark.parametrize("section", ["server", "clients", "52:54:00:12:34:56"])
def test_a_secret_in_kernel_parameters_is_not_in_the_menu_that_everybody_reads(section: str) -> None:
    text = f"[{section}]\nKERNEL_PARAMETERS='quiet ds=nocloud;password=hunter2'\n"
    config = conf(text)
    desired = plan(config, FACTS, Paths())
    assert "hunter2" not in repr(desired)
    (finding,) = config.findings
    assert (finding.line, "KERNEL_PARAMETERS holds or uses a secret" in finding.reason) == (2, True)


@pytest.mark.parametrize(
    ("names", "kernel", "transport"),
    [
        ({"ganesha.nfsd", "nbd-server"}, False, RootTransport.NFS),
        ({"exportfs"}, True, RootTransport.NFS),
        ({"exportfs", "nbd-server"}, False, RootTransport.NBD),
        ({"nbd-server"}, True, RootTransport.NBD),
        ({"exportfs"}, False, RootTransport.HTTP),
    ],
)
def test_roots_come_by_what_the_server_has(names: set[str], kernel: bool, transport: RootTransport) -> None:
    facts = Facts(images=TWO, programs=programs(*names), kernel_nfsd=kernel)
    assert plan(conf(""), facts, Paths()).menu.default.transport is transport
    assert plan(conf("ROOT_TRANSPORT=nfs\n"), facts, Paths()).menu.default.transport is RootTransport.NFS


def test_clients_learn_the_port_of_logins_where_there_are_logins() -> None:
    assert decide("").add_on.login_port == 10822
    assert decide(server_section("LOGIN_PORT=65534")).add_on.login_port == 65534
    assert decide(server_section("LOGIN=0")).add_on.login_port == 0


def _person(name: str, home: str) -> Account:
    return Account(name, 1500, 1500, "", home, "/bin/sh")


def _homes(text: str, accounts: tuple[Account, ...] = (), **changes: Any) -> Desired:
    here = programs("ganesha.nfsd", "exportfs")
    facts = Facts(programs=here, accounts=accounts, homes=HomeDirectory("/home"))
    return plan(conf(f"[server]\n{text}"), replace(facts, **changes), Paths())


def test_homes_are_exported_only_where_that_is_asked_for() -> None:
    assert _homes("").homes is None
    assert _homes("NFS_HOME=1\n").homes == Homes("/home", "/home", 2050)
    assert _homes("NFS_HOME=1\n").add_on.homes == Homes("/home", "/home", 2050)
    assert _homes("NFS_HOME=1\n", kernel_nfsd=True).homes == Homes("/home", "/home", 2049)


def test_clients_mount_no_homes_that_nobody_serves() -> None:
    desired = _homes("NFS_HOME=1\n", programs=frozenset())
    assert desired.homes is not None
    assert desired.add_on.homes is None


@pytest.mark.parametrize(
    ("homes", "point", "outside"),
    [
        (("/home/alice",), "/home", ""),
        (("/home/nfs/alice",), "/home/nfs", ""),
        (("/home/alice", "/home/nfs/bob"), "/home/nfs", "alice (/home/alice)"),
        (("/data/alice",), "/home", "alice (/data/alice)"),
        ((), "/home", ""),
    ],
)
def test_clients_mount_homes_where_the_accounts_have_them(
    homes: tuple[str, ...], point: str, outside: str
) -> None:
    people = tuple(map(_person, ("alice", "bob"), homes))
    found = HomeDirectory("/home/nfs")
    desired = _homes("NFS_HOME=1\nHOME_DIR=/home/nfs\n", people, homes=found)
    assert desired.homes == Homes("/home/nfs", point, 2050)
    told = [each.message for each in desired.problems if each.subject == "homes"]
    assert [outside in each for each in told] == [True] * bool(outside)


@pytest.mark.parametrize(("found", "why"), [(None, "no directory"), (HomeDirectory("/a b"), "characters")])
def test_homes_that_can_not_be_exported_are_named(found: HomeDirectory | None, why: str) -> None:
    desired = _homes("NFS_HOME=1\nHOME_DIR=/srv/x\n", homes=found)
    assert desired.homes is None
    assert any("/srv/x" in each.message and why in each.message for each in desired.problems)


def test_homes_that_the_administrator_exports_are_used_as_they_are() -> None:
    found = HomeDirectory("/home", whole=True, exported=True)
    assert _homes("NFS_HOME=1\n", kernel_nfsd=True, homes=found).homes == Homes(
        "/home", "/home", 2049, foreign=True, whole=True
    )
