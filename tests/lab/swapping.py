"""A client that has swap on the server, whose disk for it is small; and programs that need it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

FILES = "/var/lib/private/ltspd/swap"
DISK = "/srv/ltsp/.swap"
# What runs in there has no more RAM together, and neither has what that has left behind in RAM.
_HUNGRY = "[Slice]\\nMemoryMax=12M\\n"


@contextmanager
def swapping(server: Server, mac: str, keep: str) -> Iterator[Client]:
    """Boot a client with 48 MB of swap on a disk of 80 MB, and no other; ``keep`` is NBD_SWAP_KEEP."""
    server.run(
        f"truncate -s 80M {DISK} && mkfs.ext4 -q {DISK} && mkdir -p {FILES} && chmod 700 /var/lib/private && "
        f"mount -o loop {DISK} {FILES} && rmdir {FILES}/lost+found"
    )
    conf = {"DEFAULT_IMAGE": "bookworm", "NBD_SWAP": "48M", "ROOT_SIZE": "40%"}
    try:
        with product.configured(server, {"server": {"NBD_SWAP_KEEP": keep}, mac: conf}):
            # Its clock has stopped for years.
            late = ("-rtc", "base=2019-03-01")
            client = power_on(server.session, server.lan, "bios", mac=mac, name="swaps", extra=late)
            try:
                client.login_prompt()
                client.shell("until grep -q ^/dev/dm- /proc/swaps; do sleep 1; done")
                client.shell("until grep -q ^/dev/zram0 /proc/swaps; do sleep 1; done; swapoff /dev/zram0")
                client.shell(
                    f"printf '{_HUNGRY}' >/run/systemd/system/hungry.slice && systemctl daemon-reload"
                )
                yield client
            finally:
                client.off()
    finally:
        server.run(f"systemctl stop 'ltspd-swap*'; umount {FILES}; rm {DISK}", check=False)


def hungry(command: str, *options: str) -> str:
    """Return the command that runs another one, which has no double quotes, with hardly any RAM."""
    return f'systemd-run --quiet --slice=hungry.slice {" ".join(options or ("--wait",))} sh -c "{command}"'


def fill(name: str, megabytes: int) -> str:
    """Return the command, for ``hungry``, that keeps text in RAM which a look at a disk finds."""
    return f"yes 'readable {name}' | head -c {megabytes}M >/dev/shm/{name}"


def whole(name: str) -> str:
    """Return the command that reads all of that text, and says 2 if it is right: its last line is cut."""
    return f"uniq -c /dev/shm/{name} | grep -c ."
