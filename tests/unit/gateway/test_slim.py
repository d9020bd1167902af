"""Initrds that fit: what a machine gets of one over real sockets, and all of it where it must."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.clients.table import Table
from ltspd.initrd import cards, cpio
from tests.worlds.gateways import PYTHONS, Gateway, ask, listed, memory, request, running, served_folder

MAC = "52:54:00:00:00:01"
ALIASES = "alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\nalias virtio:d00000001v* virtio_net\n"
COMMON, E1000E, VIRTIO = b"C" * 300_004, b"E" * 400_000, b"V" * 8
IDENTITY = cpio.archive([cpio.file("ltsp/image", b"a 1\n")])
SIZES = [len(COMMON), len(E1000E), len(VIRTIO)]
INDEX = cards.make_index(SIZES, [frozenset({"e1000e"}), frozenset({"virtio_net"})], ALIASES)
WHOLE = INDEX + COMMON + E1000E + VIRTIO + IDENTITY
URL = "/ltsp/images/a/generations/1/initrd.img"


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as path:
        (path / "initrd.img").write_bytes(WHOLE)
        (path / "old").mkdir()
        (path / "old/initrd.img").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(4000))
        yield path


def table(gateway: Gateway) -> Table:
    files = {"images/a/generations/1/initrd.img": "initrd.img", "old": "old/initrd.img"}
    return replace(listed(gateway.folder, gateway.port, **files), networks=("127.0.0.0/8",))


def fetched(gateway: Gateway, query: str = "", url: str = URL) -> bytes:
    status, headers, body = ask(gateway.port, request(f"{url}{query}"))
    assert status == 200
    assert int(headers["content-length"]) == len(body)
    return body


def report(gateway: Gateway, card: str, stage: str = "network", mac: str = MAC) -> None:
    body = f"mac={mac}\nstage={stage}\nclock=1.5\ncard={card}\n".encode()
    status, _, _ = ask(gateway.port, request("/ltsp/report", "POST", Content_Length=str(len(body))) + body)
    assert status == 204


@pytest.mark.parametrize("python", PYTHONS)
def test_a_machine_gets_what_its_card_needs(python: str, folder: Path) -> None:
    with running(folder, python) as gateway:
        gateway.hang_up(table(gateway))
        slim = fetched(gateway, f"?mac={MAC}&bus=01808610d3")
        assert slim == COMMON + E1000E + IDENTITY + cards.marker(["e1000e"])
        report(gateway, "pci:v00008086d000010D3sv0sd0bc02sc00i00")
        slim = fetched(gateway, f"?mac={MAC}&bus=011af41000")
        assert slim == COMMON + VIRTIO + IDENTITY + cards.marker(["virtio_net"])
        report(gateway, "virtio:d00000001v00001AF4")
        # An iPXE that can't tell.
        assert fetched(gateway, "?mac=52:54:00:00:00:02&bus=") == WHOLE
        report(gateway, "virtio:d00000001v00001AF4", mac="52:54:00:00:00:02")
        assert fetched(gateway, "?mac=52:54:00:00:00:02&bus=").startswith(COMMON + VIRTIO)
        log = gateway.log.read_text()
        assert f"{MAC} gets of the drivers in its initrd only e1000e" in log
        assert "Traceback" not in log


def test_who_does_not_come_up_gets_all_at_its_next_try(folder: Path) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway))
        query = f"?mac={MAC}&bus=01808610d3"
        assert len(fetched(gateway, query)) < len(WHOLE)
        assert fetched(gateway, query) == WHOLE
        assert fetched(gateway, query) == WHOLE
        report(gateway, "pci:v00008086d000010D3sv0sd0bc02sc00i00")
        assert len(fetched(gateway, query)) < len(WHOLE)


@pytest.mark.parametrize(
    "query",
    [
        "", "?", "?mac=&bus=01808610d3", "?mac=x&bus=01808610d3", f"?mac={MAC}", f"?mac={MAC}&bus=",
        f"?mac={MAC}&bus=07808610d3", f"?mac={MAC}&bus=01808610D3", f"?mac={MAC}&bus=01808610d3%0a",
        f"?mac={MAC}&bus=0112345678", f"?mac={MAC}&bus=${{busid}}", f"?mac={MAC}&bus={'0' * 300}",
        f"?bus=01808610d3&mac={MAC}%00",
    ],
)  # fmt: skip
def test_who_says_nothing_that_is_known_gets_all(shared: Gateway, query: str) -> None:
    assert fetched(shared, query) == WHOLE


def test_an_initrd_of_an_older_version_is_served_whole(shared: Gateway) -> None:
    for _ in range(2):
        whole = fetched(shared, "?mac=52:54:00:00:00:09&bus=01808610d3", "/ltsp/old")
        assert whole == b"\x28\xb5\x2f\xfd" + bytes(4000)


def test_ranges_and_sizes_are_those_of_the_whole_file(shared: Gateway) -> None:
    status, headers, _ = ask(shared.port, request(f"{URL}?mac={MAC}&bus=01808610d3", method="HEAD"))
    assert (status, int(headers["content-length"])) == (200, len(WHOLE))


@pytest.fixture(scope="module")
def shared() -> Iterator[Gateway]:
    with served_folder() as folder:
        (folder / "initrd.img").write_bytes(WHOLE)
        (folder / "old").mkdir()
        (folder / "old/initrd.img").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(4000))
        with running(folder) as gateway:
            gateway.hang_up(table(gateway))
            yield gateway


def test_many_machines_and_cards_take_little_memory(folder: Path) -> None:
    with running(folder, slim__KEEP_SECONDS=0.2) as gateway:
        gateway.hang_up(table(gateway))
        fetched(gateway, f"?mac={MAC}&bus=01808610d3")
        before = memory(gateway)
        for number in range(300):
            query = f"?mac=52:54:00:01:{number >> 8:02x}:{number & 255:02x}&bus=018086{number:04x}"
            assert fetched(gateway, query) == WHOLE
        time.sleep(0.4)
        assert memory(gateway) - before < 2 << 20
