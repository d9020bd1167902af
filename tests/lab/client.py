"""Clients: diskless virtual machines that boot over the LAN with a BIOS or UEFI firmware."""

import contextlib
import itertools
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.lab.console import Console, Seen
from tests.lab.net import Lan, Traffic
from tests.lab.screen import Screen
from tests.lab.session import Session, end
from tests.lab.timeline import REPEATED, STAGES, Mark
from tests.patience import PATIENCE

# ``bios32``: a PC whose processor has 32 bits. ``http``: UEFI that boots by HTTP only. ``secure``: UEFI with
# Secure Boot on, which knows Microsoft's keys and no others. ``arm``: UEFI on ARM of 64 bits.
Firmware = Literal["bios", "bios32", "uefi", "http", "secure", "arm"]
_OVMF, _AAVMF = Path("/usr/share/OVMF"), Path("/usr/share/AAVMF")
_numbers = itertools.count(1)


@dataclass(slots=True)
class Client:
    """A machine that is on. Times count from power-on, in seconds."""

    name: str
    mac: str
    lan: Lan
    tap: str
    marks: dict[str, Mark] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None
    _console: Console | None = None
    _shell: Console | None = None
    consoles: list[Console] = field(default_factory=list)
    _screen: Screen | None = None
    _logged_in: bool = False
    _line: str = ""

    @property
    def console(self) -> Console:
        """The first serial line, where firmware, kernel and login prompt are."""
        assert self._console is not None
        return self._console

    @property
    def screen(self) -> Screen:
        """The monitor and the keyboard, if it was switched on with a ``screen``."""
        assert self._screen is not None
        return self._screen

    def expect(self, pattern: str, timeout: float = PATIENCE) -> Seen:
        """Wait for a regular expression on the console, after what was expected before."""
        return self.console.expect(pattern, timeout)

    def type(self, text: str) -> None:
        """Type on the console."""
        self.console.type(text)

    def login_prompt(self, timeout: float = PATIENCE) -> Seen:
        """Wait for the login prompt of the booted system.

        Raises RuntimeError with the client's own sentence as soon as it says that it can't boot. The
        long ``timeout`` is for a busy machine; on an idle one half a minute is enough.
        """
        seen = self.expect(
            rf"{STAGES['login'].pattern}|ltsp: (This client can't boot: .*\n.*\n.*)\n", timeout
        )
        if seen.groups[0] is not None:
            raise RuntimeError(f"client {self.name} says: {seen.groups[0]}")
        return seen

    def shell(self, command: str, timeout: float = PATIENCE) -> str:
        """Run a shell command as root in the booted client, on its second serial line.

        Returns what it printed. Raises RuntimeError if its status isn't 0, TimeoutError if it
        takes longer than ``timeout`` seconds (under emulation everything is about ten times slower).
        """
        assert self._shell is not None
        if not self._logged_in:
            self._shell.expect(r"[#$] ?$", timeout)
            self._shell.settle(timeout)
            self._logged_in = True
        output, status = self._shell.run(command, timeout)
        if status != 0:
            raise RuntimeError(f"on client {self.name}, {command!r} ended with {status}: {output}")
        return output

    def traffic(self) -> Traffic:
        """Return what went over this client's cable so far."""
        return self.lan.traffic(self.tap)

    def timeline(self) -> dict[str, Mark]:
        """Return when each boot stage was reached and how many bytes had come by then."""
        return dict(self.marks)

    @property
    def is_on(self) -> bool:
        """Tell whether the machine is still running."""
        return self._process is not None and self._process.poll() is None

    def _watch(self, text: str, now: float) -> None:
        # Only the last line and the new text: a stage's text never spans lines.
        window = self._line + text
        self._line = window.rpartition("\n")[2]
        for stage, pattern in STAGES.items():
            known = stage in self.marks
            if known and (stage not in REPEATED or "kernel" in self.marks):
                continue
            found = pattern.search(window)
            if found and found.end() > len(window) - len(text):
                with contextlib.suppress(subprocess.CalledProcessError):
                    self.marks[stage] = Mark(now, self.traffic().bytes_in)

    def off(self) -> None:
        """Cut the power, close the lines and remove the cable. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        end(process, patience=3)
        for line in (self._console, self._shell, self._screen, *self.consoles):
            if line is not None:
                line.close()
        self.lan.unplug(self.tap)


def power_on(
    session: Session,
    lan: Lan,
    firmware: Firmware = "bios",
    *,
    mac: str | None = None,
    name: str | None = None,
    memory: int = 1024,
    external: bool = False,
    consoles: int = 0,
    screen: bool = False,
    card: str = "virtio-net-pci",
    rom: str | None = None,
    extra: tuple[str, ...] = (),
) -> Client:
    """Switch a diskless machine on; it boots from the network. ``memory`` is in MiB.

    ``external`` plugs it into the second network instead of the LAN, ``consoles`` (at most two) are serial
    lines more, and a ``screen`` can be looked at and typed on. ``card`` is QEMU's name of the network card's
    model, ``rom`` the program on it (empty: none; None: that of its model, which UEFI needs none of for
    virtio). Needs about a third of a minute to a login prompt on two cores; more than two machines at a time
    take longer each.
    """
    number = next(_numbers)
    mac = mac or f"52:54:00:67:{number >> 8:02x}:{number & 255:02x}"
    name = name or f"{firmware}-{number}"
    client = Client(name, mac, lan, lan.plug(external=external))
    ours, theirs = zip(*(socket.socketpair() for _ in range(3 + consoles)), strict=True)
    descriptors = [line.fileno() for line in theirs]
    argv = [*_machine(session, name, firmware), "-name", f"{session.name}-{name}"]
    argv += ["-accel", "tcg,thread=multi", "-m", str(memory), "-no-reboot", "-boot", "n"]
    # -nographic makes a BIOS write on the first serial line, too.
    argv += ["-nographic", "-monitor", "none"]
    monitor, *serial = descriptors
    if screen:
        argv += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]
    for number, descriptor in enumerate(serial):
        argv += ["-chardev", f"socket,id=line{number},fd={descriptor}", "-serial", f"chardev:line{number}"]
    argv += ["-netdev", f"tap,id=lan,ifname={client.tap},script=no,downscript=no"]
    if rom is None and card == "virtio-net-pci" and not firmware.startswith("bios"):
        rom = ""
    if card == "usb-net":
        argv += ["-device", "qemu-xhci"]
    argv += ["-device", f"{card},netdev=lan,mac={mac}{'' if rom is None else f',romfile={rom}'}", *extra]
    began = time.monotonic()
    try:
        client._process = session.start(argv, log=f"{name}-qemu.log", netns=lan.switch, pass_fds=descriptors)
    finally:
        for line in theirs:
            line.close()
    session.stack.callback(client.off)
    client._console = Console(ours[1], session.logs / f"{name}-console.log", began, client._watch)
    client._shell = Console(ours[2], session.logs / f"{name}-shell.log", began)
    logs = (session.logs / f"{name}-console-{number}.log" for number in range(2, 2 + consoles))
    client.consoles = [Console(line, log, began) for line, log in zip(ours[3:], logs, strict=True)]
    if screen:
        client._screen = Screen(ours[0], session.directory / f"{name}-screen.ppm")
    else:
        ours[0].close()
    return client


def _machine(session: Session, name: str, firmware: Firmware) -> list[str]:
    """Return the program with what makes the machine: board, processor and firmware."""
    match firmware:
        case "bios":
            return ["qemu-system-x86_64", "-cpu", "max"]
        case "bios32":
            return ["qemu-system-i386", "-cpu", "max"]
        case "arm":
            board = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57"]
            code, variables = _AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd"
        case "secure":
            board = ["qemu-system-x86_64", "-cpu", "max", "-machine", "q35,smm=on"]
            # Only the firmware itself may change its variables.
            board += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
            code, variables = _OVMF / "OVMF_CODE_4M.ms.fd", _OVMF / "OVMF_VARS_4M.ms.fd"
        case _:
            board = ["qemu-system-x86_64", "-cpu", "max", "-machine", "q35"]
            code, variables = _OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd"
    if firmware == "http":
        # It would try HTTP last, after a minute of PXE.
        for each in ("IPv4PXESupport", "IPv6PXESupport"):
            board += ["-fw_cfg", f"name=opt/org.tianocore/{each},string=n"]
    # The firmware writes its boot order there; each machine needs its own.
    own = session.directory / f"{name}-vars.fd"
    shutil.copy(variables, own)
    return [
        *board,
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={own}"),
    ]
