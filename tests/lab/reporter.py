"""A machine on the lab's LAN that is none: it reports as a client does, and obeys by a client's own loop.

It is a network namespace with a card of its own: the gateway takes no word about another's card.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.net import SERVER_ADDRESS, ip
from tests.lab.server import Server
from tests.lab.session import end
from tests.worlds.obeying import make_loop

BASE = f"http://{SERVER_ADDRESS}/ltsp"
# All of them are this machine, so they are in the same boot.
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Reporter:
    """The machine; its ``hostname`` is what it says of itself."""

    server: Server
    netns: str
    mac: str
    address: str
    hostname: str

    def report(self, stage: str, **fields: str) -> None:
        """Tell the server a stage, as a client does; raises CalledProcessError if that is refused."""
        said = {
            "mac": self.mac,
            "stage": stage,
            "clock": "9",
            "hostname": self.hostname,
            "boot": BOOT,
            **fields,
        }
        lines = "\n".join(f"{key}={value}" for key, value in said.items())
        send = ["busybox", "wget", "-q", "-O", "-", "--post-data", lines, f"{BASE}/report"]
        subprocess.run(["ip", "netns", "exec", self.netns, *send], check=True)

    @contextmanager
    def obeying(self, folder: Path) -> Iterator[Path]:
        """Have the client's own loop obey orders; yield the file in which it writes what it would do."""
        signer = self.server.run("cat /var/lib/ltspd/keys/orders.pub")
        store = make_loop(folder, signer, base=BASE, mac=self.mac, address=self.address)
        command = ["busybox", "sh", str(folder / "live")]
        loop = self.server.session.start(command, log=f"loop-{self.hostname}.log", netns=self.netns)
        try:
            yield store / "obeyed"
        finally:
            end(loop)


@contextmanager
def reporters(server: Server, *hostnames: str, macs: str = "52:54:00:67:ec") -> Iterator[list[Reporter]]:
    """Have machines of these host names on the server's LAN, from 192.168.67.70 on."""
    found = []
    with ExitStack() as undo:
        for number, hostname in enumerate(hostnames):
            netns, port = f"{server.session.name}-say{number}", f"port-say{number}"
            mac, address = f"{macs}:{number:02x}", f"192.168.67.{70 + number}"
            subprocess.run(["ip", "netns", "add", netns], check=True)
            undo.callback(subprocess.run, ["ip", "netns", "delete", netns], check=False)
            ip(server.lan.switch, f"link add {port} type veth peer name lan0 netns {netns}")
            # With one end goes the other one, at once; with the namespace it would be later.
            undo.callback(ip, server.lan.switch, f"link delete {port}")
            ip(server.lan.switch, f"link set {port} master lan up")
            ip(netns, "link set lo up", f"link set lan0 address {mac}", f"address add {address}/24 dev lan0",
               "link set lan0 up")  # fmt: skip
            found.append(Reporter(server, netns, mac, address, hostname))
        yield found
