"""Calls to programs on the system bus that have the server's cards."""

from collections.abc import Sequence
from typing import Any

from ltspd.dbus.caller import Client

PROPERTIES = "org.freedesktop.DBus.Properties"


class Peer:
    """One program on the bus, by its name."""

    def __init__(self, client: Client, name: str) -> None:
        """Speak to the owner of a name; nothing is started for that."""
        self._client = client
        self._name = name

    @property
    def present(self) -> bool:
        """Whether the program runs."""
        (there,) = self._client.bus("NameHasOwner", "s", [self._name])
        return bool(there)

    def call(
        self, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Any:
        """Call a method and return its first out-argument, or None; raises CallError."""
        found = self._client.call(path, interface, member, signature, body, destination=self._name)
        return found[0] if found else None

    def get(self, path: str, interface: str, name: str) -> Any:
        """Return a property; raises CallError."""
        return self.call(path, PROPERTIES, "Get", "ss", [interface, name])
