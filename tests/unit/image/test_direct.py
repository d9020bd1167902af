"""Direct boot: generations without layers, and what becomes of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from ltspd.errors import InvalidOption
from ltspd.image import fold
from ltspd.image.build import BuildOptions, Built
from ltspd.image.store import store
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import RELEASE, make_source

DIRECT = BuildOptions(direct=True)


async def make(paths: Paths, source: Source, options: BuildOptions) -> Built:
    return await run_build(order(paths, source, options))


async def test_a_direct_generation_is_kernel_and_initrd_of_the_chroot(paths: Paths) -> None:
    source = make_source(paths)
    built = await make(paths, source, DIRECT)
    generation = built.generation
    assert (generation.layers, generation.directory, built.changed) == ((), source.path, True)
    (image,), problems = store.read_images(paths)
    assert (problems, image.current_generation) == ((), generation)
    home = paths.images / source.name / "generations" / generation.id
    assert (home / "vmlinuz").read_bytes() == b"kernel" * 1000
    assert (home / "initrd.img").read_bytes().startswith(f"boot part of {RELEASE}".encode())
    assert not fold.reason(generation.layers)


async def test_nothing_new_is_published_for_what_clients_see_anyway(paths: Paths) -> None:
    source = make_source(paths)
    first = await make(paths, source, DIRECT)
    Path(source.path, "etc/motd").write_text("hello\n")
    again = await make(paths, source, DIRECT)
    assert (again.changed, again.generation) == (False, first.generation)


async def test_an_image_goes_from_direct_to_built_and_back(paths: Paths) -> None:
    source = make_source(paths)
    await make(paths, source, DIRECT)
    built = await make(paths, source, BuildOptions())
    assert len(built.generation.layers) == 1
    assert built.generation.directory == ""
    direct = await make(paths, source, DIRECT)
    assert direct.changed
    assert direct.generation.directory == source.path
    assert store.revert(paths, source.name).id == built.generation.id


@pytest.mark.parametrize("kind", [kind for kind in SourceKind if kind is not SourceKind.DIRECTORY])
async def test_only_a_chroot_is_booted_as_it_is(paths: Paths, kind: SourceKind) -> None:
    source = replace(make_source(paths), kind=kind)
    with pytest.raises(InvalidOption, match="without building"):
        await make(paths, source, DIRECT)
    assert not paths.images.exists()
