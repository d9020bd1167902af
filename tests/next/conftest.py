"""A server of Debian's unstable release, and images of clients of it."""

from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.net import Lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session

# Image names, the root tree that is the source of each, and whose initrd it gets.
IMAGES = {
    "sid": ("next-client", "own"),
    "sid-dracut": ("next-client", "distribution"),
    "sid-initramfs": ("next-initramfs", "distribution"),
}
# All clients of a test boot at once, on a machine that may have other work.
PATIENCE = 900.0


@pytest.fixture(scope="module")
def server(lab: Session, lan: Lan) -> Iterator[Server]:
    """Boot a server of today's unstable with the product installed."""
    sources = {image: tree for image, (tree, _) in IMAGES.items()}
    server = start_server(lab, lan, tree="next-server", sources=sources, name="next-server")
    try:
        product.wait_until_up(server)
        product.configure(server, {})
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def images(server: Server) -> tuple[str, ...]:
    """Build the images and return their names."""
    for image, (_, initrd) in IMAGES.items():
        product.build(server, image, "--initrd", initrd)
    return tuple(IMAGES)
