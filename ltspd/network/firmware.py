"""What clients' firmware is and which boot program it gets: one row for each architecture. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One kind of firmware.

    ``numbers`` are what it sends in DHCP option 93 (RFC 4578 and its errata; x86-64 UEFI says 7 or 9,
    depending on the vendor). ``program`` is the iPXE that it can run. ``services`` are dnsmasq's words for
    the numbers in ``pxe-service`` (dnsmasq(8)), which has 7 and 9 the other way round than the RFC.
    """

    name: str
    numbers: tuple[int, ...]
    program: str
    services: tuple[str, ...]


ARCHITECTURES = (
    Architecture("bios", (0,), "undionly.kpxe", ("x86PC",)),
    Architecture("efi64", (7, 9), "snponly.efi", ("BC_EFI", "X86-64_EFI")),
)

# What an iPXE must be able to do to run our menu itself; DHCP option 175 lists its features
# (https://ipxe.org/howto/dhcpd). Stripped builds in NIC ROMs lack some and get a full one first.
IPXE_FEATURES = {"http": 19, "bzimage": 24, "pxe": 33, "efi": 36, "menu": 39}
