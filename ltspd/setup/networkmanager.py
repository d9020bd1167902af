"""Cards of NetworkManager: a connection of ours for each, by its D-Bus API.

Its shared mode is not used: it answers DHCP on the same port as ltspd, without any error.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from ltspd.dbus.caller import CallError, Client
from ltspd.errors import ToolFailed
from ltspd.model.network import LinkKind
from ltspd.setup.bus import PROPERTIES, Peer
from ltspd.setup.managers import Undo, has_address, wait
from ltspd.setup.request import Change

_BUS = "org.freedesktop.NetworkManager"
_ROOT = "/org/freedesktop/NetworkManager"
_SETTINGS = f"{_ROOT}/Settings"
_DEVICE = f"{_BUS}.Device"
_CONNECTION = f"{_BUS}.Settings.Connection"
# NMDeviceState: not managed; managed, but without a cable.
_UNMANAGED, _UNAVAILABLE = 10, 20
# NM_SETTINGS_ADD_CONNECTION2_FLAG_TO_DISK
_TO_DISK = 1
_NO_OBJECT = "/"


class NetworkManager:
    """NetworkManager."""

    name = "NetworkManager"

    def __init__(self, client: Client) -> None:
        """Speak to it on the system bus."""
        self._peer = Peer(client, _BUS)

    @property
    def present(self) -> bool:
        """Whether it runs."""
        return self._peer.present

    def has(self, link: str) -> bool:
        """Return whether it manages a card now."""
        device = self._device(link)
        return bool(device) and self._state(device) > _UNMANAGED

    def difference(self, change: Change) -> list[str]:
        """Return the connection that is added, and the one that rests meanwhile."""
        how = f"address {change.address}" if change.address else "address by DHCP"
        lines = [f"+ connection {_id(change)} of NetworkManager, for {change.link.name}: {how}"]
        if before := self._active(self._device(change.link.name)):
            lines.append(
                f"- connection '{self._settings(before)['connection']['id']}' is not active meanwhile"
            )
        return lines

    def prepare(self, change: Change) -> Undo:
        """Return which connection will be ours, and which one is active now."""
        device = self._device(change.link.name)
        before = self._active(device)
        return {
            "manager": self.name,
            "link": change.link.name,
            "uuid": str(uuid.uuid4()),
            "before": str(self._settings(before)["connection"]["uuid"]) if before else "",
            "managed": "yes" if device and self._state(device) > _UNMANAGED else "",
        }

    def apply(self, change: Change, undo: Undo) -> None:
        """Add the connection, and wait until it is active; without a cable it becomes so later."""
        name = change.link.name
        if change.link.kind not in (LinkKind.ETHERNET, LinkKind.VETH):
            raise ToolFailed(
                f"{name} is a {change.link.kind} of NetworkManager; give its own connection the address: "
                f"nmcli connection modify CONNECTION ipv4.method manual ipv4.addresses {change.address}"
            )
        device = self._device(name)
        settings = _connection(change, undo["uuid"])
        try:
            if self._state(device) == _UNAVAILABLE:
                arguments = [settings, _TO_DISK, {}]
                self._peer.call(_SETTINGS, f"{_BUS}.Settings", "AddConnection2", "a{sa{sv}}ua{sv}", arguments)
                return
            arguments = [settings, device, _NO_OBJECT, {}]
            self._peer.call(_ROOT, _BUS, "AddAndActivateConnection2", "a{sa{sv}}ooa{sv}", arguments)
        except CallError as error:
            raise ToolFailed(_why(name, error)) from error
        got = change.address or "an address by DHCP"
        wait(lambda: has_address(change), f"{name} did not get {got} from NetworkManager")

    def undo(self, undo: Undo) -> None:
        """Remove the connection, and activate the one that was active before."""
        if not self.present:
            raise ToolFailed(
                "NetworkManager does not run, so its connection can't be removed; start it first."
            )
        if ours := self._by_uuid(undo["uuid"]):
            self._peer.call(ours, _CONNECTION, "Delete")
        device = self._device(undo["link"])
        before = self._by_uuid(undo["before"])
        try:
            if device and before:
                self._peer.call(_ROOT, _BUS, "ActivateConnection", "ooo", [before, device, _NO_OBJECT])
            elif device and not undo["managed"]:
                body = [_DEVICE, "Managed", ("b", False)]
                self._peer.call(device, PROPERTIES, "Set", "ssv", body)
        except CallError as error:
            raise ToolFailed(f"NetworkManager did not put {undo['link']} back: {error.message}") from error

    def _device(self, link: str) -> str:
        try:
            return str(self._peer.call(_ROOT, _BUS, "GetDeviceByIpIface", "s", [link]))
        except CallError:
            return ""

    def _state(self, device: str) -> int:
        return int(self._peer.get(device, _DEVICE, "State")) if device else 0

    def _active(self, device: str) -> str:
        """Return the settings of a card's active connection; empty if it has none."""
        active = self._peer.get(device, _DEVICE, "ActiveConnection") if device else _NO_OBJECT
        if active == _NO_OBJECT:
            return ""
        return str(self._peer.get(active, f"{_BUS}.Connection.Active", "Connection"))

    def _settings(self, connection: str) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self._peer.call(connection, _CONNECTION, "GetSettings")
        return found

    def _by_uuid(self, wanted: str) -> str:
        try:
            found = self._peer.call(_SETTINGS, f"{_BUS}.Settings", "GetConnectionByUuid", "s", [wanted])
        except CallError:
            return ""
        return str(found)


def _id(change: Change) -> str:
    return f"ltspd-{change.link.name}"


def _connection(change: Change, identity: str) -> Mapping[str, Mapping[str, tuple[str, Any]]]:
    """Return the connection; one that is for all users, and stands above others for the card."""
    four: dict[str, tuple[str, Any]] = {"method": ("s", "auto")}
    six: dict[str, tuple[str, Any]] = {"method": ("s", "auto")}
    if change.address:
        network = change.address.network
        data = {"address": ("s", str(change.address.ip)), "prefix": ("u", network.prefixlen)}
        four = {
            "method": ("s", "manual"),
            "address-data": ("aa{sv}", [data]),
            "never-default": ("b", True),
        }
        six = {"method": ("s", "link-local")}
    return {
        "connection": {
            "id": ("s", _id(change)),
            "uuid": ("s", identity),
            "type": ("s", "802-3-ethernet"),
            "interface-name": ("s", change.link.name),
            "autoconnect": ("b", True),
            "autoconnect-priority": ("i", 999),
        },
        "ipv4": four,
        "ipv6": six,
    }


def _why(link: str, error: CallError) -> str:
    if "strictly unmanaged" in error.message:
        return (
            f"NetworkManager may not have {link}: unmanaged-devices= in its configuration or a stanza of "
            "ifupdown in /etc/network/interfaces says so. Take that out, or 'ltspctl setup … --convert'."
        )
    return f"NetworkManager did not activate {link}: {error.message}"
