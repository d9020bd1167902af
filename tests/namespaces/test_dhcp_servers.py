"""Real DHCP servers of Debian's releases with our configuration, whichever program gives the addresses."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab import answers, releases, rooms
from tests.lab.dhcp import ACK, ADDRESS, DISCOVER, LEASE, REQUEST, ROUTER, SERVER, Cable, Machine
from tests.lab.net import ip
from tests.lab.rooms import DNSMASQ, ISC, KEA, NETWORK, Room
from tests.patience import PATIENCE

SERVERS = [
    (DNSMASQ, releases.DEBIAN_12),
    (DNSMASQ, releases.DEBIAN_13),
    (KEA, releases.DEBIAN_12),
    (KEA, releases.DEBIAN_13),
    (ISC, releases.DEBIAN_12),
]
IDS = ["-".join(each) for each in SERVERS]
ROOM = "192.168.67.1/24"
# Host names for which dnsmasq has another meaning.
WORDS = ["3d", "101", "infinite", "ignore"]


@pytest.fixture
def room() -> Iterator[Room]:
    with rooms.room() as made:
        yield made


def conf(server: str, *lines: str) -> str:
    return "\n".join(["[server]", f"DHCP_SERVER={server}", *lines, answers.OWN_WAYS])


def machine(number: int, kind: str = "BIOS", prefix: str = "52:54:00:0d") -> Machine:
    known = answers.KINDS[kind]
    # Those of Raspberry Pi have a prefix of their own.
    prefix = known.mac[:-1] if known.mac.endswith(":") else prefix
    return Machine(known.architecture, known.vendor, known.features, f"{prefix}:00:{number:02x}")


@pytest.mark.parametrize(("server", "release"), SERVERS[2:], ids=IDS[2:])
def test_every_kind_of_machine_gets_an_address_and_its_file(
    room: Room, server: str, release: str, tmp_path: Path
) -> None:
    found = {}
    with rooms.serving(room.server(ROOM), release, tmp_path, conf(server)):
        for number, kind in enumerate(answers.KINDS):
            answer = room.cable.lease(machine(number, kind))
            assert (answer.type, answer.next_server) == (ACK, "192.168.67.1"), kind
            assert answer.address.startswith(NETWORK), kind
            assert answer.addresses(ROUTER) == [], kind
            found[kind] = answers.Told.by(answer)
    assert found == {kind: answers.right(kind, "192.168.67.1") for kind in answers.KINDS}


@pytest.mark.parametrize(("server", "release"), SERVERS[2:], ids=IDS[2:])
def test_every_kind_of_machine_behind_a_relay_gets_the_same(
    room: Room, server: str, release: str, tmp_path: Path
) -> None:
    text = conf(server, "DHCP_RELAYED=10.5.0.0/24=real", 'DHCP_HOST_a="52:54:00:0d:00:7f 10.5.0.9 pc9"')
    netns = room.server(ROOM)
    relay = room.relay(netns, "10.5.0.1", "10.5.0.0/24")
    found, marker = {}, machine(0x70, "Linux")
    with rooms.serving(netns, release, tmp_path, text):
        for number, kind in enumerate(answers.KINDS):
            (offer,) = relay.ask(DISCOVER, machine(number, kind), marker)
            assert offer.address.startswith("10.5.0."), kind
            # Kea has no word for "the relay".
            assert offer.addresses(ROUTER) == ([] if server == KEA else ["10.5.0.1"])
            found[kind] = answers.Told.by(offer)
        (offer,) = relay.ask(DISCOVER, machine(0x7F), marker)
        assert offer.address == "10.5.0.9"
        # Who asks directly is in the link's own network.
        assert room.cable.lease(machine(0x71)).address.startswith(NETWORK)
    assert found == {kind: answers.right(kind, "192.168.67.1") for kind in answers.KINDS}


def test_dhcpd_runs_beside_the_dnsmasq_of_proxied_links(room: Room, tmp_path: Path) -> None:
    netns = room.server(ROOM)
    ip(netns, "link add ext0 type veth peer name far0", "address add 10.0.3.2/24 dev ext0")
    ip(netns, "link set ext0 up", "link set far0 up")
    (tmp_path / "proxy.conf").write_text(answers.rendered(answers.LINKS)["proxy"])
    argv = ["ip", "netns", "exec", netns, "dnsmasq", "--keep-in-foreground", "--pid-file="]
    with (
        rooms.serving(netns, releases.DEBIAN_12, tmp_path, conf(ISC)),
        subprocess.Popen([*argv, f"--conf-file={tmp_path}/proxy.conf"], stderr=subprocess.DEVNULL) as proxy,
    ):
        cable = Cable(netns, "far0")
        try:
            rooms.wait_for_port(proxy, 4011)
            assert cable.first(DISCOVER, machine(1), {}).address == "0.0.0.0"
            assert room.cable.lease(machine(2)).address.startswith(NETWORK)
        finally:
            cable.close()
            proxy.terminate()


# As libvirt 9 and 10 write it for a network, but for where the files lie, and the user.
LIBVIRT = """strict-order
except-interface=lo
bind-dynamic
interface=virbr0
dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0
dhcp-no-override
dhcp-authoritative
dhcp-lease-max=253
port=0
"""


@contextmanager
def virtual(netns: str, folder: Path) -> Iterator[Cable]:
    """Run a network as libvirt's is, and yield the card of a virtual machine there."""
    ip(netns, "link add virbr0 type bridge forward_delay 0 mcast_snooping 0", "link set virbr0 up")
    ip(netns, "address replace 192.168.122.1/24 dev virbr0", "link add vnet0 type veth peer name machine0")
    ip(netns, "link set vnet0 master virbr0 up", "link set machine0 up")
    (folder / "libvirt").write_text(f"{LIBVIRT}dhcp-leasefile={folder}/leases\nuser=root\n")
    with answers.running(f"/run/netns/{netns}", folder / "libvirt"):
        cable = Cable(netns, "machine0")
        try:
            yield cable
        finally:
            cable.close()


@pytest.mark.parametrize("first", ["libvirt", "ours"])
@pytest.mark.parametrize(("server", "release"), [*SERVERS[:2], SERVERS[4]], ids=[*IDS[:2], IDS[4]])
def test_beside_libvirt_each_answers_its_own_machines(
    room: Room, server: str, release: str, first: str, tmp_path: Path
) -> None:
    netns = room.server(ROOM)
    with ExitStack() as running:

        def ours() -> None:
            running.enter_context(rooms.serving(netns, release, tmp_path, conf(server)))

        if first == "ours":
            ours()
        theirs = running.enter_context(virtual(netns, tmp_path))
        if first == "libvirt":
            ours()
        for cable, link, network in ((room.cable, rooms.LINK, NETWORK), (theirs, "virbr0", "192.168.122.")):
            given = cable.lease(machine(1))
            assert given.address.startswith(network)
            assert given.file == ("ltsp/undionly.kpxe" if cable is room.cable else "")
            # What is not broadcast comes to the right one, too.
            ip(netns, f"neighbour replace {given.address} lladdr {machine(1).mac} dev {link}")
            assert cable.renew(machine(1), given.address).server == given.server


@pytest.mark.parametrize("release", [releases.DEBIAN_12, releases.DEBIAN_13])
def test_kea_shares_its_port_with_nobody_and_ends(room: Room, release: str, tmp_path: Path) -> None:
    netns = room.server(ROOM)
    with virtual(netns, tmp_path), rooms.serving(netns, release, tmp_path, conf(KEA)) as process:
        assert process.wait(PATIENCE) == 1
        assert "is another DHCP server running?" in (tmp_path / "log").read_text()
    # So the sentence about who has the port says what else there is.
    assert rooms.output(conf(KEA)).port_setting == "DHCP_SERVER"


@pytest.mark.parametrize(("server", "release"), SERVERS, ids=IDS)
def test_a_machine_is_given_its_own_address_and_name(
    room: Room, server: str, release: str, tmp_path: Path
) -> None:
    text = conf(
        server,
        'DHCP_HOST_one="52:54:00:0d:00:01 192.168.67.30 pc1"',
        'DHCP_HOST_outside="52:54:00:0d:00:02 192.168.67.5"',
        "DHCP_HOST_name=52:54:00:0d:00:03,pc3",
        "[52:54:00:0d:00:04]",
        "DHCP_ADDRESS=192.168.67.20",
        "HOSTNAME=pc4",
        *(f"[52:54:00:0d:00:{place:02}]\nHOSTNAME={name}" for place, name in enumerate(WORDS, 10)),
    )
    with rooms.serving(room.server(ROOM), release, tmp_path, text):
        # Whoever comes first is not given what is another one's.
        others = [room.cable.lease(machine(number)).address for number in range(0x20, 0x34)]
        first, outside, named, section = (room.cable.lease(machine(number)) for number in (1, 2, 3, 4))
        words = [room.cable.lease(machine(0x10 + place)) for place in range(len(WORDS))]
    assert [first.address, outside.address, section.address] == [
        "192.168.67.30",
        "192.168.67.5",
        "192.168.67.20",
    ]
    assert [each.options[12] for each in (first, named, section)] == [b"pc1", b"pc3", b"pc4"]
    assert [each.options[12].decode() for each in words] == WORDS
    assert len({each.options[LEASE] for each in (first, *words)}) == 1
    assert not {first.address, outside.address, section.address, "192.168.67.1"} & set(others)
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(("server", "release"), SERVERS[1:], ids=IDS[1:])
def test_two_cards_in_one_network_and_two_relays(
    room: Room, server: str, release: str, tmp_path: Path
) -> None:
    text = conf(
        server,
        'DHCP_RELAYED="10.5.0.0/24=real 10.6.0.0/24=real"',
        "DHCP_HOST_name=52:54:00:0d:00:03,pc3",
    )
    netns = room.server(ROOM)
    ip(
        netns,
        f"link add lan1 type veth peer name lan1 netns {room.name}-far",
        "address add 192.168.67.2/24 dev lan1",
    )
    ip(netns, "link set lan1 up")
    ip(f"{room.name}-far", "link set lan1 up")
    (file,) = rooms.output(text, ROOM, ("lan1", "192.168.67.2/24")).files
    other = Cable(f"{room.name}-far", "lan1")
    try:
        with rooms.serving(netns, release, tmp_path, text, data=file.data):
            found = [
                cable.lease(machine(number)) for number, cable in ((3, other), (4, room.cable), (5, other))
            ]
            relayed = [
                room.relay(netns, f"10.{number}.0.1", f"10.{number}.0.0/24").ask(
                    DISCOVER, machine(0x20 + number, "UEFI by HTTP"), machine(0x30 + number)
                )[-1]
                for number in (5, 6)
            ]
    finally:
        other.close()
    assert all(each.address.startswith(NETWORK) for each in found)
    assert len({each.address for each in found}) == 3
    assert found[0].options[12] == b"pc3"
    assert [each.address.rpartition(".")[0] for each in relayed] == ["10.5.0", "10.6.0"]
    assert {each.file for each in relayed} == {"http://192.168.67.1/ltsp/snponly.efi"}


@pytest.mark.parametrize(("server", "release"), SERVERS, ids=IDS)
def test_who_is_denied_gets_no_answer_at_all(room: Room, server: str, release: str, tmp_path: Path) -> None:
    text = conf(server, 'DHCP_DENY="52:54:00:0d:00:07 52:54:11:*"')
    with rooms.serving(room.server(ROOM), release, tmp_path, text):
        for denied in (machine(7), machine(1, prefix="52:54:11:00")):
            assert silent(room, denied)


@pytest.mark.parametrize(("server", "release"), SERVERS, ids=IDS)
def test_only_who_is_allowed_gets_an_answer(room: Room, server: str, release: str, tmp_path: Path) -> None:
    text = conf(server, 'DHCP_ALLOW="52:54:00:*"', "DHCP_DENY=52:54:00:0d:00:07")
    with rooms.serving(room.server(ROOM), release, tmp_path, text):
        for denied in (machine(7), machine(1, prefix="52:54:11:00"), machine(1, "Linux", "02:00:00:00")):
            assert silent(room, denied)


def silent(room: Room, denied: Machine) -> bool:
    """Return whether a machine gets no answer, whatever it asks for; another machine gets its own."""
    ours = [
        room.cable.send(DISCOVER, denied),
        room.cable.send(REQUEST, denied, {ADDRESS: bytes((192, 168, 67, 99))}),
        room.cable.send(REQUEST, denied, {ADDRESS: bytes((10, 9, 8, 7))}),
        room.cable.send(
            REQUEST, denied, {ADDRESS: bytes((192, 168, 67, 99)), SERVER: bytes((192, 168, 67, 1))}
        ),
    ]
    last = room.cable.send(DISCOVER, machine(0x70))
    return not {of for of, _ in room.cable.heard(last)} & set(ours)


@pytest.mark.parametrize(("server", "release"), SERVERS, ids=IDS)
def test_a_cable_that_was_out_is_no_reason_to_start_anew(
    room: Room, server: str, release: str, tmp_path: Path
) -> None:
    netns = room.server(ROOM)
    with rooms.serving(netns, release, tmp_path, conf(server)) as process:
        address = room.cable.lease(machine(1)).address
        ip(netns, f"link set {rooms.LINK} down", f"link set {rooms.LINK} up")
        assert room.cable.lease_at_last(machine(1)).address == address
        assert process.poll() is None


def test_two_servers_in_a_room_answer_each_its_own_machines(room: Room, tmp_path: Path) -> None:
    """They are of different programs, and each gives addresses that the other one never gives."""
    mine, theirs = "52:54:00:0d:00:01", "52:54:11:00:00:01"
    one = conf(KEA, "DHCP_ALLOW=52:54:00:*", "DHCP_LINKS=lan0=real:192.168.67.20-192.168.67.99")
    two = conf(DNSMASQ, "DHCP_DENY=52:54:00:*", "DHCP_LINKS=lan0=real:192.168.67.100-192.168.67.199")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        rooms.serving(room.server(ROOM), releases.DEBIAN_13, tmp_path / "one", one),
        rooms.serving(
            room.server("192.168.67.2/24"), releases.DEBIAN_12, tmp_path / "two", two, "192.168.67.2/24"
        ),
    ):
        for mac, server in ((mine, "192.168.67.1"), (theirs, "192.168.67.2")):
            answer = room.cable.lease(Machine(0, mac=mac))
            assert answer.server == answer.next_server == server
            # The other one has nothing to say to it, which is clear once both have answered others.
            ours = room.cable.send(DISCOVER, Machine(0, mac=mac))
            later = {
                room.cable.send(DISCOVER, machine(0x60, prefix=each))
                for each in ("52:54:00:0d", "52:54:11:00")
            }
            heard: list[int] = []
            while not later <= set(heard):
                heard.append(room.cable.next()[0])
            assert heard.count(ours) == 1


@pytest.mark.parametrize(("before", "after"), [(DNSMASQ, KEA), (KEA, ISC), (ISC, DNSMASQ), (ISC, KEA)])
def test_another_server_gives_nobody_an_address_that_somebody_has(
    room: Room, before: str, after: str, tmp_path: Path
) -> None:
    netns = room.server(ROOM)
    # There are five addresses in all, so that any mistake is seen.
    links = "DHCP_LINKS=lan0=real:192.168.67.20-192.168.67.24"
    running = [machine(1), machine(2), machine(3)]
    with rooms.serving(netns, releases.DEBIAN_12, tmp_path, conf(before, links)):
        had = [room.cable.lease(each).address for each in running]
    with rooms.serving(netns, releases.DEBIAN_12, tmp_path, conf(after, links)):
        new = [room.cable.lease(machine(number)).address for number in (0x11, 0x12)]
        assert not set(new) & set(had)
        # A client that runs renews what it has, and a machine that starts anew gets what it had.
        for each, address in zip(running, had, strict=True):
            # A machine that runs answers ARP; a raw socket does not.
            ip(netns, f"neighbour replace {address} lladdr {each.mac} dev {rooms.LINK}")
            renewed = room.cable.renew(each, address)
            assert (renewed.type, renewed.address) == (ACK, address)
            assert room.cable.lease(each).address == address
