"""A package that apt installs on the server: the daemon hears of it, and images follow once, unasked."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.apt import APT, MAKE
from tests.lab.product import image
from tests.lab.server import Server

pytestmark = pytest.mark.lab


def install(server: Server, version: str) -> None:
    """Make and install a version of the package on the server."""
    server.run(f"sh -s {version}", stdin=MAKE)
    server.run(f"{APT} install /run/lab-nothing_{version}.deb")


def of_the_root(server: Server) -> str:
    """Return the name of the image of /."""
    (found,) = (each["Name"] for each in product.status(server)["Images"] if each["Source"] == "/")
    return str(found)


def builds(server: Server, name: str) -> list[str]:
    """Return the ids of the builds of an image, running and finished."""
    jobs = json.loads(server.run("ltspctl job list --json"))
    return [each["Id"] for each in jobs if (each["Kind"], each["Subject"]) == ("build", name)]


def wait_current(server: Server, name: str, after: str) -> str:
    """Wait until an image has another current generation and nothing is left to do; return its id."""
    server.wait_for(lambda: image(server, name)["Current"] not in ("", after, "/"))
    server.wait_for(lambda: not [each for each in builds(server, name) if running(server, each)])
    return str(image(server, name)["Current"])


def running(server: Server, job: str) -> bool:
    return bool(json.loads(server.run(f"ltspctl job show --json {job}"))["State"] == "running")


@pytest.fixture
def clean(server: Server) -> Iterator[None]:
    """Begin when nothing is built by itself, and leave the server and the source without the package."""
    rest = "! ltspctl job list --json | grep -q running"
    try:
        product.configure(server, {"server": {"AUTO_REBUILD": "0"}})
        server.wait_for(rest)
        yield
    finally:
        server.run(f"{APT} purge lab-nothing; rm -rf /run/pkg /run/lab-nothing_*", check=False)
        server.run("chroot /srv/ltsp/bookworm dpkg --purge lab-nothing", check=False)
        server.conf.pop("server", None)
        product.configure(server, {})
    server.wait_for(rest)


def test_an_installation_makes_the_image_of_the_server_stale_at_once(server: Server, clean: None) -> None:
    name = of_the_root(server)
    server.run("ltspctl image build /")
    listen = "busctl monitor --match=\"member='PackagesChanged'\""
    server.run(f"systemd-run --quiet --collect --unit=listener -p StandardOutput=file:/run/heard {listen}")
    server.wait_for("grep -q Monitoring /run/heard || journalctl -u listener | grep -q Monitoring")
    install(server, "1")
    server.wait_for(lambda: image(server, name)["StaleBecause"])
    server.run("systemctl stop listener")
    # The daemon also watches dpkg's files; this is the hook itself, which counts as one call an apt run.
    assert server.run("grep -c Member=PackagesChanged /run/heard").strip() == "1"


def test_an_image_of_the_server_is_rebuilt_once_by_itself(server: Server, clean: None) -> None:
    name = of_the_root(server)
    server.run("ltspctl image build /")
    product.configure(server, {"server": {"AUTO_REBUILD": "1"}})
    before, known = image(server, name)["Current"], builds(server, name)
    install(server, "2")
    wait_current(server, name, before)
    product.looked_again(server)
    assert len(set(builds(server, name)) - set(known)) == 1
    assert not image(server, name)["StaleBecause"]


def test_an_image_of_a_chroot_is_rebuilt_once_by_itself(server: Server, clean: None) -> None:
    product.build(server, "bookworm")
    product.configure(server, {"server": {"AUTO_REBUILD": "1"}})
    before, known = image(server, "bookworm")["Current"], builds(server, "bookworm")
    server.run("sh -s 3", stdin=MAKE)
    server.run("cp /run/lab-nothing_3.deb /srv/ltsp/bookworm/tmp/")
    server.run("chroot /srv/ltsp/bookworm dpkg -i /tmp/lab-nothing_3.deb")
    current = wait_current(server, "bookworm", before)
    product.looked_again(server)
    assert len(set(builds(server, "bookworm")) - set(known)) == 1
    assert image(server, "bookworm")["Current"] == current


def test_apt_neither_starts_the_daemon_nor_waits_nor_fails(server: Server, clean: None) -> None:
    hook = server.run("sed -n 's/.*{ \"\\(.*\\)\"; };/\\1/p' /etc/apt/apt.conf.d/80ltspd")
    assert "busctl" in hook
    server.run("systemctl stop ltspd")
    try:
        install(server, "4")
        assert server.run("systemctl is-active ltspd || :").strip() == "inactive"
    finally:
        server.run("systemctl start ltspd")
    # A daemon that hangs holds it up for a moment and no longer.
    server.run("systemctl kill --signal=STOP ltspd")
    try:
        began = time.monotonic()
        server.run(hook)
        # A call on the bus that is not told otherwise waits for 25 s.
        assert time.monotonic() - began < 25
    finally:
        server.run("systemctl kill --signal=CONT ltspd")
    # In a chroot there is no bus.
    server.run(f"unshare --mount sh -c 'mount -t tmpfs none /run; {hook}'")
    product.wait_until_up(server)
