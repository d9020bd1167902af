"""Builds of small sources for the tests of this directory, without a real kernel."""

import hashlib
from pathlib import Path

from ltspd.image.build import BuildOptions, Built
from ltspd.image.context import MakeBootPart, Step, nothing
from ltspd.image.reads import READS
from ltspd.image.store import store
from ltspd.image.store.publish import REPLACED
from ltspd.model.image import Generation, Source
from ltspd.paths import Paths
from tests.worlds.image_builds import boot_part, order, run_build
from tests.worlds.layers import Seen, through_layers


async def make(
    paths: Paths,
    source: Source,
    options: BuildOptions | None = None,
    *,
    make_boot_part: MakeBootPart = boot_part,
    step: Step = nothing,
) -> Built:
    return await run_build(order(paths, source, options, make_boot_part=make_boot_part, step=step))


def files_of(paths: Paths, generation: Generation) -> list[Path]:
    return [paths.images / generation.image / "layers" / each.file_name for each in generation.layers]


def seen(paths: Paths, generation: Generation) -> dict[bytes, Seen]:
    """List what a client of a generation sees, but for the root itself."""
    found = through_layers(*files_of(paths, generation))
    return {path: each for path, each in found.items() if path}


def check_whole(paths: Paths, image: str) -> Generation | None:
    """Return the current generation after a look at every byte of it; None if the image has none."""
    images, problems = store.read_images(paths)
    assert problems == ()
    found = next((each for each in images if each.name == image), None)
    if found is None:
        return None
    generation = found.current_generation
    if generation is None:
        return None
    for file in files_of(paths, generation):
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
    home = paths.images / image / "generations" / generation.id
    listing = "".join(f"{each.digest} {each.size}\n" for each in generation.layers)
    assert (home / "layers").read_text() == listing
    assert listing.encode() in (home / "initrd.img").read_bytes()
    assert f"{image} {generation.id}\n".encode() in (home / "initrd.img").read_bytes()
    return generation


def check_nothing_left(paths: Paths, image: str) -> None:
    """Fail if the store has anything that belongs to no generation."""
    home = paths.images / image
    if not home.exists():
        return
    (found,), _ = store.read_images(paths)
    current = {"current"} if found.current else set[str]()
    # When each generation stopped being current is written down beside them, and what clients read first.
    assert {each.name for each in home.iterdir()} - {REPLACED, READS} == {"layers", "generations", *current}
    assert {each.name for each in (home / "generations").iterdir()} == {each.id for each in found.generations}
    listed = {layer.file_name for each in found.generations for layer in each.layers}
    assert {each.name for each in (home / "layers").iterdir()} == listed
