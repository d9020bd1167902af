"""One real client's boot to its login prompt, with each packet that it exchanged with its server."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.boot import Boot, seen
from tests.lab.client import power_on
from tests.lab.server import Server
from tests.lab.session import end


@dataclass(frozen=True, slots=True)
class Recorded:
    """A boot, and its packets in a file of tcpdump.

    ``began`` is the power-on, and ``login`` the login prompt, in seconds since 1970, as in the file.
    """

    boot: Boot
    packets: Path
    began: float
    login: float


@contextmanager
def captured(server: Server, mac: str, file: Path) -> Iterator[None]:
    """Write what a client exchanges with its server to a file. RuntimeError if a packet was missed."""
    log = f"{file.stem}-tcpdump.log"
    heard = f"ether host {mac} or udp port 67 or udp port 68"
    # The buffer holds all that comes while the machine is too busy to write it.
    argv = [
        "tcpdump",
        "-i",
        "port-srv",
        "-n",
        "-U",
        "-B",
        "262144",
        "-s",
        "0",
        "-Z",
        "root",
        "-w",
        str(file),
        heard,
    ]
    process = server.session.start(argv, log=log, netns=server.lan.switch, stop_signal=signal.SIGINT)
    path = server.session.logs / log
    try:
        server.wait_for(lambda: "listening on" in path.read_text())
        yield
        # What came last is written, too.
        time.sleep(0.5)
    finally:
        end(process, signal.SIGINT)
    missed = re.search(r"(\d+) packets? dropped by kernel", path.read_text())
    if missed is None or missed[1] != "0":
        raise RuntimeError(f"tcpdump did not see all packets of {mac}: {path.read_text()[-300:]}")


def record(server: Server, root: str, name: str, mac: str, patience: float = 600.0) -> Recorded:
    """Boot one client and record it; ``root`` is as in `bench.boot.boot`."""
    server.session.logs.mkdir(parents=True, exist_ok=True)
    file = server.session.directory / f"{name}.pcap"
    with captured(server, mac, file):
        began = time.time()
        client = power_on(server.session, server.lan, name=name, mac=mac)
        try:
            boot = seen(client, root, patience)
        finally:
            client.off()
    return Recorded(boot, file, began, began + boot.login)
