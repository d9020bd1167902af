"""Choices that outlive a build: its kernel's pattern, and that everything is packed anew only where asked."""

from pathlib import Path

import pytest

from ltspd.errors import NoKernel
from ltspd.image.build import BuildOptions
from ltspd.image.store import store
from ltspd.image.store.manifest import Manifest
from ltspd.model.image import Generation, Source
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import RELEASE, make_source, write

OTHER = "6.1.0-10-amd64"


@pytest.fixture
def source(paths: Paths) -> Source:
    made = make_source(paths)
    root = Path(made.path)
    write(root, f"boot/vmlinuz-{OTHER}", b"other kernel")
    write(root, f"usr/lib/modules/{OTHER}/modules.dep")
    return made


async def make(paths: Paths, source: Source, **options: object) -> tuple[Generation, Manifest]:
    wanted = BuildOptions(**options)  # type: ignore[arg-type]
    made = (await run_build(order(paths, source, wanted))).generation
    return made, store.read_manifest(paths, source.name, made.id)


async def test_a_chosen_kernel_holds_until_another_is_chosen(paths: Paths, source: Source) -> None:
    newest, _ = await make(paths, source)
    assert newest.kernel == OTHER
    chosen, facts = await make(paths, source, kernel="6.1.0-9-*")
    assert (chosen.kernel, facts.kernel_pattern) == (RELEASE, "6.1.0-9-*")
    home = paths.images / "tiny/generations" / chosen.id
    assert (home / "vmlinuz").read_bytes() == b"kernel" * 1000
    assert (home / "initrd.img").read_bytes().startswith(f"boot part of {RELEASE}".encode())
    assert chosen.layers == newest.layers, "the files are the same"
    write(Path(source.path), "usr/share/new", "x")
    later, facts = await make(paths, source)
    assert (later.kernel, facts.kernel_pattern) == (RELEASE, "6.1.0-9-*")
    # A pattern that fits the same kernel is a choice, too.
    wider, facts = await make(paths, source, kernel="*-9-*")
    assert (wider.kernel, facts.kernel_pattern, wider.layers) == (RELEASE, "*-9-*", later.layers)
    assert (await make(paths, source, kernel=""))[0].kernel == OTHER


async def test_the_usual_kernel_is_taken_until_one_is_chosen(paths: Paths, source: Source) -> None:
    usual, facts = await make(paths, source, usual_kernel="boot/vmlinuz-6.1.0-9-*")
    assert (usual.kernel, facts.kernel_pattern) == (RELEASE, ""), "it is nobody's choice for this image"
    assert (await make(paths, source))[0].kernel == OTHER, "so it goes with its line of ltsp.conf"
    assert (await make(paths, source, kernel="*-10-*", usual_kernel="*-9-*"))[0].kernel == OTHER
    assert (await make(paths, source, usual_kernel="*-9-*"))[0].kernel == OTHER


async def test_a_choice_that_fits_nothing_any_more_leaves_all_as_it_is(paths: Paths, source: Source) -> None:
    chosen, _ = await make(paths, source, kernel="6.1.0-9-*")
    (Path(source.path) / f"boot/vmlinuz-{RELEASE}").unlink()
    with pytest.raises(NoKernel, match=r"6\.1\.0-9-.*was chosen"):
        await make(paths, source)
    assert store.current_id(paths, "tiny") == chosen.id


async def test_full_packs_everything_where_a_layer_of_changes_would_do(paths: Paths, source: Source) -> None:
    first, _ = await make(paths, source)
    write(Path(source.path), "usr/share/new", "x")
    second, _ = await make(paths, source)
    assert second.layers[:1] == first.layers
    assert len(second.layers) == 2
    third, _ = await make(paths, source, full=True)
    assert len(third.layers) == 1
    assert third.layers[0] not in second.layers
