"""A client swaps to the server, which can not read what it has."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:e6:01"
FILES = "/var/lib/private/ltspd/swap"
DISK = "/srv/ltsp/.swap"
USED = "awk '/^SwapTotal/ {all = $2} /^SwapFree/ {print int((all - $2) / 1024)}' /proc/meminfo"


def fill(name: str, megabytes: int) -> str:
    """Return the command that keeps more in RAM than it may have there: text that a look at a disk finds."""
    text = f"yes 'readable {name}' | head -c {megabytes}M >/dev/shm/{name}"
    return f'systemd-run --quiet --wait -p MemoryMax=12M sh -c "{text}"'


@pytest.fixture(scope="module")
def client(server: Server, images: tuple[str, ...]) -> Iterator[Client]:
    """Boot a client with swap on a server whose disk for it is small."""
    del images  # they must be built, that is all
    server.run(
        f"truncate -s 80M {DISK} && mkfs.ext4 -q {DISK} && mkdir -p {FILES} && chmod 700 /var/lib/private && "
        f"mount -o loop {DISK} {FILES} && rmdir {FILES}/lost+found"
    )
    conf = {"DEFAULT_IMAGE": "bookworm", "NBD_SWAP": "48M"}
    try:
        with product.configured(server, {"server": {"NBD_SWAP_KEEP": "5s"}, MAC: conf}):
            client = power_on(server.session, server.lan, "bios", mac=MAC, name="swaps")
            try:
                client.login_prompt()
                yield client
            finally:
                client.off()
    finally:
        server.run(f"systemctl stop 'ltspd-swap*'; umount {FILES}; rm {DISK}", check=False)


def test_a_client_swaps_to_the_server_which_can_not_read_it(server: Server, client: Client) -> None:
    client.shell("until grep -q ^/dev/ /proc/swaps; do sleep 1; done")
    device, kind, size, *_ = client.shell("tail -n 1 /proc/swaps").split()
    assert device.startswith("/dev/dm-")
    assert (kind, int(size)) == ("partition", 48 * 1024 - 4)
    (file,) = server.run(f"ls {FILES}").split()
    assert server.run(f"stat -c '%s %a' {FILES}/{file}").split() == [str(48 << 20), "600"]
    client.shell(fill("one", 30))
    assert int(client.shell(USED)) > 10
    # Its dirty pages may still be on their way.
    server.wait_for(f"[ $(du -m {FILES}/{file} | cut -f1) -gt 10 ]")
    assert server.run(f"grep -qa readable {FILES}/{file} && echo seen || :") == ""
    assert client.shell("uniq -c /dev/shm/one | grep -c .").strip() == "2", "the last line is half of one"
