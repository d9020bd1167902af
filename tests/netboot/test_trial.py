"""Trials on a real server: what boots is published, what does not is not, and nothing stays behind."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

IMAGE = "bookworm"
LOGS = "/var/lib/ltspd/trials"
GETTYS = ("getty", "serial-getty")


@pytest.fixture(scope="module")
def tester() -> Iterator[Server]:
    """Boot a server that has QEMU, with a LAN of its own, and build its image."""
    with open_session() as session:
        server = start_server(session, make_lan(session), tree="trial-server", sources={IMAGE: "client"})
        product.wait_until_up(server)
        product.configure(server, {"server": {"TEST_MEMORY": "768"}})
        yield server
    assert leftovers(session.name) == []


def machines(server: Server) -> str:
    """Return what there is of a trial: its unit if it is not at rest, its processes, its files."""
    return server.run(
        "systemctl is-active --quiet ltspd-trial && echo unit; pgrep -a 'qemu|nbd-server';"
        "pgrep -af lib/ltspd/[t]rial; ls -d /run/ltspd/trial.socket /tmp/*/tmp/ltspd-trial-* 2>/dev/null",
        check=False,
    )


def links(server: Server) -> str:
    return server.run(
        "ls /sys/class/net; ip -4 addr show | grep inet; ls /run/netns 2>/dev/null", check=False
    )


def current(server: Server) -> str:
    return server.run(f"basename $(readlink /srv/ltsp/images/{IMAGE}/current)").strip()


def generations(server: Server) -> list[str]:
    return server.run(f"ls /srv/ltsp/images/{IMAGE}/generations").split()


def job(server: Server) -> dict[str, object]:
    """Return the newest job."""
    found: dict[str, object] = product.status(server)["Jobs"][-1]
    return found


def test_a_good_generation_is_published_after_its_test(tester: Server) -> None:
    before = links(tester)
    said = tester.run(f"ltspctl image build --test {IMAGE}")
    phases = [line.removeprefix(f"{IMAGE}: ") for line in said.splitlines()]
    # What follows the layer is over so fast that it may never be shown; a machine's boot can't be missed.
    order = ["squashfs", "firmware", "root", "init", "login"]
    assert [each for each in phases if each in order] == order, said
    console = tester.run(f"cat {LOGS}/{IMAGE}-{current(tester)}.log")
    assert "ltsp: root mounted (nbd)" in console
    assert "ltsp: trial: login" in console
    assert tester.run(f"stat -c %a {LOGS}").strip() == "700"
    assert machines(tester) == ""
    assert links(tester) == before
    # What the machine has read lies together in the next base, which is made at once.
    home = f"/srv/ltsp/images/{IMAGE}"
    reads = tester.run(f"cat {home}/reads").splitlines()
    assert {"usr/lib/systemd/systemd", "usr/bin/dash", "usr/sbin/agetty"} <= set(reads)
    assert len(reads) < 2000
    assert not [each for each in reads if each.startswith(("usr/share/doc", "boot/"))]
    tester.wait_for(lambda: product.image(tester, IMAGE)["Generations"][-1]["Ordered"])
    tester.wait_for(lambda: product.status(tester)["State"] == "in-sync")
    assert len(tester.run(f"cat {home}/current/layers").splitlines()) == 1
    # The new base boots, too, and tells nothing that would need another one.
    tester.run(f"ltspctl image test {IMAGE}")
    assert tester.run(f"cat {home}/reads").splitlines() == reads
    assert job(tester)["Kind"] == "test"


def test_a_generation_that_does_not_boot_is_not_published(tester: Server) -> None:
    good, all_of_them = current(tester), generations(tester)
    source = f"/srv/ltsp/{IMAGE}/usr/lib/systemd/systemd"
    tester.run(f"cp -p {source} /run/systemd.good; cp -p /bin/true {source}")
    product.configure(tester, {"server": {"TEST_IMAGE": "1"}})
    try:
        with pytest.raises(RuntimeError) as failed:
            product.build(tester, IMAGE)
    finally:
        tester.run(f"cp -p /run/systemd.good {source}")
        product.configure(tester, {"server": {"TEST_IMAGE": "0"}})
    message = str(failed.value)
    assert "is not published" in message
    assert "its kernel panicked: Attempted to kill init" in message
    assert "\n  " in message, "the console's end is shown"
    error = job(tester)["Error"]
    assert isinstance(error, list)
    assert error[0] == "org.ltsp.Server1.Error.TestFailed"
    log = next(word for word in error[1].split() if word.startswith(LOGS))
    assert "Kernel panic" in tester.run(f"cat {log}")
    assert current(tester) == good
    assert generations(tester) == all_of_them
    assert tester.run(f"ls -A /srv/ltsp/images/{IMAGE} | grep work", check=False) == ""
    assert machines(tester) == ""


def test_an_image_that_nobody_can_log_in_to_is_not_published(tester: Server) -> None:
    good = current(tester)
    masked = " ".join(f"/srv/ltsp/{IMAGE}/etc/systemd/system/{name}@.service" for name in GETTYS)
    tester.run(f"for unit in {masked}; do ln -s /dev/null $unit; done")
    try:
        with pytest.raises(RuntimeError, match="neither a getty nor a display manager is active"):
            tester.run(f"ltspctl image build --test {IMAGE}", timeout=400)
    finally:
        tester.run(f"rm {masked}")
    assert current(tester) == good


def test_nothing_is_left_of_a_test_whose_daemon_was_killed(tester: Server) -> None:
    tester.run(f"ltspctl image test --no-wait {IMAGE}")
    tester.wait_for(lambda: job(tester)["Phase"] in ("root", "init"))
    assert "qemu" in machines(tester)
    # It has no right, no other network than its own, and is nobody's.
    qemu = tester.run("pgrep -f '^qemu-system'").strip()
    status = tester.run(f"cat /proc/{qemu}/status")
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Uid:\t0" not in status
    assert (
        tester.run(f"ls -l /proc/{qemu}/ns/net").split()[-1] != tester.run("ls -l /proc/1/ns/net").split()[-1]
    )
    pid = tester.run("systemctl show -P MainPID ltspd").strip()
    tester.run(f"kill -9 {pid}")
    tester.wait_for(lambda: machines(tester) in ("", "/run/ltspd/trial.socket\n"))
    product.wait_until_up(tester)
    tester.wait_for(lambda: product.status(tester)["State"] == "in-sync")
    # It is not in the way of the next one.
    tester.run(f"ltspctl image test --no-wait {IMAGE} {current(tester)}")
    tester.wait_for(lambda: job(tester)["Phase"] in ("root", "init"))
    tester.run(f"ltspctl job cancel {job(tester)['Id']}")
    tester.wait_for(lambda: job(tester)["State"] == "cancelled")
    tester.wait_for(lambda: machines(tester) == "")


def test_what_a_test_needs_is_said_before_it_begins(tester: Server) -> None:
    tester.run("mv /usr/bin/qemu-system-x86_64 /run/qemu")
    try:
        with pytest.raises(RuntimeError, match="install the package qemu-system-x86"):
            tester.run(f"ltspctl image test {IMAGE}")
    finally:
        tester.run("mv /run/qemu /usr/bin/qemu-system-x86_64")
    product.configure(tester, {"server": {"TEST_MEMORY": str(1 << 20)}})
    try:
        with pytest.raises(RuntimeError, match=r"only \d+ MiB are free"):
            tester.run(f"ltspctl image build --test {IMAGE}")
    finally:
        product.configure(tester, {"server": {"TEST_MEMORY": "768"}})
    with pytest.raises(RuntimeError, match="has no generation x"):
        tester.run(f"ltspctl image test {IMAGE} x")
    assert json.loads(tester.run("ltspctl status --json"))["State"] == "in-sync"
