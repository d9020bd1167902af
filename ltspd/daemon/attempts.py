"""The boot programs that were found for machines on which others failed, in a file that outlives reboots."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ltspd.model.client import Attempts, ClientState
from ltspd.model.menu import BootWay
from ltspd.model.network import DhcpRole
from ltspd.network import attempts
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.system.files import unwritten, write_atomically

log = logging.getLogger(__name__)

# DHCP servers take another program so many seconds after the first machine for which one was found. Anybody
# on the network can make machines up, and each one costs a pass.
PACE = 10.0

Clients = Mapping[str, ClientState]


class BootAttempts:
    """What came of the boots of machines."""

    def __init__(self, paths: Paths, wake: Callable[[], None]) -> None:
        """Know what an earlier run has kept; ``wake`` asks for a pass."""
        self._path = paths.state / "attempts.json"
        self._wake = wake
        self._timer: asyncio.TimerHandle | None = None
        self._records: attempts.Records = {}
        try:
            self._records = attempts.load(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("%s can't be read, so machines begin with their first program: %s", self._path, error)
        self._kept = attempts.dump(self._records)

    @property
    def ways(self) -> Mapping[str, BootWay]:
        """The machines that get another program than the first one."""
        return attempts.found_ways(self._records)

    def heard(self, before: Clients, after: Clients, world: World | None) -> None:
        """Judge what the listener has heard of machines since."""
        if world is not None:
            self._take(attempts.heard(self._records, before, after, _server(world)), after)

    def reported(self, clients: Iterable[ClientState], world: World | None) -> None:
        """Take note that these machines have reported."""
        if world is not None:
            known = {each.mac: each for each in clients}
            self._take(attempts.reported(self._records, known.values(), _server(world)), known)

    def forget(self, mac: str) -> None:
        """Let a machine begin with its first program."""
        self._records = {of: each for of, each in self._records.items() if of != mac}
        self._soon()

    def placed(self, clients: Clients, world: World | None) -> Clients:
        """Return the clients with the way of their next boot, and what came of the last ones."""
        moved = {
            mac: each for mac, client in clients.items() if (each := self._placed(client, world)) != client
        }
        return {**clients, **moved} if moved else clients

    async def save(self) -> None:
        """Write what has changed; what can't be written now is written after the next change."""
        data = attempts.dump(self._records)
        if data == self._kept:
            return
        try:
            await asyncio.to_thread(write_atomically, self._path, data, 0o600)
        except OSError as error:
            log.warning("%s was %s", self._path, unwritten(error))
        else:
            self._kept = data

    def _take(self, records: attempts.Records, clients: Clients) -> None:
        before, self._records = self._records, records
        for mac, record in records.items():
            old = before.get(mac, Attempts())
            shown = clients[mac].hostname or mac if mac in clients else mac
            if record.way is not old.way:
                if record.worked:
                    text = "client %s came to its system by the boot program of BOOT_WAY=%s, and keeps it"
                    log.info(text, shown, record.way)
                else:
                    log.warning(
                        "client %s: %d boots in a row have failed with the boot program of BOOT_WAY=%s; it "
                        "gets that of BOOT_WAY=%s now ('ltspctl client forget %s' begins anew)",
                        *(shown, old.failed + 1, old.way, record.way, mac),
                    )
                self._soon()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PACE, self._due)

    def _due(self) -> None:
        self._timer = None
        self._wake()

    def _placed(self, client: ClientState, world: World | None) -> ClientState:
        record = self._records.get(client.mac, Attempts())
        way = world.desired.menu.configured(client.mac) if world is not None else BootWay.AUTO
        if way is BootWay.AUTO:
            way = record.way
        if (client.way, client.failed) == (way, record.failed):
            return client
        return replace(client, way=str(way), failed=record.failed)


def _server(world: World) -> attempts.Server:
    served = world.desired.network.served
    return attempts.Server(
        world.desired.menu,
        frozenset(each.link for each in served if each.role is not DhcpRole.FOREIGN),
        frozenset(str(each.address.ip) for each in served),
        world.boot_programs,
        world.settings[attempts.TRIES],
    )
