"""The gateway's table: what it may serve and what clients shall do; the daemon writes it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from ipaddress import IPv4Network
from typing import Any, TypeVar

from ltspd.model.menu import Entry, Lock, Offer, RootTransport, Tool

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """What one client shall do: the ids of orders, with blanks between. Clients only compare the revision."""

    revision: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders by MAC address, and the revision of what is in ltsp.img for all clients (empty: unknown).

    ``documents`` are the digests of what clients take while they run, by name.
    """

    settings: str = ""
    each: Mapping[str, Order] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)

    def of(self, mac: str) -> Order:
        """Return what a client shall do. Its revision changes with the settings and with its own order."""
        own = self.each.get(mac)
        return Order(self.settings) if own is None else Order(f"{self.settings}.{own.revision}", own.words)


@dataclass(frozen=True, slots=True)
class Table:
    """Addresses and port to listen on, and for each URL path the one file that answers it.

    ``networks`` are those whose clients may report, ``metrics_port`` is one of the loopback address; 0: none.
    ``connections`` are how many one address may have at once. ``offer`` is what each client's boot menu is
    made from; None: a daemon from before an upgrade wrote the table. ``wakes`` are, by the id of an order,
    the machines to wake, each so many seconds after the order.
    """

    addresses: tuple[str, ...]
    port: int
    files: Mapping[str, str]
    networks: tuple[str, ...] = ()
    metrics_port: int = 0
    connections: int = 256
    offer: Offer | None = None
    orders: Orders = field(default_factory=Orders)
    wakes: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)


def dump(table: Table) -> bytes:
    """Return a table as JSON, the same bytes for the same table.

    An older gateway may run until it is restarted, so names only come to it and none changes its meaning.
    """
    return (json.dumps(asdict(table), indent=1, sort_keys=True) + "\n").encode()


def load(data: bytes) -> Table:
    """Return the table from JSON; raises ValueError if it isn't one."""
    try:
        whole = json.loads(data)
        files = {str(url): str(path) for url, path in whole["files"].items()}
        # What has a default came later: after an upgrade, the table may still be of an older daemon.
        return Table(
            tuple(map(str, whole["addresses"])),
            int(whole["port"]),
            files,
            tuple(str(IPv4Network(each)) for each in whole.get("networks", ())),
            int(whole.get("metrics_port", 0)),
            max(1, int(whole.get("connections", 256))),
            _offer(whole["offer"]) if whole.get("offer") else None,
            _orders(whole.get("orders", {})),
            {
                str(name): tuple((str(mac), int(delay)) for mac, delay in found)
                for name, found in whole.get("wakes", {}).items()
            },
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not a gateway table: {error!r}") from error


def _offer(whole: Mapping[str, Any]) -> Offer:
    entries = tuple(_made(Entry, each) for each in whole["entries"])
    # A newer daemon may offer what this gateway knows no line of a menu for.
    tools = tuple(each for each in Tool if each in whole.get("tools", ()))
    lock = whole.get("lock", {})
    texts = (str(lock.get(name, "")) for name in ("pbkdf2", "crypt"))
    locked = Lock(tuple(map(str, lock.get("names", ()))), *texts)
    return Offer(entries, RootTransport(whole["transport"]), str(whole["rules"]), tools, locked)


def _orders(whole: Mapping[str, Any]) -> Orders:
    each = {str(mac): _made(Order, order) for mac, order in whole.get("each", {}).items()}
    documents = {str(name): str(digest) for name, digest in whole.get("documents", {}).items()}
    return Orders(str(whole.get("settings", "")), each, documents)


def _made(kind: type[T], whole: Mapping[str, Any]) -> T:
    """Return an object of a dataclass without what a newer daemon says of it."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in whole.items() if name in names})
