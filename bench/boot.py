"""One boot of a client, from power-on to the login prompt, the same for both servers."""

from dataclasses import dataclass

from tests.lab.client import Client, power_on
from tests.lab.server import Server

# What each server's initrd says on the console once the client's root is mounted. LTSP names each mount as
# it makes it; the overlay is the last one. Ours names the transport, too.
PEER_ROOT = r"mount -t overlay"
PRODUCT_ROOT = r"ltsp: root mounted \((\w+)\)"

# What a client's memory is made of at its login prompt, in kB.
_MEMORY = "sed -n 's/^MemTotal: *//p;s/^MemAvailable: *//p' /proc/meminfo"


@dataclass(frozen=True, slots=True)
class Boot:
    """When each stage was reached, in seconds since power-on, and the bytes that came until login."""

    kernel: float
    root: float
    login: float
    received: int
    # Bytes that can't be given to a new program at the login prompt.
    memory: int
    transport: str = "nfs"

    @property
    def kernel_to_root(self) -> float:
        """Seconds from the kernel's first line to the mounted root."""
        return self.root - self.kernel

    def words(self) -> str:
        """Return the boot in one line."""
        return (
            f"kernel {self.kernel:.1f} s, root {self.root:.1f} s ({self.transport}), "
            f"login {self.login:.1f} s, {self.received / 1e6:.1f} MB; {self.memory / 1e6:.1f} MB of memory"
        )


def boot(server: Server, root: str, name: str, mac: str, patience: float = 600.0) -> Boot:
    """Switch a PC on, wait for its login prompt, switch it off; return what was seen.

    ``root`` is the pattern that says the root is mounted. Raises TimeoutError or ConnectionError with
    the end of the console if a stage isn't reached in ``patience`` seconds.
    """
    # The lab keeps only the logs of the last runs, so shorter runs may have removed this one.
    server.session.logs.mkdir(parents=True, exist_ok=True)
    client = power_on(server.session, server.lan, name=name, mac=mac)
    try:
        return seen(client, root, patience)
    finally:
        client.off()


def seen(client: Client, root: str, patience: float) -> Boot:
    """Wait for the login prompt of a client that was just switched on; the rest is as in ``boot``."""
    kernel = client.expect(r"Linux version \d", patience)
    mounted = client.expect(root, patience)
    login = client.login_prompt(patience)
    # The mark is made when the prompt comes; later traffic isn't the boot's.
    received = client.timeline()["login"].received
    transport = (mounted.groups or ("nfs",))[0] or "?"
    return Boot(kernel.time, mounted.time, login.time, received, used(client), transport)


def used(client: Client) -> int:
    """Return the bytes of memory that a client can't give to a new program."""
    total, available = (int(line.split()[0]) for line in client.shell(_MEMORY).splitlines())
    return (total - available) * 1024
