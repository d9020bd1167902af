"""Which image a Raspberry Pi boots. It has no menu: its firmware takes files by their names. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import IMAGE
from ltspd.model.facts import PiFiles
from ltspd.model.menu import Entry

IMAGE_OF_ALL = Parameter("RPI_IMAGE", IMAGE, "", SERVER, "Image that Raspberry Pis boot")
IMAGE_OF_ONE = Parameter(
    "RPI_IMAGE_*",
    IMAGE,
    "",
    SERVER,
    "Image of one Raspberry Pi, by the last 8 digits of its serial number: RPI_IMAGE_9ffefdef",
)
# The folder that it asks for its files first (its bootloader's TFTP_PREFIX=0).
_SERIAL = re.compile(r"[0-9a-f]{8}")


def choices(
    settings: Settings, entries: Sequence[Entry], files: Mapping[str, PiFiles]
) -> Iterator[tuple[str, Entry | None, str]]:
    """Yield for each setting whom it is for (everybody else: empty), its entry, or what is wrong."""
    wanted = {"": settings[IMAGE_OF_ALL], **settings.family(IMAGE_OF_ONE)}
    names = {each.name: each for each in entries}
    for who, name in wanted.items():
        if not name:
            continue
        said, serial, entry = f"RPI_IMAGE{'_' if who else ''}{who}=", who.lower(), names.get(name)
        if who and not _SERIAL.fullmatch(serial):
            yield (
                serial,
                None,
                f"{said} names no Raspberry Pi: write the last 8 digits of its serial number, 0 to f.",
            )
        elif entry is None:
            yield serial, None, f"{said}{name} is not a built image; there is: {', '.join(names) or 'none'}."
        elif not entry.architecture.startswith(("aarch64", "arm")):
            kind = entry.architecture or "another architecture"
            yield serial, None, f"{said}{name} is an image for {kind}; a Raspberry Pi needs one for ARM."
        elif entry.image not in files:
            yield (
                serial,
                None,
                f"{said}{name}: the image's source is no directory with the firmware of Raspberry Pis; "
                "install raspi-firmware in it.",
            )
        else:
            yield serial, entry, ""
