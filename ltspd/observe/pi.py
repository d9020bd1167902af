"""What a Raspberry Pi needs beside kernel and initrd, in the sources of images. Reads files only."""

import re
from collections.abc import Iterable
from pathlib import Path

from ltspd.model.facts import PiFiles
from ltspd.model.image import Source, SourceKind

# Where systems have the firmware: Raspberry Pi OS and Debian, the former until 2022, Debian's package.
_PLACES = ("boot/firmware", "boot", "usr/lib/raspi-firmware")
_FIRMWARE = re.compile(r"bootcode\.bin|(start|fixup)4?(x|cd|db)?\.(elf|dat)")
# Device trees of all models, and what is added to them.
_TREES, _OVERLAYS = re.compile(r"bcm27[0-9a-z-]+\.dtb"), re.compile(r"[0-9a-z_+-]+\.dtbo?")
_KERNEL = "linux-image-"


def look(sources: Iterable[Source]) -> dict[str, PiFiles]:
    """Return the files by the source's name; sources without firmware are left out."""
    found = {each.name: _of(Path(each.path)) for each in sources if each.kind is SourceKind.DIRECTORY}
    return {name: files for name, files in found.items() if files.firmware}


def _of(root: Path) -> PiFiles:
    for place in _PLACES:
        if firmware := _matching(root, root / place, _FIRMWARE):
            break
    else:
        return PiFiles()
    trees = {"": _trees(root, root / place, root / place)}
    for package in sorted((root / "usr/lib").glob(f"{_KERNEL}*")):
        kernel = package.name.removeprefix(_KERNEL)
        trees[kernel] = _trees(root, package / "broadcom", package)
    return PiFiles(firmware, {kernel: files for kernel, files in trees.items() if files})


def _trees(root: Path, place: Path, above: Path) -> dict[str, str]:
    overlays = _matching(root, above / "overlays", _OVERLAYS)
    return _matching(root, place, _TREES) | {f"overlays/{name}": path for name, path in overlays.items()}


def _matching(root: Path, place: Path, names: re.Pattern[str]) -> dict[str, str]:
    """Return the files of a folder by their names there; nothing of a folder outside of the source."""
    try:
        if not place.resolve().is_relative_to(root.resolve()):
            return {}
        return {
            each.name: str(each)
            for each in sorted(place.iterdir())
            if names.fullmatch(each.name) and not each.is_symlink() and each.is_file()
        }
    except OSError:
        return {}
