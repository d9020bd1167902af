"""LTSP's syntax for image sources, ``img1,options,,img2,options``, and what it means here. Pure.

ltspd finds systems and file systems on a disk by their content, so most of what LTSP needed to be told is
only checked.
"""

import posixpath
import re
from dataclasses import dataclass

from ltspd.errors import InvalidOption

# Options of LTSP's examples and of mount(8) that hold here anyway: read-only, by loop device and so on.
_GRANTED = frozenset(["ro", "loop", "noload", "norecovery", "nouuid", "noatime", "nodev", "nosuid", "noexec"])
_ENDINGS = (".img", ".qcow2", ".vmdk", ".vdi", ".raw", ".iso")
MAX_LENGTH = 4096
MAX_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Word:
    """A source's name or path, and the partition that its system is in (0: find it)."""

    image: str
    partition: int = 0


def parse(word: str) -> Word:
    """Return the meaning of one of LTSP's image words; raises InvalidOption.

    A plain name is returned unchecked.
    """
    if "," not in word and "/" not in word:
        return Word(word)
    if len(word) > MAX_LENGTH or any(not each.isprintable() for each in word):
        raise InvalidOption("An image can't be named with that many, or unprintable, characters.")
    images = [_split(each) for each in word.split(",,")]
    if len(images) > MAX_IMAGES:
        raise InvalidOption(f"{len(images)} images can't be one; {MAX_IMAGES} are more than anybody needs.")
    (first, options), *others = images
    if options.get("subdir"):
        raise InvalidOption(
            f"{first!r} can't be the image's subdirectory {options['subdir']!r}: the first image is its root."
        )
    for other, its in others:
        _check_part(first, other, its)
    return Word(first, _partition(first, options))


def _split(part: str) -> tuple[str, dict[str, str]]:
    image, *options = part.split(",")
    if not image:
        raise InvalidOption("An image without a name can't be built: two commas stand between two images.")
    found: dict[str, str] = {}
    for option in filter(None, options):
        key, equals, value = option.partition("=")
        if key == "rw":
            raise InvalidOption(f"{image!r} can't be used with 'rw': a source is never written to.")
        if key not in ("partition", "fstype", "subdir") and key not in _GRANTED:
            raise InvalidOption(
                f"{image!r} can't be used with the option {option!r}. Known are partition=, fstype= and "
                "subdir=; file systems are always mounted as they are found, and read-only."
            )
        if bool(equals) == (key in _GRANTED):
            raise InvalidOption(f"{image!r} can't be used with the option {option!r}: that is not its form.")
        found[key] = value
    return image, found


def _partition(image: str, options: dict[str, str]) -> int:
    value = options.get("partition", "0")
    if not re.fullmatch(r"[0-9]{1,4}", value) or ("partition" in options and int(value) == 0):
        raise InvalidOption(f"{image!r} has no partition {value!r}: they are numbers from 1.")
    return int(value)


def _check_part(first: str, other: str, options: dict[str, str]) -> None:
    """Raise InvalidOption unless a further image is a part of the first one anyway."""
    target = posixpath.normpath("/" + options.get("subdir", ""))
    if first == "/" and other.startswith("/") and posixpath.normpath(other) == target != "/":
        return  # "/" is all of its file systems, wherever they are mounted from
    if other == first and target != "/" and options.get("partition"):
        _partition(other, options)
        return  # a disk's own fstab says where its partitions belong
    if options.get("fstype") in ("squashfs", "erofs") and not other.startswith("/") and target == "/":
        return  # the file systems inside a live medium are found by content
    if first == "/":
        reason = f"'/' already has its own file systems, and nothing else can become its {target}"
    elif target == "/":
        reason = f"{first!r} and {other!r} can't both be the root"
    else:
        reason = f"{other!r} can't become {target} of {first!r}: an image comes from one source"
    raise InvalidOption(f"{reason}. Install or copy what is missing into the source itself.")


def is_path(image: str) -> bool:
    """Return whether an image's word is a path; ``/`` itself is a name."""
    return "/" in image and image != "/"


def image_name(path: str) -> str:
    """Return the name of the image that a disk's path stands for: ``/vm/client-flat.vmdk`` is ``client``."""
    name = posixpath.basename(path)
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            if ending == ".vmdk":
                name = name.removesuffix("-flat")
    return name
