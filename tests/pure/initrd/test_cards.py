"""Which drivers a network card may need, by what a boot program and the kernel call it."""

import zlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.initrd import cards, cpio

ALIASES = """alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias pci:v00008086d000015FBsv00001028sd*bc*sc*i* e1000e
alias pci:v00008086d000015FBsv*sd*bc*sc*i* igc
alias pci:v000010ECd00008139sv*sd*bc*sc*i* 8139too
alias pci:v000010ECd00008139sv*sd*bc*sc*i* 8139cp
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias virtio:d00000001v* virtio_net
alias usb:v0BDAp8153d*dc*dsc*dp*icFFiscFFip00in* r8152
alias usb:v0BDAp8153d*dc*dsc*dp*ic02isc06ip00in* cdc_ether
alias pci:v000014E4d*sv*sd*bc02sc00i* tg3
alias of:N*T*Cbrcm,bcm2711-genet-v5 genet
alias broken
"""
USERS = [frozenset({name}) for name in ("e1000e", "igc", "8139too", "8139cp", "virtio_net", "tg3", "genet")]
USERS += [frozenset({"8139too", "8139cp"}), frozenset({"r8152", "cdc_ether"})]
SIZES = [40, *range(4, 4 * len(USERS) + 4, 4)]


def initrd(identity: bytes = b"identity") -> bytes:
    parts = (bytes([number]) * size for number, size in enumerate(SIZES))
    return cards.make_index(SIZES, USERS, ALIASES) + b"".join(parts) + identity


@cache
def index() -> cards.Index:
    found = cards.read_index(initrd())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("card", "drivers"),
    [
        ("8086:10d3", ("e1000e",)),
        # Which of two it is depends on what a boot program doesn't tell.
        ("8086:15fb", ("e1000e", "igc")),
        ("pci:v00008086d000015FBsv00001043sd00000001bc02sc00i00", ("igc",)),
        ("10ec:8139", ("8139cp", "8139too")),
        ("14e4:1682", ("tg3",)),
        # The driver of a bus is no card's, and every machine has it.
        ("1af4:1000", ("virtio_net",)),
        ("1af4:1041", ("virtio_net",)),
        ("1af4:1001", ()),
        ("virtio:d00000001v00001AF4", ("virtio_net",)),
        ("virtio:d00000002v00001AF4", ()),
        ("usb:v0BDAp8153d3000dc00dsc00dp00icFFiscFFip00in00", ("r8152",)),
        ("of:NethernetTCbrcm,bcm2711-genet-v5", ("genet",)),
        # A USB card's controller.
        ("8086:a36d", ()),
        ("", ()),
        ("*", ()),
        ("pci:*", ()),
    ],
)
def test_a_card_is_known_by_its_id_or_by_what_the_kernel_calls_it(
    card: str, drivers: tuple[str, ...]
) -> None:
    assert index().drivers(card) == drivers


def test_a_machine_gets_what_is_for_all_and_for_its_drivers() -> None:
    data = initrd()
    found = index()

    def got(*drivers: str) -> bytes:
        return b"".join(data[at : at + size] for at, size in found.ranges(drivers, len(data)))

    assert got("e1000e") == bytes(40) + b"\1" * 4 + b"identity"
    assert got("8139too", "8139cp") == bytes(40) + b"\3" * 12 + b"\4" * 16 + b"\10" * 32 + b"identity"


def test_the_rest_of_a_whole_initrd_is_what_it_was() -> None:
    data = initrd()
    members, end = cpio.read(data)
    assert [each.path for each in members] == ["ltsp", cards.INDEX]
    assert end <= index().parts[0][0]
    assert data[index().parts[0][0] :].startswith(bytes(40) + b"\1")


def test_what_tells_a_client_that_its_initrd_is_slim() -> None:
    data = cards.marker(["8139cp", "8139too"])
    members, _ = cpio.read(data)
    assert [data[each.at : each.at + each.size] for each in members if each.path == "ltsp/slim"] == [
        b"8139cp 8139too\n"
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x28\xb5\x2f\xfd of an older version",
        cpio.archive([cpio.file("etc/early", b"microcode")]),
        cpio.archive([cpio.file(cards.INDEX, b"no zlib")]),
        cpio.archive([cpio.file(cards.INDEX, zlib.compress(b"[]"))]),
        cpio.archive([cpio.file(cards.INDEX, zlib.compress(b'{"sizes": [], "pieces": {}, "aliases": ""}'))]),
        cards.make_index([4], [], ""),
        cards.make_index([4], [], "")[:-512],
        cards.make_index([1 << 40], [], "") + bytes(99),
        cards.make_index([4], [frozenset("x")], "") + bytes(99),
        cpio.archive([cpio.file(cards.INDEX, zlib.compress(bytes(16 << 20)))]),
    ],
)
def test_an_initrd_without_an_index_has_no_parts(data: bytes) -> None:
    assert cards.read_index(data) is None


@given(st.binary(max_size=600), st.text(max_size=40))
def test_no_bytes_and_no_card_are_too_much(data: bytes, card: str) -> None:
    cards.read_index(data)
    assert set(index().drivers(card)) <= index().pieces.keys()
