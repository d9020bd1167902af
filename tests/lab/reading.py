"""Clients that read their root all the time, past the page cache, and note what could not be read."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

# In random order; the log says how many files were read, the other one which could not be.
READER = """cat >/run/reader <<'END'
find /usr /etc /var -xdev -type f -size -200k 2>/dev/null >/run/files
while :; do
    shuf -n 20 /run/files | while read -r file; do
        LC_ALL=C cat "$file" >/dev/null 2>>/run/errors && echo . >>/run/reads
    done
    echo 3 >/proc/sys/vm/drop_caches
done
END
: >/run/errors; : >/run/reads; (setsid sh /run/reader </dev/null >/dev/null 2>&1 &)"""
# A running system itself removes files in /etc and /var; whatever else could not be read is an error.
ERRORS = "grep -v '^cat: /\\(etc\\|var\\)/.*: No such file' /run/errors || :"

# A shell on the second serial line also where an image has nothing of ours (systemd-debug-generator(8)).
SHELL = f"{product.CONSOLE} systemd.debug_shell=ttyS1"
# Longer than a client's kernel waits for an answer, in seconds.
AWAY = 60


@contextmanager
def reading(
    server: Server, name: str, mac: str, transport: str, image: str = "bookworm", parameters: str = ""
) -> Iterator[Client]:
    """Boot a client that begins to read; at the end it goes off."""
    conf = {"DEFAULT_IMAGE": image, "ROOT_TRANSPORT": transport}
    conf |= {"KERNEL_PARAMETERS": parameters} if parameters else {}
    with product.configured(server, {mac: conf}):
        client = power_on(server.session, server.lan, "bios", mac=mac, name=name)
        try:
            client.login_prompt(900)
            client.shell(READER)
            yield client
        finally:
            client.off()


def reads_on(server: Server, client: Client, what: str, files: int = 40) -> None:
    """Wait until the client has read so many more files, and all of them without an error."""

    def count() -> int:
        return int(client.shell("wc -l </run/reads"))

    reads = count()
    server.wait_for(lambda: count() > reads + files)
    assert client.shell(ERRORS).strip() == "", what
    assert client.shell("dmesg | grep -c -e I/O.error -e SQUASHFS.error || :").strip() == "0", what


def survives(server: Server, mac: str, image: str, parameters: str = "") -> None:
    """Have NBD's server be away for a while in which a client reads its root; nothing may fail."""
    with reading(server, f"away-{image}", mac, "nbd", image, parameters) as client:
        reads_on(server, client, "before anything")
        units = "'ltspd-nbd@*.service'"
        server.run(f"systemctl stop ltspd-nbd.socket && systemctl kill --signal=KILL {units}")
        server.wait_for(f"! systemctl is-active --quiet {units}")
        # Nothing can be asked of the client now: every program that it would start is to be read first.
        time.sleep(AWAY)
        server.run("systemctl start ltspd-nbd.socket")
        reads_on(server, client, f"NBD was away for {AWAY} s")
        said = client.shell("dmesg | grep nbd")
        assert "nbd0: the connection ended, reads wait" in said
        assert "nbd0: connected again" in said
