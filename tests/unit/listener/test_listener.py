"""The real listener beside real dnsmasq and daemon: what it hears is on the bus, and costs little."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ltspd.listener.book import MOST
from ltspd.names import interface
from tests import REPOSITORY
from tests.lab.dhcp import ADDRESS, DISCOVER, FULL, REQUEST, SERVER, Cable, Machine
from tests.lab.session import end
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.daemon import NEEDS_ROOT, World, idle, open_world

pytestmark = [
    NEEDS_ROOT,
    pytest.mark.skipif(not Path("/usr/sbin/dnsmasq").exists(), reason="needs dnsmasq (dnsmasq-base)"),
]

UEFI, IPXE = Machine(7, mac="52:54:00:0e:00:01"), Machine(7, features=FULL, mac="52:54:00:0e:00:01")
RIVAL = "192.168.67.9"


class Room:
    """The daemon's network with a switch, the listener, our dnsmasq, and places for other machines."""

    def __init__(self, world: World, daemon: int, undo: ExitStack) -> None:
        self.world, self._undo = world, undo
        self._net = f"--net=/proc/{daemon}/ns/net"
        self.other = f"listener-{secrets.token_hex(4)}"
        subprocess.run(["ip", "netns", "add", self.other], check=True)
        undo.callback(subprocess.run, ["ip", "netns", "delete", self.other], check=False)
        for line in (
            "link add sw0 type bridge", "link set far0 master sw0", "link set sw0 up",
            f"link add p1 type veth peer name card0 netns {self.other}",
            f"link add p2 type veth peer name rival0 netns {self.other}",
            *(f"link set {each} master sw0 up" for each in ("p1", "p2")),
        ):  # fmt: skip
            self._here("ip", *line.split())
        for line in ("link set card0 up", f"address add {RIVAL}/24 dev rival0", "link set rival0 up"):
            subprocess.run(["ip", "-n", self.other, *line.split()], check=True)
        self.listener = self._listener()
        lines = [each for each in world.output("dnsmasq.conf").splitlines() if "leasefile" not in each]
        (world.folder / "ours.conf").write_text("\n".join(lines) + "\n")
        self._dnsmasq([self._net], "ours", f"--conf-file={world.folder}/ours.conf", "--user=root")
        self.cable = Cable(self.other, "card0")
        undo.callback(self.cable.close)

    def _here(self, *argv: str) -> None:
        subprocess.run(["nsenter", self._net, "--", *argv], check=True)

    def _listener(self) -> "subprocess.Popen[bytes]":
        """Start it with no more rights than its unit gives it."""
        rights = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all", "--no-new-privs"]
        # A copy, which the daemon does not write anew.
        self.file = self.world.folder / "listener.json"
        self.file.write_text(self.world.output("listener.json"))
        program = [sys.executable, "-m", "ltspd.listener", str(self.file)]
        with self.world.log.open("ab") as log:
            process = subprocess.Popen(
                ["nsenter", self._net, "--", *rights, *program],
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "DBUS_SYSTEM_BUS_ADDRESS": self.world.address,
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "NOTIFY_SOCKET": str(self.world.folder / "notify"),
                },
                stderr=log,
            )
        self._undo.callback(end, process)
        return process

    def _dnsmasq(self, where: list[str], name: str, *options: str) -> "subprocess.Popen[bytes]":
        files = (f"--dhcp-leasefile={self.world.folder}/{name}", f"--pid-file={self.world.folder}/{name}.pid")
        argv = ["nsenter", *where, "--", "/usr/sbin/dnsmasq", "--no-daemon", *options, *files]
        with self.world.log.open("ab") as log:
            process = subprocess.Popen(argv, stderr=log)
        self._undo.callback(end, process)
        return process

    def rival(self) -> "subprocess.Popen[bytes]":
        """Plug another DHCP server in."""
        options = ("--port=0", "--interface=rival0", "--conf-file=/dev/null", "--user=root", "--no-ping")
        given = "--dhcp-range=192.168.67.30,192.168.67.40,1h"
        net = [f"--net=/run/netns/{self.other}"]
        return self._dnsmasq(net, "theirs", *options, given)

    async def clients(self) -> list[Mapping[str, Any]]:
        (found,) = await ask(self.world.bus, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        objects = (each.get(interface("Client")) for each in found.values())
        return [{name: value.value for name, value in each.items()} for each in objects if each]

    async def diagnosed(self, host: str) -> list[dict[str, Any]]:
        (found,) = await ask(self.world.bus, "Manager", "Diagnose", "s", host)
        return list(found)

    async def client(
        self, mac: str, so: Callable[[Mapping[str, Any]], bool], knock: Callable[[], object] = lambda: None
    ) -> Mapping[str, Any]:
        """Wait until a client is like that."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for each in await self.clients():
                    if each["Mac"] == mac and so(each):
                        return each
                knock()
                await asyncio.sleep(0.05)

    async def problems(
        self, so: Callable[[Sequence[str]], object], knock: Callable[[], object] = lambda: None
    ) -> Sequence[str]:
        """Wait until the problems are like that, and return those that are about a link."""
        async with asyncio.timeout(PATIENCE):
            while not so(found := (await get_all(self.world.bus, "Manager"))["Problems"]):
                knock()
                await asyncio.sleep(0.2)
        return [each for each in found if each.startswith("link ")]


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with open_world() as world:
        (world.paths.root / "usr/lib/ipxe").mkdir(parents=True)
        for name in ("undionly.kpxe", "snponly.efi"):
            world.write(f"/usr/lib/ipxe/{name}", "a program\n")
        with ExitStack() as undo:
            daemon = await world.ready()
            found = Room(world, daemon.pid, undo)
            await world.heard("READY=1")
            # dnsmasq may still start: it answers somebody when it is there.
            try:
                first = await asyncio.to_thread(_knock, found.cable)
            except TimeoutError:
                pytest.fail(world.log.read_text())
            await found.client(first, lambda each: each["Stage"] == "offer")
            yield found


def _knock(cable: Cable) -> str:
    cable.patient(0.2)
    machine = Machine(0, mac="52:54:00:0e:ff:01")
    for _ in range(int(PATIENCE * 5)):
        last = cable.send(DISCOVER, machine)
        try:
            cable.heard(last)
        except TimeoutError:
            continue
        cable.patient()
        return machine.mac
    raise TimeoutError("dnsmasq never answered")


async def test_a_boot_is_seen_from_its_first_packet_on(room: Room) -> None:
    room.cable.send(DISCOVER, UEFI)
    offered = await room.client(UEFI.mac, lambda each: each["Stage"] == "offer")
    assert (offered["Link"], offered["Architecture"], offered["BootFile"]) == ("eth0", 7, "ltsp/snponly.efi")
    answer = await asyncio.to_thread(room.cable.lease, UEFI)
    leased = await room.client(UEFI.mac, lambda each: each["Stage"] == "lease")
    assert leased["Address"] == leased["Lease"] == answer.address
    assert leased["LeaseServer"] == "192.168.67.1"
    assert leased["LeaseExpires"] > leased["LastSeen"] + 7 * 3600 * 1_000_000
    room.cable.fetch(UEFI.mac, answer.address, "192.168.67.1", "ltsp/snponly.efi")
    await room.client(UEFI.mac, lambda each: each["Stage"] == "tftp")
    await asyncio.to_thread(room.cable.lease, IPXE)
    menu = await room.client(UEFI.mac, lambda each: each["BootFile"] == "ltsp/ltsp.ipxe")
    assert menu["Stage"] == "tftp"
    told = [each["Cause"].value for each in await room.diagnosed(UEFI.mac)]
    assert any("this server gave it 192.168.67." in each for each in told), told
    assert any("asked this server for ltsp/snponly.efi by TFTP" in each for each in told), told
    assert told[-1] == "it is under way."
    # A machine that only wants an address is no client of ours.
    await asyncio.to_thread(room.cable.lease, Machine(mac="52:54:00:0e:00:09"))
    room.cable.send(DISCOVER, Machine(0, mac="52:54:00:0e:00:10"))
    await room.client("52:54:00:0e:00:10", lambda each: each["Stage"] == "offer")
    assert "52:54:00:0e:00:09" not in {each["Mac"] for each in await room.clients()}
    # Nothing comes any more, so it does nothing.
    assert await idle(room.listener.pid, 1.0) == 0


async def test_another_server_is_named_until_it_answers_no_more(room: Room) -> None:
    def named(problems: Sequence[str]) -> list[str]:
        return [each for each in problems if RIVAL in each]

    rival = room.rival()
    wanted = {ADDRESS: bytes((192, 168, 67, 31)), SERVER: bytes((192, 168, 67, 9))}
    # Its answer goes to one machine alone, which then tells everybody whom it chose.
    room.cable.send(REQUEST, UEFI, wanted)
    (text,) = await room.problems(named)
    assert RIVAL in next(
        each["Cause"].value for each in await room.diagnosed("") if each["Subject"].value == "link eth0"
    )
    assert text.startswith("link eth0: another DHCP server gives addresses there: 192.168.67.9. ")
    loud = Machine(7, mac=UEFI.mac, broadcast=True)
    await room.problems(lambda found: "(" in named(found)[0], lambda: room.cable.send(DISCOVER, loud))
    end(rival)
    await room.problems(lambda found: not named(found), lambda: room.cable.send(DISCOVER, loud))


async def test_ten_thousand_made_up_machines_cost_little(room: Room) -> None:
    status = Path(f"/proc/{room.listener.pid}/status")

    def memory() -> int:
        return int(status.read_text().split("VmRSS:")[1].split()[0])

    before = memory()
    for number in range(10_000):
        room.cable.send(DISCOVER, Machine(7, mac=f"52:54:01:00:{number >> 8:02x}:{number & 255:02x}"))
        if number % 200 == 0:
            await asyncio.sleep(0)
    for _ in range(2000):
        room.cable.raw(os.urandom(secrets.randbelow(1400)))
    # It still hears who was there before, once it reads packets again.
    known = Machine(6, mac="52:54:00:0e:ff:01")
    async with asyncio.timeout(PATIENCE):
        while all(each["Architecture"] != 6 for each in await room.clients()):
            room.cable.send(DISCOVER, known)
            await asyncio.sleep(0.2)
    assert room.listener.poll() is None
    assert memory() - before < 16_000
    assert len(await room.clients()) <= MOST


async def test_links_change_and_come_back_without_a_new_listener(room: Room) -> None:
    room._here("ip", "link", "set", "eth0", "down")
    room._here("ip", "link", "set", "eth0", "up")
    # A cable is up a moment after its card.
    knock = partial(room.cable.send, DISCOVER, UEFI)
    await room.client(UEFI.mac, lambda each: each["Link"] == "eth0", knock)
    path = room.file
    path.write_text('{"links": []}')
    room.listener.send_signal(signal.SIGHUP)
    await idle(room.listener.pid, 0.2)
    # What can't be read changes nothing.
    path.write_text("{")
    room.listener.send_signal(signal.SIGHUP)
    await idle(room.listener.pid, 0.2)
    room.cable.send(DISCOVER, Machine(7, mac="52:54:00:0e:00:11"))
    await idle(room.listener.pid, 0.6)
    assert "52:54:00:0e:00:11" not in {each["Mac"] for each in await room.clients()}
    assert room.listener.poll() is None
