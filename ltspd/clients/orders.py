"""What running clients shall do, and the revision by which a client knows whether that is news. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Order:
    """What one client shall do, in one line; nothing if that is empty. Clients only compare the revision."""

    revision: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders by MAC address, and the revision of what is in ltsp.img for all clients (empty: unknown)."""

    settings: str = ""
    each: Mapping[str, Order] = field(default_factory=dict)

    def of(self, mac: str) -> Order:
        """Return what a client shall do. Its revision changes with the settings and with its own order."""
        own = self.each.get(mac)
        return Order(self.settings) if own is None else Order(f"{self.settings}.{own.revision}", own.words)
