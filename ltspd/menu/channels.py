"""Which generations the menu offers: each image's current one, then those of its other channels. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ltspd.model.image import Image
from ltspd.model.menu import CURRENT, Entry


def entries(images: Sequence[Image], titles: Mapping[str, str], machine: str = "") -> tuple[Entry, ...]:
    """Return the menu's entries; ``titles`` are by LTSP's names of images (``X86_64_IMG``).

    ``machine`` is what the server is, as ``uname -m`` says it.
    """
    names = {image.name: titles.get(title_key(image.name), "") for image in images}
    found = [each for image in images for each in _of_image(image, names[image.name], machine)]
    return tuple(sorted(found, key=lambda each: each.channel != CURRENT))


def title_key(image: str) -> str:
    """Return how LTSP writes an image's name inside a parameter's: ``x86_64`` -> ``X86_64_IMG``."""
    return re.sub(r"[^A-Z0-9]", "_", image.upper()) + "_IMG"


def _of_image(image: Image, title: str, machine: str) -> Iterator[Entry]:
    generations = {each.id: each for each in image.generations}
    for channel, wanted in ((CURRENT, image.current), *sorted(image.channels.items())):
        if generation := generations.get(wanted):
            layered = bool(generation.layers)
            own = generation.architecture
            yield Entry(
                *(image.name, generation.id, generation.kernel, layered, channel, title, own),
                nbd=machine in ("", own),
            )
