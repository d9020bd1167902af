"""A client that is short of memory: swap on the server, which can not read it, and in RAM; a warning."""

import time
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
    conf = {"DEFAULT_IMAGE": "bookworm", "NBD_SWAP": "48M", "ROOT_SIZE": "40%"}
    try:
        with product.configured(server, {"server": {"NBD_SWAP_KEEP": "5s"}, MAC: conf}):
            # Its clock has stopped for years.
            late = ("-rtc", "base=2019-03-01")
            client = power_on(server.session, server.lan, "bios", mac=MAC, name="swaps", extra=late)
            try:
                client.login_prompt()
                yield client
            finally:
                client.off()
    finally:
        server.run(f"systemctl stop 'ltspd-swap*'; umount {FILES}; rm {DISK}", check=False)


def test_a_client_swaps_to_the_server_which_can_not_read_it(server: Server, client: Client) -> None:
    client.shell("until grep -q ^/dev/dm- /proc/swaps; do sleep 1; done")
    _, kind, size, *_ = client.shell("grep ^/dev/dm- /proc/swaps").split()
    assert (kind, int(size)) == ("partition", 48 * 1024 - 4)
    (file,) = server.run(f"ls {FILES}").split()
    assert server.run(f"stat -c '%s %a' {FILES}/{file}").split() == [str(48 << 20), "600"]
    client.shell("until grep -q ^/dev/zram0 /proc/swaps; do sleep 1; done; swapoff /dev/zram0")
    client.shell(fill("one", 30))
    assert int(client.shell(USED)) > 10
    # Its dirty pages may still be on their way.
    server.wait_for(f"[ $(du -m {FILES}/{file} | cut -f1) -gt 10 ]")
    assert server.run(f"grep -qa readable {FILES}/{file} && echo seen || :") == ""
    assert client.shell("uniq -c /dev/shm/one | grep -c .").strip() == "2", "the last line is half of one"


def test_a_client_swaps_to_compressed_memory_first(client: Client) -> None:
    client.shell("systemctl restart ltsp-zram")
    swaps = dict(line.split()[:5:4] for line in client.shell("tail -n +2 /proc/swaps").splitlines())
    (zram,) = (each for each in swaps if each.startswith("/dev/zram"))
    assert int(swaps[zram]) == max(map(int, swaps.values())) > 0


def test_a_client_whose_clock_is_wrong_takes_the_time_of_the_server(client: Client) -> None:
    assert abs(int(client.shell("date +%s")) - time.time()) < 3600
    assert "ltsp: the clock was wrong" in client.shell("journalctl -b -k --no-pager -g 'the clock was'")


def test_people_and_the_server_are_told_before_the_memory_for_changes_is_full(
    server: Server, client: Client
) -> None:
    # What fills it here is the root's own, above the image.
    free = int(client.shell("stat -f -c '%f' /run/initramfs/ltsp")) * 4096
    most = int(client.shell("stat -f -c '%b' /run/initramfs/ltsp")) * 4096
    total = int(client.shell("awk '/^MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert abs(most / total - 0.4) < 0.02
    client.shell("until systemctl is-active --quiet ltsp-space; do sleep 1; done")
    client.shell(f"head -c {free - most * 15 // 100} /dev/zero >/var/tmp/full")
    server.wait_for(lambda: "RAM for changes" in product.client(server, MAC)["Error"], 300)
    assert product.client(server, MAC)["Stage"] == "login"
    assert " is up, but: the RAM for changes in its root is 8" in server.run("ltspctl status", check=False)
    assert "files outside of the homes is 8" in client.shell("journalctl -q -b --no-pager -u ltsp-space")
    client.shell("rm /var/tmp/full")
    server.wait_for(lambda: not product.client(server, MAC)["Error"], 300)
