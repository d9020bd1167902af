"""Cards of systemd-networkd: a file of ours in /etc/systemd/network, which comes before all others."""

import asyncio
from pathlib import Path

from ltspd.dbus.caller import CallError, Client
from ltspd.errors import ToolFailed
from ltspd.setup.bus import Peer
from ltspd.setup.managers import Undo, cards, has_address, wait
from ltspd.setup.request import Change
from ltspd.system.files import remove, write_atomically
from ltspd.system.run import run

_BUS = "org.freedesktop.network1"
_ROOT = "/org/freedesktop/network1"

_STATIC = """\
# Written by "ltspctl setup"; "ltspctl setup undo" removes it.
[Match]
Name={link}

[Network]
Address={address}
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
# The switch for clients may be off while the server starts.
ConfigureWithoutCarrier=yes

[Link]
RequiredForOnline=no
"""
_DHCP = """\
# Written by "ltspctl setup"; "ltspctl setup undo" removes it.
[Match]
Name={link}

[Network]
DHCP=yes
"""


class Networkd:
    """systemd-networkd."""

    name = "systemd-networkd"

    def __init__(self, client: Client, root: Path) -> None:
        """Speak to it, and write below a root."""
        self._peer = Peer(client, _BUS)
        self._root = root

    @property
    def present(self) -> bool:
        """Whether it runs."""
        return self._peer.present

    def has(self, link: str) -> bool:
        """Return whether it configures a card now."""
        index = next(each.index for each in cards() if each.name == link)
        try:
            # Its object paths are the interfaces' numbers; a digit that comes first is escaped (_3x).
            digits = str(index)
            path = f"{_ROOT}/link/_3{digits}"
            return str(self._peer.get(path, f"{_BUS}.Link", "AdministrativeState")) != "unmanaged"
        except CallError:
            return False

    def difference(self, change: Change) -> list[str]:
        """Return the file that is added."""
        return [f"+ /{_path(change.link.name)}", *(f"+     {each}" for each in _text(change).splitlines())]

    def prepare(self, change: Change) -> Undo:
        """Return which file is ours."""
        return {"manager": self.name, "link": change.link.name, "address": str(change.address or "")}

    def apply(self, change: Change, undo: Undo) -> None:
        """Write the file and have it read."""
        path = self._root / _path(change.link.name)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, _text(change).encode())
        except OSError as error:
            raise ToolFailed(f"/{_path(change.link.name)} can't be written ({error.strerror}).") from error
        self._reload()
        got = change.address or "an address by DHCP"
        wait(lambda: has_address(change), f"{change.link.name} did not get {got} from systemd-networkd")

    def undo(self, undo: Undo) -> None:
        """Remove the file; a card that nobody configures any more loses its address."""
        remove(self._root / _path(undo["link"]))
        if not self.present:
            return
        self._reload()

        def gone() -> bool:
            now = [each for each in cards() if each.name == undo["link"]]
            return undo["address"] not in [str(one) for each in now for one in each.addresses]

        try:
            wait(gone, "", 2.0)
        except ToolFailed:
            asyncio.run(run(["ip", "address", "delete", undo["address"], "dev", undo["link"]], check=False))

    def _reload(self) -> None:
        try:
            self._peer.call(_ROOT, f"{_BUS}.Manager", "Reload")
        except CallError as error:
            raise ToolFailed(f"systemd-networkd did not read its files: {error.message}") from error


def _path(link: str) -> str:
    return f"etc/systemd/network/00-ltspd-{link}.network"


def _text(change: Change) -> str:
    text = _STATIC if change.address else _DHCP
    return text.format(link=change.link.name, address=change.address)
