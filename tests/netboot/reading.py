"""Clients that read their root all the time, past the page cache, and note what could not be read."""

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
        [ -e "$file" ] || continue
        cat "$file" >/dev/null 2>>/run/errors && echo . >>/run/reads
    done
    echo 3 >/proc/sys/vm/drop_caches
done
END
: >/run/errors; : >/run/reads; (setsid sh /run/reader </dev/null >/dev/null 2>&1 &)"""


@contextmanager
def reading(server: Server, name: str, mac: str, transport: str) -> Iterator[Client]:
    """Boot a client of the image `bookworm` that begins to read; at the end it goes off."""
    with product.configured(server, {mac: {"DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": transport}}):
        client = power_on(server.session, server.lan, "bios", mac=mac, name=name)
        try:
            client.login_prompt()
            client.shell(READER)
            yield client
        finally:
            client.off()


def reads_on(server: Server, client: Client, what: str, files: int = 40) -> None:
    """Wait until the client has read so many more files, and all of them without an error."""

    def count() -> int:
        return int(client.shell("wc -l </run/reads"))

    reads = count()
    server.wait_for(lambda: count() > reads + files, 120)
    assert client.shell("cat /run/errors").strip() == "", what
    assert client.shell("dmesg | grep -c -e I/O.error -e SQUASHFS.error || :").strip() == "0", what
