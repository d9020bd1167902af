"""The clients that tests look at, booted two at a time and ahead of the tests."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.lab import product
from tests.lab.client import Client, Firmware, power_on
from tests.lab.server import Server

# A machine under emulation keeps about one core busy.
AT_A_TIME = 2


@dataclass(frozen=True, slots=True)
class Machine:
    """A client to boot: its firmware, its ltsp.conf parameters, and whether it is on the second network.

    ``prepare`` is called with its MAC address when its turn has come, in a thread.
    """

    conf: Mapping[str, str] = field(default_factory=dict)
    firmware: Firmware = "bios"
    external: bool = False
    prepare: Callable[[str], None] | None = None


class Fleet:
    """Machines that boot in the order given; `take` hands one out, at its login prompt.

    Their MAC addresses begin with ``macs``.
    """

    def __init__(self, server: Server, machines: Mapping[str, Machine], macs: str = "52:54:00:67:f1") -> None:
        self._server = server
        self._machines = machines
        self._slots = threading.Semaphore(AT_A_TIME)
        self._closing = False
        self._on: list[Client] = []
        # As many threads as machines: one that waits for its turn costs nothing, and the order stays.
        self._pool = ThreadPoolExecutor(max(len(machines), 1), thread_name_prefix="fleet")
        self._turns = [threading.Event() for _ in machines]
        owners = {name: f"{macs}:{number:02x}" for number, name in enumerate(machines)}
        self._configured = ExitStack()
        conf = {owners[name]: machine.conf for name, machine in machines.items() if machine.conf}
        self._configured.enter_context(product.configured(server, conf))
        self._clients: dict[str, Future[Client]] = {
            name: self._pool.submit(self._boot, number, name, owners[name])
            for number, name in enumerate(machines)
        }
        if self._turns:
            self._turns[0].set()

    def _boot(self, number: int, name: str, mac: str) -> Client:
        self._turns[number].wait()
        self._slots.acquire()
        if number + 1 < len(self._turns):
            self._turns[number + 1].set()
        machine = self._machines[name]
        if machine.prepare and not self._closing:
            machine.prepare(mac)
        if self._closing:
            raise RuntimeError("the tests ended before this client was switched on")
        client = power_on(
            self._server.session,
            self._server.lan,
            machine.firmware,
            mac=mac,
            name=name,
            external=machine.external,
        )
        self._on.append(client)
        try:
            client.login_prompt()
        except BaseException:
            client.off()
            raise
        return client

    @contextmanager
    def take(self, name: str) -> Iterator[Client]:
        """Wait for a machine's login prompt and hand it out; afterwards it goes off and the next one on."""
        try:
            client = self._clients[name].result()
            try:
                yield client
            finally:
                client.off()
        finally:
            self._slots.release()

    def close(self) -> None:
        """Let nothing more start, and switch everything off."""
        self._closing = True
        for _ in self._clients:
            self._slots.release()
        # Whoever waits for a machine that is off is told so at once.
        for client in list(self._on):
            client.off()
        self._pool.shutdown()
        for client in self._on:
            client.off()
        self._configured.close()


def wanted(machines: Mapping[str, Machine], names: Iterable[str]) -> dict[str, Machine]:
    """Return the machines that the selected tests take, in the tests' order."""
    return {name: machines[name] for name in dict.fromkeys(names)}
