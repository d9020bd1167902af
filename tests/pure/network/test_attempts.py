"""Boots that fail, as packets tell it, and the boot program that a machine gets then."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ltspd.clients import known, seen
from ltspd.clients.seen import SECOND
from ltspd.listener.book import Book
from ltspd.listener.packets import ACK, DISCOVER, OFFER, Fetch, Message
from ltspd.model.client import Attempts, ClientState
from ltspd.model.facts import Facts
from ltspd.model.menu import BootWay, Menu
from ltspd.network import attempts
from ltspd.network.attempts import MOVED_MOST, Server
from ltspd.network.firmware import NEEDS, PI_MACS, boots, choices
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import conf, decide

MAC, US, OTHER = "52:54:00:00:00:01", "10.0.0.1", "10.0.0.9"
PROGRAMS = {"undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi", *frozenset().union(*NEEDS.values())}
ALL = dict.fromkeys(PROGRAMS, "/usr/lib/x")


class Room:
    """One machine, what the listener and the daemon know of it, and the server's mind."""

    def __init__(self, text: str = "", number: int = 7, mac: str = MAC, tries: int = 3) -> None:
        self.mac, self.number = mac, number
        self.now = 1_700_000_000 * SECOND
        self._book = Book(self.now)
        self._clients: Mapping[str, ClientState] = {}
        self.records: attempts.Records = {}
        self.server = Server(menu(text), {"lan0"}, {US}, PROGRAMS, tries)

    def _message(self, kind: int, **values: Any) -> None:
        self.now += SECOND
        message = Message(kind, "given" in values, self.mac, US, US, architecture=self.number, **values)
        self._book.take(message, "lan0", self.mac, message.answer, self.now)
        self._tell()

    def _tell(self) -> None:
        reports = [
            {key: value for key, (_, value) in seen.dump(seen.MACHINE, each).items()}
            for each in self._book.batch(100)
        ]
        before = self._clients
        self._clients, refused = seen.merge(before, reports, self.now)
        assert refused == 0
        self.records = attempts.heard(self.records, before, self._clients, self.server)

    def ask(self, vendor: str = "PXEClient", *, ipxe: bool = False, file: str = "") -> None:
        """Ask for an address, and get one with the file."""
        self._message(DISCOVER, vendor=vendor, ipxe=ipxe)
        if file:
            self._message(OFFER, vendor=vendor, server=US, given="10.0.0.20", file=file)
            self._message(ACK, vendor=vendor, server=US, given="10.0.0.20", file=file)

    def fetch(self, *files: str, server: str = US) -> None:
        for file in files:
            self.now += SECOND
            self._book.take(Fetch("10.0.0.20", server, file), "lan0", self.mac, False, self.now)
            self._tell()

    def fail(self, file: str = "ltsp/snponly.efi", times: int = 1) -> None:
        """Boot a program that does not run."""
        for _ in range(times):
            self.ask(file=file)
            self.fetch(file)

    def report(self, stage: str = "network") -> None:
        self.now += SECOND
        report = {"Mac": self.mac, "Stage": stage, "LastSeen": self.now}
        self._clients, _ = known.merge(self._clients, [report], {}, self.now)
        self.records = attempts.reported(self.records, self._clients.values(), self.server)

    @property
    def record(self) -> Attempts:
        return self.records.get(self.mac, Attempts())


def menu(text: str = "") -> Menu:
    return decide(text).menu


def test_after_three_boots_that_fail_the_next_program_is_tried_and_after_the_last_the_first() -> None:
    room, ways = Room(), []
    for _ in range(10):
        room.fail()
        ways.append(room.record.way)
    # A boot is known to have failed when the machine asks again.
    assert [str(each) for each in ways] == ["auto"] * 3 + ["shim"] * 3 + ["drivers"] * 3 + ["auto"]
    assert room.record.failed == 0
    room.ask()
    assert room.record.failed == 1


def test_firmware_that_repeats_its_question_has_failed_once() -> None:
    room = Room()
    room.fail()
    for _ in range(4):
        room.ask()
    assert room.record.failed == 1


@pytest.mark.parametrize(
    "files",
    [
        ("ltsp/undionly.kpxe", "ltsp/ltsp.ipxe"),
        ("ltsp/shimx64.efi", "ltsp/grubx64.efi", "/grub/x86_64-efi/command.lst", "/grub/grub.cfg"),
        ("ltsp/pxelinux.0", "ltsp/ldlinux.c32", "ltsp/pxelinux.cfg/default", "ltsp/menu.c32"),
        ("ltsp/pxelinux.0", "ltsp/pxelinux.cfg/01-52-54-00-00-00-01"),
        ("ltsp/pxelinux.0", "ltsp/pxelinux.cfg/default", "ltsp/memtest.bin"),
    ],
)
def test_who_gets_the_menu_has_a_program_that_works_whatever_is_chosen_there(files: tuple[str, ...]) -> None:
    room = Room()
    for _ in range(5):
        room.ask(file=files[0])
        room.fetch(files[0])
        room.ask(ipxe=True, file="ltsp/ltsp.ipxe")
        room.fetch(*files[1:])
    assert room.records == {}


def test_a_kernel_that_came_by_tftp_and_never_reported_is_a_failure() -> None:
    room = Room(number=0)
    for _ in range(4):
        room.fail("ltsp/undionly.kpxe")
        room.ask(ipxe=True, file="ltsp/ltsp.ipxe")
        room.fetch("ltsp/ltsp.ipxe", "ltsp/images/a/generations/g/vmlinuz", "ltsp/ltsp.img")
    assert room.record.way is BootWay.DRIVERS


def test_a_program_by_http_that_does_not_run_is_a_failure() -> None:
    room = Room(number=16)
    for _ in range(4):
        room.ask("HTTPClient", file=f"http://{US}/ltsp/snponly.efi")
    assert room.record.way is BootWay.SHIM


def test_a_machine_that_fetched_nothing_from_here_has_not_failed() -> None:
    room = Room()
    for _ in range(5):
        room.ask()
        room.ask(file="ltsp/snponly.efi")
    assert room.records == {}
    for _ in range(5):
        room.ask(file="ltsp/snponly.efi")
        room.fetch("other/pxelinux.0", server=OTHER)
    assert room.records == {}


def test_where_somebody_else_says_what_to_boot_nothing_changes() -> None:
    room = Room()
    room.server = replace(room.server, links={"lan1"})
    room.fail(times=5)
    assert room.records == {}


def test_what_has_worked_stays_however_often_it_fails_later() -> None:
    room = Room()
    room.fail(times=4)
    assert room.record.way is BootWay.SHIM
    room.ask(file="ltsp/shimx64.efi")
    room.fetch("ltsp/shimx64.efi", "ltsp/grubx64.efi", "/grub/grub.cfg")
    room.report()
    assert room.record == Attempts(BootWay.SHIM, 0, worked=True)
    room.report("login")
    room.fail("ltsp/shimx64.efi", times=8)
    assert room.record == Attempts(BootWay.SHIM, 7, worked=True)
    room.report()
    assert room.record == Attempts(BootWay.SHIM, 0, worked=True)


def test_a_machine_that_came_up_by_its_former_program_after_all_keeps_that() -> None:
    room = Room()
    room.fail(times=4)
    assert room.record.way is BootWay.SHIM
    room.report()
    assert room.record == Attempts(BootWay.AUTO, 0, worked=True)


def test_the_program_of_a_machine_that_fetched_much_since_is_the_one_that_was_found() -> None:
    room = Room()
    room.fail(times=4)
    room.ask(file="ltsp/shimx64.efi")
    room.fetch("ltsp/shimx64.efi", *(f"/grub/x86_64-efi/{each}.lst" for each in range(20)))
    room.report()
    assert room.record == Attempts(BootWay.SHIM, 0, worked=True)


@pytest.mark.parametrize(
    ("text", "tries", "moved"),
    [
        ("", 1, True),
        ("", 0, False),
        ("[52:54:00:*]\nBOOT_WAY=ipxe\n", 1, False),
        ("[clients]\nBOOT_WAY=shim\n", 1, False),
        ("[clients]\nBOOT_WAY=shim\n[52:54:00:*]\nBOOT_WAY=auto\n", 1, True),
    ],
)
def test_only_machines_without_a_way_by_ltsp_conf_are_moved(text: str, tries: int, moved: bool) -> None:
    room = Room(text, tries=tries)
    room.fail(times=2)
    assert (room.record.way is BootWay.SHIM) is moved
    room.report()
    assert bool(room.records) is (moved or not text)


def test_few_machines_are_moved_whoever_makes_them_up() -> None:
    others = {f"52:54:00:00:01:{each:02x}": Attempts(BootWay.SHIM) for each in range(MOVED_MOST)}
    room = Room(tries=1)
    room.records = others
    room.fail(times=5)
    assert room.record == Attempts(BootWay.AUTO, 4)


def test_each_firmware_has_its_own_programs() -> None:
    def of(number: int, *programs: str, mac: str = MAC) -> dict[str, str]:
        return {str(way): name for way, name in choices(programs or PROGRAMS, number, mac).items()}

    efi = {"auto": "snponly.efi", "shim": "shimx64.efi", "drivers": "ipxe.efi"}
    assert of(7) == of(9) == of(16) == efi
    assert of(0) == {"auto": "undionly.kpxe", "drivers": "ipxe.pxe", "pxelinux": "pxelinux.0"}
    assert of(0, "ipxe.pxe", "pxelinux.0") == {"auto": "ipxe.pxe"}
    assert of(7, "snponly.efi", "shimx64.efi") == {"auto": "snponly.efi"}
    assert of(27) == of(-1) == of(0, mac=f"{PI_MACS[0]}00:00:01") == {}


def test_what_was_found_is_what_the_machine_is_told() -> None:
    facts = Facts(ways={MAC: BootWay.DRIVERS, "52:54:00:00:00:02": BootWay.SHIM}, boot_programs=ALL)

    def told(mac: str, number: int, text: str = "") -> str:
        found = boots(PROGRAMS, plan(conf(text), facts, Paths()).menu)
        fits = (each for each in found if not each.macs or mac.startswith(each.macs))
        return next(each.file for each in fits if number in each.numbers)

    assert [told(MAC, number) for number in (0, 7, 16)] == ["ipxe.pxe", "ipxe.efi", "ipxe.efi"]
    assert [told("52:54:00:00:00:02", number) for number in (0, 7)] == ["undionly.kpxe", "shimx64.efi"]
    assert told("52:54:00:00:00:03", 7) == "snponly.efi"
    # What ltsp.conf says counts.
    assert told(MAC, 7, f"[{MAC}]\nBOOT_WAY=shim\n") == "shimx64.efi"
    assert told("52:54:00:00:00:03", 0, "[clients]\nBOOT_WAY=drivers\n") == "ipxe.pxe"


def test_what_was_found_outlives_a_restart_and_counts_do_not() -> None:
    records = {MAC: Attempts(BootWay.SHIM, 2), OTHER_MAC: Attempts(failed=2), LAST: Attempts(worked=True)}
    kept = {MAC: Attempts(BootWay.SHIM), LAST: Attempts(worked=True)}
    assert attempts.load(attempts.dump(records)) == kept
    assert attempts.dump(kept) == attempts.dump(records)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machines": {"52:54:00:00:00:01": {"way": "x"}}}'])
def test_a_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        attempts.load(text.encode())


OTHER_MAC, LAST = "52:54:00:00:00:02", "52:54:00:00:00:03"
