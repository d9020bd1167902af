"""Which generations the menu offers: current ones, those of other channels, then earlier ones. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from ltspd.model.image import Generation, Image
from ltspd.model.menu import CURRENT, Entry


def entries(
    images: Sequence[Image],
    titles: Mapping[str, str],
    machine: str = "",
    earlier: int = 0,
    named: Collection[str] = (),
) -> tuple[Entry, ...]:
    """Return the menu's entries; ``titles`` are by LTSP's names of images (``X86_64_IMG``).

    ``machine`` is what the server is, as ``uname -m`` says it. Each image has so many ``earlier``
    generations, and those ``named`` as IMAGE@GENERATION.
    """
    found = [
        _entry(image, channel, generation, titles.get(title_key(image.name), ""), machine)
        for image in images
        for channel, generation in (*_channels(image), *_earlier(image, earlier, named))
    ]
    return tuple(sorted(found, key=lambda each: (each.earlier, each.channel != CURRENT)))


def title_key(image: str) -> str:
    """Return how LTSP writes an image's name inside a parameter's: ``x86_64`` -> ``X86_64_IMG``."""
    return re.sub(r"[^A-Z0-9]", "_", image.upper()) + "_IMG"


def _channels(image: Image) -> Iterator[tuple[str, Generation]]:
    generations = {each.id: each for each in image.generations}
    for channel, wanted in ((CURRENT, image.current), *sorted(image.channels.items())):
        if generation := generations.get(wanted):
            yield channel, generation


def _earlier(image: Image, most: int, named: Collection[str]) -> Iterator[tuple[str, Generation]]:
    """Yield those to which no channel leads, the newest first; what people protect comes before others."""
    led = {each.id for _, each in _channels(image)}
    others = [each for each in reversed(image.generations) if each.id not in led]
    chosen = sorted(others, key=lambda each: each.id not in image.kept)[:most] if image.current in led else []
    for each in others:
        if each in chosen or f"{image.name}@{each.id}" in named:
            yield each.id, each


def _entry(image: Image, channel: str, generation: Generation, title: str, machine: str) -> Entry:
    own = generation.architecture
    return Entry(
        image=image.name,
        generation=generation.id,
        kernel=generation.kernel,
        layered=bool(generation.layers),
        channel=channel,
        title=title,
        architecture=own,
        nbd=machine in ("", own),
    )
