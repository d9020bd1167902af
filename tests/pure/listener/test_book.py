"""What the listener keeps of machines and servers: each step once, bounded, in words the daemon takes."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients import seen
from ltspd.clients.seen import FRESH, SECOND, STEPS_MOST
from ltspd.listener.book import MISSED, MOST, QUIET, SERVER_RATE, SERVERS_MOST, Book
from ltspd.listener.packets import ACK, DISCOVER, NAK, OFFER, REQUEST, Fetch, Message
from ltspd.model.client import Seen, Word

NOW = 1_700_000_000 * SECOND
MAC, OURS, RIVAL = "52:54:00:00:00:01", "192.168.67.1", "192.168.67.9"
FIRMWARE = Message(DISCOVER, False, MAC, "0.0.0.0", "255.255.255.255", architecture=7, vendor="PXEClient")
IPXE = replace(FIRMWARE, ipxe=True)
PLAIN = replace(FIRMWARE, vendor="", architecture=-1)
CHOICE = replace(FIRMWARE, kind=REQUEST, server=OURS, wanted="192.168.67.20")
PROGRAM, MENU = "ltsp/snponly.efi", "ltsp/ltsp.ipxe"
GIVEN = Message(
    OFFER, True, MAC, OURS, "192.168.67.20", server=OURS, given="192.168.67.20", file=PROGRAM, lease=3600
)
LEASED = replace(GIVEN, kind=ACK)
THEIRS = replace(GIVEN, sender=RIVAL, server=RIVAL, given="192.168.67.99", file="")
FETCHED = Fetch("192.168.67.20", OURS, PROGRAM)


class Wire:
    """A link on which a second passes with each packet."""

    def __init__(self) -> None:
        self.now = NOW
        self.book = Book(NOW)

    def sees(self, *packets: Message | Fetch, own: bool = True, mac: str = MAC, link: str = "lan0") -> None:
        for each in packets:
            self.now += SECOND
            self.book.take(each, link, mac, own, self.now)

    def machine(self) -> Seen:
        found = {each.mac: each for each in self.book.batch(MOST)}
        return found[MAC]

    def words(self) -> list[str]:
        return [each.word for each in self.machine().steps]


def test_a_boot_from_its_first_packet() -> None:
    wire = Wire()
    stages = []
    for each in (FIRMWARE, GIVEN, CHOICE, LEASED, FETCHED):
        wire.sees(each)
        stages.append(wire.machine().stage)
        wire.book.all_untold()
    assert stages == ["discover", "offer", "offer", "lease", "tftp"]
    wire.sees(IPXE, GIVEN, CHOICE, replace(LEASED, file=MENU))
    found = wire.machine()
    # iPXE was started by the firmware: the boot goes on.
    assert (found.stage, found.server, found.file, found.lease) == ("tftp", OURS, MENU, "192.168.67.20")
    assert (found.link, found.architecture, found.expires) == ("lan0", 7, wire.now + 3600 * SECOND)
    words = [each.word for each in found.steps]
    assert words == ["discover", "offer", "request", "lease", "fetch", "discover", "lease"]
    assert [each.times for each in found.steps] == [1, 2, 2, 1, 1, 1, 1]
    # The next boot begins at the beginning.
    wire.sees(FIRMWARE)
    assert wire.machine().stage == "discover"


def test_steps_that_are_repeated_are_counted() -> None:
    wire = Wire()
    wire.sees(*[FIRMWARE] * 4)
    (step,) = wire.machine().steps
    assert (step.times, step.last - step.at) == (4, 3 * SECOND)
    wire.sees(*(Fetch("192.168.67.20", OURS, f"ltsp/{each}") for each in range(100)))
    assert len(wire.machine().steps) == STEPS_MOST


def test_port_4011_and_a_refusal_are_steps() -> None:
    wire = Wire()
    ask = replace(CHOICE, boot_server=True, receiver=OURS, server="", wanted="10.0.3.77")
    told = replace(LEASED, boot_server=True, given="", file=PROGRAM)
    wire.sees(FIRMWARE, replace(GIVEN, given="", file=""), ask, told, replace(GIVEN, kind=NAK, given=""))
    found = wire.machine()
    assert [each.word for each in found.steps] == ["discover", "offer", "ask", "boot", "refused"]
    assert (found.stage, found.file, found.lease) == ("offer", PROGRAM, "")


def test_who_boots_from_a_disk_is_no_client() -> None:
    wire = Wire()
    wire.sees(PLAIN, replace(CHOICE, vendor=""), LEASED)
    assert len(wire.book) == 0
    assert not wire.book.news


def test_the_running_system_renews_its_lease_and_is_not_booting() -> None:
    wire = Wire()
    wire.sees(FIRMWARE, GIVEN, CHOICE, LEASED, FETCHED)
    at = wire.machine().at
    wire.sees(replace(CHOICE, vendor=""), replace(LEASED, lease=7200, given="192.168.67.30"))
    found = wire.machine()
    assert (found.stage, found.at, found.lease) == ("tftp", at, "192.168.67.30")
    assert found.expires == wire.now + 7200 * SECOND


def test_a_rival_is_known_by_its_answer_or_by_who_chose_it() -> None:
    wire = Wire()
    wire.sees(FIRMWARE, GIVEN)
    assert wire.book.servers(wire.now) == []
    wire.sees(THEIRS, own=False, mac="02:00:00:00:00:09")
    (rival,) = wire.book.servers(wire.now)
    assert (rival.address, rival.mac, rival.gives, rival.boots) == (RIVAL, "02:00:00:00:00:09", True, False)
    wire.sees(replace(PLAIN, kind=REQUEST, server="10.9.9.9"), link="lan1")
    assert [each.address for each in wire.book.servers(wire.now)] == [RIVAL, "10.9.9.9"]
    # Its answers again are no news.
    wire.book.servers_changed = False
    wire.sees(THEIRS, own=False, mac="02:00:00:00:00:09")
    assert not wire.book.servers_changed


def test_a_rival_that_does_not_answer_any_more_is_forgotten() -> None:
    wire = Wire()
    wire.sees(FIRMWARE, GIVEN)
    wire.sees(THEIRS, own=False, mac="02:00:00:00:00:09")
    wire.book.servers_changed = False
    wire.now += QUIET
    wire.sees(*[FIRMWARE] * MISSED)
    assert len(wire.book.servers(wire.now)) == 1
    wire.sees(FIRMWARE)
    assert wire.book.servers(wire.now) == []
    assert wire.book.servers_changed
    wire.sees(THEIRS, own=False, mac="02:00:00:00:00:09")
    assert wire.book.servers(wire.now + FRESH) == []


def test_who_makes_servers_up_is_told_of_slowly_and_hides_no_real_one() -> None:
    wire = Wire()
    wire.sees(THEIRS, own=False, mac="02:00:00:00:00:09")
    told = 0
    # By another address, or by another file of one address.
    for number in range(20_000):
        made = replace(THEIRS, server=f"10.{number >> 8 & 127}.{number & 255}.1", file=f"f{number}")
        wire.now += SECOND // 1000
        wire.book.take(made, "lan0", "02:00:00:00:00:0a", False, wire.now)
        told += wire.book.servers_changed
        wire.book.servers_changed = False
    assert told <= SERVERS_MOST + 20 * SERVER_RATE
    assert RIVAL in {each.address for each in wire.book.servers(wire.now)}


def test_made_up_machines_and_servers_are_bounded() -> None:
    wire = Wire()
    wire.sees(FIRMWARE)
    for number in range(10_000):
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        wire.book.take(replace(FIRMWARE, mac=mac), "lan0", mac, False, wire.now)
        server = replace(THEIRS, server=f"10.{number >> 8}.{number & 255}.1")
        wire.book.take(server, "lan0", mac, False, wire.now)
    assert len(wire.book) <= MOST
    assert len(wire.book.servers(wire.now)) <= SERVERS_MOST
    told = 0
    while batch := wire.book.batch(100):
        told += len(batch)
    assert told <= MOST


packets = st.builds(
    Message,
    kind=st.integers(0, 9),
    answer=st.booleans(),
    mac=st.sampled_from((MAC, "52:54:00:00:00:02", "00:00:00:00:00:00")),
    sender=st.sampled_from((OURS, "0.0.0.0", "224.0.0.1")),
    receiver=st.sampled_from((OURS, "255.255.255.255")),
    boot_server=st.booleans(),
    architecture=st.integers(-1, 0xFFFF),
    vendor=st.sampled_from(("", "PXEClient", "HTTPClient")),
    ipxe=st.booleans(),
    server=st.sampled_from(("", OURS, RIVAL, "224.0.0.1", "255.255.255.255")),
    wanted=st.sampled_from(("", "192.168.67.20")),
    given=st.sampled_from(("", "192.168.67.20", "255.255.255.255")),
    file=st.sampled_from(("", PROGRAM, "?", "x" * 128)),
    lease=st.integers(0, (1 << 32) - 1),
)


@given(st.lists(st.tuples(packets, st.booleans()), max_size=40))
def test_the_daemon_takes_all_that_is_told(heard: list[tuple[Message, bool]]) -> None:
    wire = Wire()
    for each, own in heard:
        wire.sees(each, own=own, mac="02:00:00:00:00:09")
    for machine in wire.book.batch(MOST):
        told = {key: value for key, (_, value) in seen.dump(seen.MACHINE, machine).items()}
        assert seen.machine(told, wire.now) == machine
    for server in wire.book.servers(wire.now):
        told = {key: value for key, (_, value) in seen.dump(seen.SERVER, server).items()}
        assert seen.server(told, wire.now) == server


def test_every_word_can_be_told() -> None:
    assert all(str(each).isalpha() and len(each) <= 16 for each in itertools.chain(Word))
