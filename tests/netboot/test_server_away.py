"""The server of a client's root is away for a while: what the client reads waits, and goes on."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.reading import SHELL, survives
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

GUEST = "dracut"


@pytest.fixture
def dracut(server: Server, images: tuple[str, ...]) -> Iterator[str]:
    """Build an image of trixie with its own initrd, which dracut made."""
    del images  # the lab's own are built first, so that nothing of this disturbs them
    server.run(f"mkdir /srv/ltsp/{GUEST} && mount --bind /srv/ltsp/trixie /srv/ltsp/{GUEST}")
    try:
        product.build(server, GUEST, "--initrd", "distribution")
        yield GUEST
    finally:
        server.run(f"umount /srv/ltsp/{GUEST} && rmdir /srv/ltsp/{GUEST}")


def test_reads_by_nbd_wait_for_their_server(server: Server, images: tuple[str, ...]) -> None:
    del images  # they must be built, that is all
    survives(server, "52:54:00:67:f5:03", "bookworm")


def test_reads_by_nbd_wait_with_dracuts_initrd(server: Server, dracut: str) -> None:
    survives(server, "52:54:00:67:f5:04", dracut, SHELL)
