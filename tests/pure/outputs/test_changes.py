"""The law of dependent outputs: a change of one input changes exactly the files that depend on it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from ltspd.clients.documents import accounts_text
from ltspd.config.configuration import load
from ltspd.initrd.addon import make_settings_initrd
from ltspd.model.account import Account, Group
from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer, Source, SourceKind
from ltspd.model.menu import BootWay
from ltspd.model.network import Link, LinkKind
from ltspd.outputs import outputs
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import programs

OUT = "/var/lib/ltspd/outputs"
IMG, NBD_IMG, MENU = (f"/srv/tftp/ltsp/{name}" for name in ("ltsp.img", "nbd.img", "ltsp.ipxe"))
DHCP, PROXY = f"{OUT}/dnsmasq.conf", f"{OUT}/proxy-dhcp.conf"
TFTP, HTTP = f"{OUT}/tftp.conf", f"{OUT}/gateway.json"
NBD, RADVD, EXPORTS = f"{OUT}/nbd-server.conf", f"{OUT}/radvd.conf", "/etc/exports.d/ltspd.exports"
LISTENER = f"{OUT}/listener.json"
LOGIN = f"{OUT}/login/sshd_config"


@dataclass(frozen=True)
class Inputs:
    """Everything that outputs are made from."""

    facts: Facts
    conf: str = "[server]\nREAL_DHCP=1\n"
    nbd: bytes = b"nbd.img"


def generation(image: str, number: int) -> Generation:
    return Generation(
        id=f"2025010{number}T000000Z-{number:08x}", image=image, created=0.0, source="", architecture="",
        kernel="6.1", layers=(Layer(f"{number:064x}", 1),), source_bytes=0, source_files=0, kernel_bytes=0,
        initrd_bytes=0, packages_digest="",
    )  # fmt: skip


def link(name: str, index: int, address: str) -> Link:
    return Link(name, index, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface(address),))


ADA = Account("ada", 1000, 1000, "", "/home/ada", "/bin/sh")
FIRST, SECOND = generation("a", 1), generation("a", 2)
BASE = Inputs(
    Facts(
        links=(link("eth0", 2, "10.0.3.2/24"), link("eth1", 3, "192.168.67.1/24")),
        nameservers=(IPv4Address("10.0.3.1"),),
        accounts=(ADA,),
        groups=(Group("ada", 1000, ()),),
        images=(Image("a", (FIRST,), FIRST.id), Image("b", (generation("b", 5),), generation("b", 5).id)),
        programs=programs("dnsmasq", "nbd-server", "exportfs", "radvd"),
        boot_programs={"undionly.kpxe": "/usr/lib/ipxe/undionly.kpxe"},
        kernel_nfsd=True,
    )
)


def files(inputs: Inputs) -> dict[str, object]:
    config = load({"/etc/ltsp/ltsp.conf": inputs.conf})
    assert config.ok, config.errors
    desired = plan(config, inputs.facts, Paths())
    accounts = accounts_text(desired.add_on.accounts, desired.add_on.groups)
    add_on = make_settings_initrd(desired.add_on.settings, accounts, desired.add_on.resolver, {})
    found: dict[str, object] = {}
    add_ons = {"ltsp.img": add_on} | ({"nbd.img": inputs.nbd} if inputs.nbd else {})
    for output in outputs(World.of(config.settings, desired, inputs.facts, Paths(), add_ons)):
        found |= {file.path: (file.data, file.mode) for file in output.files}
        found |= {each.path: each.target for each in output.links}
        found[output.name] = (output.unit, output.wanted, output.missing)
    return found


def changed(inputs: Inputs) -> set[str]:
    before, after = files(BASE), files(inputs)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def facts(**fields: object) -> Inputs:
    return replace(BASE, facts=replace(BASE.facts, **fields))  # type: ignore[arg-type]


def conf(text: str) -> Inputs:
    return replace(BASE, conf=BASE.conf + text)


def _links(*links: Link) -> Inputs:
    return facts(links=links)


def _images(*images: Image) -> Inputs:
    return facts(images=(*images, *BASE.facts.images[1:]))


OLD = BASE.facts.links
CASES: dict[str, tuple[Callable[[], Inputs], set[str]]] = {
    "nothing": (lambda: BASE, set()),
    "an account": (lambda: facts(accounts=(ADA, replace(ADA, name="bob", uid=1001))), {IMG, HTTP}),
    "a group": (lambda: facts(groups=(Group("ada", 1000, ()), Group("class", 1001, ("ada",)))), {IMG, HTTP}),
    "a client's setting": (lambda: conf("[clients]\nTIMEZONE=UTC\n"), {IMG, HTTP}),
    "the proxy link's address": (
        lambda: _links(link("eth0", 2, "10.0.4.2/24"), OLD[1]),
        {PROXY, HTTP, EXPORTS, LOGIN},
    ),
    "the server's address in the same network": (
        lambda: _links(link("eth0", 2, "10.0.3.9/24"), OLD[1]),
        {HTTP, LOGIN},
    ),
    "a new link": (
        lambda: _links(*OLD, link("eth2", 4, "10.0.5.2/24")),
        {PROXY, TFTP, HTTP, RADVD, EXPORTS, LOGIN, LISTENER},
    ),
    "IPv6 on a link": (lambda: _links(replace(OLD[0], global_ipv6=True), OLD[1]), {RADVD}),
    "another interface of the same name": (lambda: _links(replace(OLD[0], index=9), OLD[1]), {PROXY}),
    "a MAC address": (lambda: _links(replace(OLD[0], mac="52:54:00:ff:ff:ff"), OLD[1]), set()),
    "a link that isn't served": (
        lambda: _links(*OLD, replace(link("wlan0", 9, "10.9.0.1/24"), kind=LinkKind.WIRELESS)),
        set(),
    ),
    "a name server": (lambda: facts(nameservers=(IPv4Address("9.9.9.9"),)), {DHCP}),
    "the search domain": (lambda: facts(search_domain="school.example"), {IMG, DHCP, HTTP}),
    "the lease": (lambda: conf("DHCP_LEASE=1h\n"), {DHCP}),
    "a new generation": (lambda: _images(Image("a", (FIRST, SECOND), SECOND.id)), {MENU, NBD, HTTP}),
    "a revert": (lambda: _images(Image("a", (FIRST, SECOND), FIRST.id)), {MENU, NBD, HTTP}),
    "an earlier generation": (
        lambda: replace(
            _images(Image("a", (FIRST, SECOND), FIRST.id)), conf=BASE.conf + "MENU_GENERATIONS=0\n"
        ),
        {NBD, HTTP},
    ),
    "an image that isn't built": (
        lambda: facts(images=(*BASE.facts.images, Image("c", (), ""))),
        set(),
    ),
    "a source": (lambda: facts(sources=(Source("c", SourceKind.DIRECTORY, "/srv/ltsp/c"),)), set()),
    "the server's packages": (lambda: facts(packages_digest="00"), set()),
    "the server's name": (lambda: facts(hostname="other"), set()),
    "the kernel's parameters": (lambda: conf("KERNEL_PARAMETERS=quiet\n"), {MENU, HTTP}),
    "the transport": (lambda: conf("ROOT_TRANSPORT=nbd\n"), {MENU, HTTP}),
    "the menu of one client": (lambda: conf("[52:54:00:00:00:01]\nDEFAULT_IMAGE=b\n"), {MENU, IMG, HTTP}),
    "the menu of clients by a glob": (lambda: conf("[pc*]\nDEFAULT_IMAGE=b\n"), {IMG, HTTP}),
    "the HTTP port": (lambda: conf("HTTP_PORT=8080\n"), {MENU, HTTP}),
    "the port of logins": (lambda: conf("LOGIN_PORT=222\n"), {LOGIN}),
    "boot programs": (
        lambda: facts(boot_programs={**BASE.facts.boot_programs, "ipxe.efi": "/boot/ipxe.efi"}),
        {"/srv/tftp/ltsp/ipxe.efi", HTTP, DHCP, PROXY},
    ),
    "a way that was found": (lambda: facts(ways={"52:54:00:00:00:09": BootWay.DRIVERS}), {DHCP, PROXY}),
    "serving": (
        lambda: facts(serving=False),
        {DHCP, PROXY, TFTP, "dhcp", "proxy-dhcp", "tftp", HTTP},
    ),
    "nbd.img": (lambda: replace(BASE, nbd=b"newer"), {NBD_IMG}),
    "no nbd.img": (lambda: replace(BASE, nbd=b""), {NBD_IMG, HTTP}),
    "a secret of the server": (lambda: conf("ADMIN_PASSWORD=hunter2\n"), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_depends_on_it_changes(name: str) -> None:
    make, expected = CASES[name]
    assert changed(make()) == expected


def test_a_change_of_one_image_leaves_the_others_alone() -> None:
    with_new = _images(Image("a", (FIRST, SECOND), SECOND.id))
    text = files(with_new)[MENU]
    assert isinstance(text, tuple)
    assert f":image_a\nset name a\nset generation {SECOND.id}\n".encode() in text[0]
    assert f":image_a@{FIRST.id}\nset name a\nset generation {FIRST.id}\n".encode() in text[0]
    assert generation("b", 5).id.encode() in text[0]


def test_the_order_of_links_and_addresses_does_not_matter_to_services_files() -> None:
    assert changed(_links(OLD[1], OLD[0])) <= {DHCP}
