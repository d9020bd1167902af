"""Which rooms clients are in, by ltsp.conf; looked up again only for what has changed."""

from dataclasses import replace

from ltspd.clients.known import Clients
from ltspd.config.document import Document, Host
from ltspd.config.evaluate import Index, effective, exact_hosts, rooms
from ltspd.config.parse import parse
from ltspd.model.client import ClientState, Machine


class Rooms:
    """The present ltsp.conf's rooms: their ``names``, and the ``machines`` that it names by MAC address."""

    def __init__(self) -> None:
        """Know none yet."""
        self._document = parse("")
        self._index = Index(self._document)
        self._found: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self.names: tuple[str, ...] = ()
        self.machines: tuple[Machine, ...] = ()

    def follow(self, document: Document) -> None:
        """Look things up in this document from now on."""
        if document is self._document or document == self._document:
            return
        self._document, self._index, self._found = document, Index(document), {}
        self.names = tuple(each.room for each in document.sections if each.room)
        self.machines = tuple(self._machine(host) for kind, _, host in exact_hosts(document) if kind == "mac")

    def placed(self, clients: Clients) -> Clients:
        """Return the clients with their rooms."""
        moved = {mac: each for mac, client in clients.items() if (each := self._placed(client)) is not client}
        return {**clients, **moved} if moved else clients

    def _machine(self, host: Host) -> Machine:
        given = effective(self._index, host).get("HOSTNAME")
        # A name with a variable in it is known once the machine reports it.
        name = given.text if given is not None and "%" not in given.text else ""
        return Machine(host.mac, name, self._of(host))

    def _placed(self, client: ClientState) -> ClientState:
        key = (client.mac, client.address, client.hostname)
        if key not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[key] = self._of(Host(client.mac, client.address, client.hostname))
        found = self._found[key]
        return client if client.rooms == found else replace(client, rooms=found)

    def _of(self, host: Host) -> tuple[str, ...]:
        return tuple(each.room for each in rooms(self._index, host))
