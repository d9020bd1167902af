"""What the doctor needs to know, looked up when somebody asks: files, ports, firewall, versions."""

import asyncio
import json
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ltspd.clients.fields import is_mac
from ltspd.dbus.systemd import Systemd
from ltspd.doctor import client as of_client
from ltspd.doctor import server as of_server
from ltspd.doctor.firewall import Ufw
from ltspd.doctor.server import BOOT_SERVER, Holder, Hole, Look
from ltspd.errors import NoSuchClient, ToolFailed, Unanswered
from ltspd.image.source.dpkg import read_packages
from ltspd.model.client import Server
from ltspd.model.facts import Facts
from ltspd.model.finding import Finding
from ltspd.model.output import Output
from ltspd.model.state import State
from ltspd.network.firewall import NFTABLES
from ltspd.network.firmware import boots
from ltspd.observe.ports import bound, holders
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.system.run import run

log = logging.getLogger(__name__)

RULESET_UNIT = "ltspd-ruleset.service"
# Where that unit writes, and how much of it is read: firewalld's rules for ten zones have some 300 kB.
RULESET, RULESET_MOST = "/run/ltspd/ruleset.json", 16 << 20
LEASES = "/var/lib/ltspd/dnsmasq.leases"
# Files below the TFTP root that are looked at, and those that are named.
FILES_MOST, NAMED_MOST = 5000, 5
# The first versions without holes that were made public, by release and package.
MENDED = {("bookworm", "dnsmasq-base"): ("2.90-4~deb12u2", "CVE-2026-4892 and five more of May 2026")}


class Diagnosis:
    """Looks things up for one caller at a time."""

    def __init__(self, paths: Paths, systemd: Systemd) -> None:
        """Look below ``paths``."""
        self._paths, self._systemd = paths, systemd
        self._one = asyncio.Lock()

    async def of(
        self,
        name: str,
        state: State,
        world: World,
        facts: Facts,
        outputs: Sequence[Output],
        servers: Sequence[Server],
    ) -> tuple[Finding, ...]:
        """Return what is wrong with a machine, or without a name with the server; raises NoSuchClient."""
        async with self._one:
            if not name:
                # In a thread: firewalls may have tens of thousands of rules and addresses.
                look = await self._look(state, world, facts, outputs)
                return await asyncio.to_thread(of_server.about, look)
            mac = _mac(name, state)
            client = next((each for each in state.clients if each.mac == mac), None)
            if client is None:
                return of_client.unknown(name, world.desired.network)
            around = await asyncio.to_thread(self._around, state, world, facts, tuple(servers))
            return of_client.about(client, around, time.time_ns() // 1000)

    def _around(
        self, state: State, world: World, facts: Facts, servers: tuple[Server, ...]
    ) -> of_client.Surroundings:
        root = self._paths.tftp_root
        return of_client.Surroundings(
            network=world.desired.network,
            addresses=frozenset(str(one.ip) for each in facts.links for one in each.addresses),
            servers=servers,
            files=frozenset(str(each.relative_to(root)) for each in _files(root)),
            leases=self._leases(),
            bootable=frozenset(number for each in boots(world.boot_programs) for number in each.numbers),
            images=tuple(each.name for each in state.images if each.current),
        )

    def _leases(self) -> int:
        """Return how many leases of dnsmasq's count now; each line begins with when it ends, in seconds."""
        with suppress(OSError):
            words = (each.split() for each in self._paths.at(LEASES).read_text().splitlines())
            return sum(1 for each in words if each and each[0].isdecimal() and int(each[0]) > time.time())
        return 0

    async def _look(self, state: State, world: World, facts: Facts, outputs: Sequence[Output]) -> Look:
        wanted = {port for each in outputs if each.needed for port in each.ports} | {BOOT_SERVER}
        found = await asyncio.to_thread(holders, self._paths, wanted)
        # Others may have the same ports at other addresses, as systemd-resolved has at 127.0.0.53, and on
        # other links, as libvirt has on its bridges.
        served, on = world.desired.network.served, await bound()
        ours = {"0.0.0.0", "::", *(str(each.address.ip) for each in served)}
        links = {"", *(each.link for each in served)}
        return Look(
            problems=state.problems,
            network=world.desired.network,
            links=facts.links,
            outputs=outputs,
            holders=[
                Holder(each.protocol, each.port, each.process, each.pid, each.unit)
                for each in found
                if each.address in ours and on.get(each.inode, "") in links
            ],
            ruleset=await self._ruleset(),
            saved=await asyncio.to_thread(_text, self._paths, NFTABLES),
            ufw=await asyncio.to_thread(_ufw, self._paths),
            unreadable=await asyncio.to_thread(_unreadable, self._paths),
            holes=await self._holes(),
        )

    async def _ruleset(self) -> Any:
        """Have a throwaway unit read the rules, because the daemon may not; None if that can't be done."""
        path = self._paths.at(RULESET)
        try:
            result = await self._systemd.act("StartUnit", RULESET_UNIT)
            found = await asyncio.to_thread(_read, path)
            return found if result == "done" else None
        except (Unanswered, OSError, ValueError) as error:
            log.info("The firewall's rules can't be read: %s", error)
            return None
        finally:
            path.unlink(missing_ok=True)

    async def _holes(self) -> list[Hole]:
        release = await asyncio.to_thread(_release, self._paths)
        wanted = {package: what for (of, package), what in MENDED.items() if of == release}
        if not wanted:
            return []
        installed = (await asyncio.to_thread(read_packages, self._paths.root)).installed
        found = []
        for package, (mended, what) in wanted.items():
            if package in installed and await _older(installed[package], mended):
                found.append(Hole(package, installed[package], mended, what))
        return found


def _mac(name: str, state: State) -> str:
    """Return the MAC address of a machine that is named by it, its host name or its address."""
    name = name.lower()
    if is_mac(name.replace("-", ":")):
        return name.replace("-", ":")
    known = {each.mac for each in state.clients if name in (each.hostname.lower(), each.address)}
    known |= {each.mac for each in state.machines if name in (each.hostname.lower(), each.address)}
    if len(known) == 1:
        return known.pop()
    if known:
        raise NoSuchClient(f"{len(known)} machines are called {name!r}: {', '.join(sorted(known))}.")
    raise NoSuchClient(
        f"No machine {name[:80]!r} was heard, and ltsp.conf names none; 'ltspctl client list' shows all."
    )


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return json.loads(file.read(RULESET_MOST) or b"null")


async def _older(version: str, mended: str) -> bool:
    try:
        return (await run(["dpkg", "--compare-versions", version, "lt", mended], check=False)).status == 0
    except ToolFailed:
        return False


def _release(paths: Paths) -> str:
    with suppress(OSError):
        match = re.search(r"^VERSION_CODENAME=(\w+)$", paths.at("/etc/os-release").read_text(), re.MULTILINE)
        return match[1] if match else ""
    return ""


def _text(paths: Paths, name: str) -> str:
    """Return what a file says; nothing if it can't be read."""
    with suppress(OSError):
        return paths.at(name).read_text(errors="replace")
    return ""


def _ufw(paths: Paths) -> Ufw | None:
    """Return ufw with its rules; None where it is not there or off."""
    if not re.search("^ENABLED=yes", _text(paths, "/etc/ufw/ufw.conf"), re.MULTILINE):
        return None
    defaults = _text(paths, "/etc/default/ufw")
    accepts = set(re.findall(r'^DEFAULT_(INPUT|FORWARD)_POLICY="?ACCEPT', defaults, re.MULTILINE))
    # Many a server has rules for what goes through it in the file that comes before ufw's own.
    own = re.search("^-A ufw-before-forward .*-[iso] ", _text(paths, "/etc/ufw/before.rules"), re.MULTILINE)
    return Ufw(
        _text(paths, "/etc/ufw/user.rules"), "INPUT" not in accepts, not own and "FORWARD" not in accepts
    )


def _files(root: Path) -> Iterator[Path]:
    """Yield files below a directory, not beyond a bound; links to files count as files."""
    seen = 0
    for folder, _, names in os.walk(root):
        for name in names:
            seen += 1
            if seen > FILES_MOST:
                return
            yield Path(folder, name)


def _unreadable(paths: Paths) -> tuple[str, ...]:
    """Return what below the TFTP root a user without rights can't read; folders on the way to it first."""
    root = paths.tftp_root
    folders = [each for each in (*reversed(root.parents), root) if each.is_relative_to(paths.root)]
    shut = [each for each in folders if not _open(each, stat.S_IXOTH)]
    if not shut:
        shut = [Path(folder) for folder, _, _ in os.walk(root) if not _open(Path(folder), stat.S_IXOTH)]
        shut += [each for each in _files(root) if not _open(each, stat.S_IROTH)]
    return tuple(f"/{each.relative_to(paths.root)}" for each in shut[:NAMED_MOST])


def _open(path: Path, bit: int) -> bool:
    """Whether others have a right; what is gone meanwhile has it."""
    try:
        return bool(path.stat().st_mode & bit)
    except OSError:
        return True
