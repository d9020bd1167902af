"""Clients that boot images of disks: each disk is made, built by the server and taken away by itself."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.lab import product, trees
from tests.lab.client import Client
from tests.lab.disks import Kind, make_disk, make_live, make_root
from tests.lab.fleet import Fleet, Machine
from tests.lab.laying import TABLES, call
from tests.lab.server import Server

LIVE = "live"
FORMATS = ("raw", "qcow2", "vmdk", "vmdk-flat", "vdi")
# Every format, every table, with and without LVM at least once.
COVERING = (
    Kind("raw", "none", lvm=False),
    Kind("qcow2", "gpt", lvm=True),
    Kind("vmdk", "dos", lvm=False),
    Kind("vmdk-flat", "gpt-esp-second", lvm=False),
    Kind("vdi", "dos-logical", lvm=True),
)
WHOLE = tuple(Kind(kind, table, lvm) for kind in FORMATS for table in TABLES for lvm in (False, True))


def names(kinds: Sequence[Kind]) -> dict[str, Kind | None]:
    """Return the images to boot by name, with the kinds of their disks; a live medium is none."""
    return {**{str(kind): kind for kind in kinds}, LIVE: None}


class Disks:
    """The clients of one module of tests; ``take`` hands one out, at its login prompt."""

    def __init__(self, server: Server, place: Path, kinds: Mapping[str, Kind | None]) -> None:
        self._server = server
        self._place = place
        self._tree = trees.tree(trees.SOURCES["bookworm"])
        self._root = make_root(self._tree, place / "root")
        # ltsp.conf is one file, and two clients get ready at a time.
        self._configuring = threading.Lock()
        self._macs: dict[str, str] = {}
        machines = {name: Machine(prepare=partial(self._prepare, name, kind)) for name, kind in kinds.items()}
        self._fleet = Fleet(server, machines, "52:54:00:67:d1")

    def _prepare(self, name: str, kind: Kind | None, mac: str) -> None:
        """Make a disk, put it on the server, build its image, and let a client boot that."""
        self._macs[name] = mac
        work = self._place / name
        work.mkdir()
        if kind is None:
            made = make_live(self._tree, work)
        else:
            made = make_disk(self._tree, work, kind, name=name, root=self._root)
        # Not where images are made from, for all tests would see it; nor where it would be in an image of /.
        home = self._server.path(f"/srv/vm/{name}")
        home.mkdir(parents=True)
        call("cp", "--sparse=always", *work.iterdir(), home)
        call("rm", "-r", work)
        word = f"/srv/vm/{name}/{made.name}"
        if kind is not None and kind.format == "qcow2":
            # By its name, as most people would; the others by their path.
            self._server.run(f"ln -s {word} /srv/ltsp/{name}.img")
            self._server.wait_for(f"ltspctl image show {name}")
            word = name
        product.build(self._server, word)
        with self._configuring:
            product.configure(self._server, {mac: {"DEFAULT_IMAGE": name, "HOSTNAME": f"from-{name}"}})

    @contextmanager
    def take(self, name: str) -> Iterator[Client]:
        """Hand out the client that boots from a disk; afterwards the disk and its image are gone."""
        try:
            with self._fleet.take(name) as client:
                yield client
        finally:
            self._forget(name)

    def _forget(self, name: str) -> None:
        with self._configuring:
            # A section that names an image which is not there any more is a problem for all other tests.
            self._server.conf.pop(self._macs.get(name, ""), None)
            product.configure(self._server, {})
            places = f"/srv/ltsp/{name}.img /srv/vm/{name} /srv/ltsp/images/{name}"
            self._server.run(f"rm -rf {places}; ltspctl apply")

    def close(self) -> None:
        """Let nothing more start, and leave nothing."""
        self._fleet.close()
        for name in self._macs:
            self._forget(name)
        self._root.unlink()


@contextmanager
def disks_of(
    request: pytest.FixtureRequest, server: Server, place: Path, kinds: Sequence[Kind]
) -> Iterator[Disks]:
    """Boot clients for the selected tests of the module that asks, by their parameter ``name``."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = [
        str(item.callspec.params["name"])
        for item in items
        if item.module is request.module and hasattr(item, "callspec") and "name" in item.callspec.params
    ]
    known = names(kinds)
    disks = Disks(server, place, {name: known[name] for name in dict.fromkeys(chosen)})
    try:
        yield disks
    finally:
        disks.close()


def check_booted(client: Client, name: str) -> None:
    """Check that a client runs the image of that name, and that nothing of the disk is missed."""
    assert f"ltsp.image={name} " in client.shell("cat /proc/cmdline")
    assert client.shell("hostname").strip() == f"from-{name}"
    assert client.shell("findmnt -n -o FSTYPE /").strip() == "overlay"
    # What the disk's fstab mounted is not, and nothing failed for that.
    assert client.shell("grep -v '^#' /etc/fstab || :").strip() == ""
    assert client.shell("systemctl --failed --no-legend --plain").strip() == ""
    # The kernel that runs came from the disk, and its modules are there for it.
    assert client.shell("uname -r").strip() in client.shell("ls /lib/modules").split()
    client.shell("modprobe dm-mod && grep -q '^dm_mod ' /proc/modules")
