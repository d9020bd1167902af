"""What is read from signed EFI programs, whatever is in the file."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.model.menu import GRUB, SHIM, Authority, Loader
from ltspd.network.loaders import loader_problems
from ltspd.observe.efi import read

NAMES = frozenset(Authority)
BOTH = (b"..Microsoft Corporation UEFI CA 2011..", b"Microsoft UEFI CA 2023")
LEVELS = b"sbat,1,2025021800\nshim,4\ngrub,5\n\0sbat,1,2025051000\nshim,4\ngrub,6\n\0sbat,1,2021030218\n\0"
SBAT = b"sbat,1,SBAT Version,sbat,1,url\nshim,4,UEFI shim,shim,1,url\n"


def program(sbat: bytes = SBAT, signatures: tuple[bytes, ...] = BOTH, data: bytes = b"") -> bytes:
    """Return a PE file with one section and a table of certificates."""
    optional = bytearray(112 + 8 * 5)
    struct.pack_into("<H", optional, 0, 0x20B)
    section = struct.pack("<8sIIII16x", b".sbat", len(sbat), 0x1000, 4096, 1024)
    table = b""
    for each in signatures:
        table += struct.pack("<IHH", len(each) + 8, 0x200, 2) + each
        table += bytes(-len(table) % 8)
    start = 1024 + 4096
    struct.pack_into("<II", optional, 112 + 8 * 4, start + len(data), len(table))
    header = struct.pack("<4sHH12xHH", b"PE\0\0", 0x8664, 1, len(optional), 0)
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40) + header + optional + section
    return head.ljust(1024, b"\0") + sbat.ljust(4096, b"\0") + data + table


def test_a_program_says_who_signed_it_and_what_it_revokes() -> None:
    # A level is read wherever it lies, and what follows begins at a multiple of 8.
    found = read(program(data=LEVELS.ljust(128, b"\0")), NAMES)
    assert found == Loader(
        (frozenset({Authority.CA_2011}), frozenset({Authority.CA_2023})),
        {"sbat": 1, "shim": 4},
        {"shim": 4, "grub": 5},
    )


@pytest.mark.parametrize("data", [b"", b"MZ", bytes(4096), program()[:200], b"#!/bin/sh\n" * 50])
def test_other_files_are_named_as_what_they_are(data: bytes) -> None:
    with pytest.raises(ValueError, match="EFI program"):
        read(data, NAMES)


@given(st.integers(0, 1023), st.binary(min_size=1, max_size=16))
def test_no_file_does_harm(place: int, bytes_there: bytes) -> None:
    data = bytearray(program(data=LEVELS.ljust(128, b"\0")))
    data[place : place + len(bytes_there)] = bytes_there
    try:
        found = read(bytes(data), NAMES)
    except ValueError:
        return
    assert len(found.signatures) <= 16


def loaders(shim: Loader, grub: int = 5) -> dict[str, Loader]:
    return {SHIM: shim, GRUB: Loader(generations={"grub": grub})}


def test_what_firmware_would_refuse_is_said() -> None:
    both = read(program(data=LEVELS.ljust(128, b"\0")), NAMES)
    one = read(program(signatures=BOTH[:1], data=LEVELS.ljust(128, b"\0")), NAMES)
    other = read(program(signatures=BOTH[1:]), NAMES)
    assert list(loader_problems(loaders(both))) == []
    (said,) = loader_problems(loaders(one))
    assert "not signed by Microsoft UEFI CA 2023: new machines" in said
    (said,) = loader_problems(loaders(other))
    assert "not signed by Microsoft Corporation UEFI CA 2011: machines made before" in said
    (said,) = loader_problems(loaders(both, grub=4))
    assert "grubx64.efi is grub,4" in said
    assert "upgrade grub-efi-amd64-signed" in said
    (said,) = loader_problems({SHIM: both})
    assert "apt install grub-efi-amd64-signed" in said
    (said,) = loader_problems({**loaders(both), SHIM: Loader(error="is no EFI program")})
    assert said == "shimx64.efi is no EFI program; reinstall shim-signed."
