"""Machines boot with the drivers of their own card alone, and whatever card they get, they boot again.

The image has Debian's general kernel, which has drivers of all cards that QEMU has.
"""

from collections.abc import Iterator

import pytest

from ltspd.initrd import cards
from tests.lab import product
from tests.lab.client import Firmware, power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session
from tests.lab.timeline import table
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f7:01"
HOME = "/srv/ltsp/images/general/generations"
LACKING = "this machine's card is not in its slim initrd"


@pytest.fixture(scope="module")
def school() -> Iterator[Server]:
    """Boot a server with an image of the general kernel."""
    with open_session() as session:
        server = start_server(session, make_lan(session, external=True), sources={"general": "classroom"})
        product.wait_until_up(server)
        product.configure(server, {"clients": {**product.BASE["clients"], "DEFAULT_IMAGE": "general"}})
        product.build(server, "general")
        yield server
        name = session.name
    assert leftovers(name) == []


def boot(
    server: Server, card: str, mac: str = MAC, firmware: Firmware = "bios", extra: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Boot a machine until its root is mounted; return how many tries that took, and what it was given."""
    for attempt in (1, 2):
        name = f"{firmware}-{card}-{mac[-2:]}-{attempt}"
        client = power_on(server.session, server.lan, firmware, mac=mac, card=card, name=name, extra=extra)
        try:
            seen = client.expect(rf"root mounted|{LACKING}|can't boot: [^\n]*")
            if seen.text == "root mounted":
                product.wait_for_stage(server, mac, "root")
                print(f"\n{table({f'{firmware} {card}': client.timeline()})}")
                return attempt, str(product.client(server, mac)["Initrd"])
            assert seen.text == LACKING
        finally:
            client.off()
    raise AssertionError(f"{card} did not boot at its second try")


def test_a_machine_boots_with_what_its_card_needs_and_with_every_other_card(school: Server) -> None:
    driver = {"virtio-net-pci": "virtio_net", "e1000e": "e1000e", "rtl8139": "8139cp 8139too"}
    for card in (*driver, "virtio-net-pci"):
        tries, given = boot(school, card)
        print(card, tries, given)
        assert given.startswith(f"only {driver[card]}: its card is ")
        assert given.endswith(", as its boot program says.")
        # The menu tells the card, so not even one retry is needed.
        assert tries == 1
        assert product.client(school, MAC)["Card"].startswith(("pci:v", "virtio:d00000001v"))
    page = school.run("curl -sSf http://127.0.0.1:10819/metrics")
    assert 'ltspd_initrds_total{kind="slim"} 4' in page
    journal = school.run("journalctl --no-pager -o cat -t ltspd-gateway | grep 'of the drivers'")
    print(journal)


def test_who_wants_no_slim_initrd_gets_none(school: Server) -> None:
    mac = "52:54:00:67:f7:02"
    with product.configured(school, {mac: {"SLIM_INITRD": "0"}}):
        assert boot(school, "e1000e", mac) == (1, "")


def test_a_uefi_machine_boots_with_what_its_card_needs(school: Server) -> None:
    tries, given = boot(school, "virtio-net-pci", "52:54:00:67:f7:03", "uefi")
    print(tries, given)
    assert tries == 1
    # What its boot program does not tell, it reports itself.
    assert boot(school, "virtio-net-pci", "52:54:00:67:f7:03", "uefi")[1].startswith("only virtio_net: ")


def test_a_machine_whose_card_is_not_in_its_slim_initrd_says_so_and_reboots(school: Server) -> None:
    """It is given the drivers of virtio, as by a boot program that errs; its card is another one."""
    home = school.path(school.run(f"ls -d {HOME}/*").strip())
    whole = (home / "initrd.img").read_bytes()
    index = cards.read_index(whole)
    assert index is not None
    slim = b"".join(whole[at : at + size] for at, size in index.ranges(["virtio_net"], len(whole)))
    initrd = school.session.directory / "slim.img"
    add_on = school.path("/srv/tftp/ltsp/ltsp.img").read_bytes()
    initrd.write_bytes(add_on + slim + cards.marker(["virtio_net"]))
    print(f"whole {len(whole)} bytes, slim {len(slim)}")
    words = f"{product.CONSOLE} ltsp.root=nfs ltsp.server=192.168.67.1 BOOTIF=01-52-54-00-67-f7-04"
    extra = ("-kernel", str(home / "vmlinuz"), "-initrd", str(initrd), "-append", words)
    client = power_on(
        school.session, school.lan, mac="52:54:00:67:f7:04", card="e1000e", name="lacking", extra=extra
    )
    try:
        told = rf"{LACKING} \(virtio_net\); rebooting for the full one. Cards: 8086:10d3\(no driver\)"
        seen = client.expect(rf"init started \[([0-9.]+) s\](?s:.*){told} \[([0-9.]+) s\]")
        began, ended = (float(each or "") for each in seen.groups)
        seconds = ended - began
        print(f"it took {seconds:.1f} s")
        assert seconds < 20
        # QEMU ends with a reboot.
        assert client._process is not None
        client._process.wait(PATIENCE)
    finally:
        client.off()
