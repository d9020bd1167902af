"""What is wrong with boot programs: kinds without one, and what Secure Boot does not take of ours. Pure."""

from collections.abc import Collection, Iterator, Mapping

from ltspd.model.menu import GRUB, SHIM, Authority, BootWay, Loader, Menu
from ltspd.network.firmware import NEEDS, NUMBERS, boots

# Debian's packages of both.
_PACKAGES = {SHIM: "shim-signed", GRUB: "grub-efi-amd64-signed"}
_WITHOUT = {
    Authority.CA_2011: "machines made before 2024, whose firmware has only that key, refuse it",
    Authority.CA_2023: "new machines, whose firmware has only that key, refuse it",
}


# The kinds of firmware that a problem is made of, and where Debian has a program for each.
_KINDS = {"bios": "a BIOS", "efi64": "UEFI", "arm64": "UEFI on ARM"}
_IPXE = {"bios": "ipxe", "efi64": "ipxe", "arm64": "ipxe of Debian 13 or later"}


def missing_programs(programs: Collection[str], menu: Menu) -> Iterator[tuple[str, str]]:
    """Yield what it means that there is no program for a kind of firmware: a subject and a sentence.

    A machine with ARM is only thought of where there is an image for it.
    """
    able = {
        number for each in boots(programs, menu) if each.file and not each.macs for number in each.numbers
    }
    kinds = [each for each in _KINDS if not able.issuperset(NUMBERS[each])]
    if not any(each.arm for each in menu.offer.entries):
        kinds = [each for each in kinds if each != "arm64"]
    if kinds:
        what = " and ".join(_KINDS[each] for each in kinds)
        packages = " or ".join(dict.fromkeys(_IPXE[each] for each in kinds))
        yield (
            "boot programs",
            f"what boots {what} is not installed, so such machines are told nothing to boot: install "
            f"{packages} ('apt install ipxe').",
        )


def way_problems(
    ways: Collection[BootWay], programs: Collection[str], loaders: Mapping[str, Loader]
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the boot programs of these ways: a subject and a sentence."""
    if BootWay.SHIM in ways:
        yield from (("secure boot", each) for each in loader_problems(loaders))
    if BootWay.PXELINUX in ways and (absent := NEEDS[BootWay.PXELINUX] - set(programs)):
        yield (
            "menu",
            f"BOOT_WAY=pxelinux needs {', '.join(sorted(absent))} on this server: "
            "'apt install pxelinux syslinux-common'. Until then machines get iPXE.",
        )


def loader_problems(loaders: Mapping[str, Loader]) -> Iterator[str]:
    """Yield what keeps machines from starting shim, or shim from starting GRUB; sentences."""
    if absent := [package for name, package in _PACKAGES.items() if name not in loaders]:
        yield f"BOOT_WAY=shim needs {' and '.join(absent)} on this server: 'apt install {' '.join(absent)}'."
        return
    shim, grub = loaders[SHIM], loaders[GRUB]
    for name, loader in ((SHIM, shim), (GRUB, grub)):
        if loader.error:
            yield f"{name} {loader.error}; reinstall {_PACKAGES[name]}."
    if shim.error or grub.error:
        return
    known = frozenset[str]().union(*shim.signatures)
    for authority in sorted(_WITHOUT.keys() - known):
        yield (
            f"{SHIM} is not signed by {authority}: {_WITHOUT[authority]}. "
            f"Version 16.1 of {_PACKAGES[SHIM]} has both signatures."
        )
    for component, least in shim.least.items():
        for name, loader in ((SHIM, shim), (GRUB, grub)):
            own = loader.generations.get(component, least)
            if own < least:
                yield (
                    f"{name} is {component},{own}, and {SHIM} writes {component},{least} into firmware "
                    f"as the least that may start, so they refuse it; upgrade {_PACKAGES[name]}."
                )
