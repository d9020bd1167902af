"""The store: publishing survives a kill at every step, going back and removing keep what is needed."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ltspd.errors import Busy, InUse, InvalidName, NoSuchGeneration, NoSuchImage, NothingToRevert
from ltspd.image.store import manifest, publish, removal, store
from ltspd.image.store.keeping import surplus
from ltspd.model.image import Image
from ltspd.paths import Paths
from tests import REPOSITORY
from tests.worlds.store import add, generation, prepare

STEPS = ("begin", "synced", "layers", "generation", "link", "published")


def layers(paths: Paths) -> set[str]:
    return {each.name[0] for each in (paths.images / "lab/layers").iterdir()}


def test_what_was_published_is_read(paths: Paths) -> None:
    first, second = add(paths, 1, "a"), add(paths, 2, "a", "b")
    images, problems = store.read_images(paths)
    assert problems == ()
    generations = (generation(1, ("a" * 64,)), generation(2, ("a" * 64, "b" * 64)))
    assert images == (Image("lab", generations, second, frozenset(), images[0].replaced),)
    assert list(images[0].replaced) == [first]
    assert os.readlink(paths.images / "lab/current") == f"generations/{second}"
    assert first != second


def _manifests() -> list[manifest.Manifest]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, manifest.Manifest)]


def test_passes_keep_no_lists_of_packages(paths: Paths) -> None:
    """One is 700 kB for a desktop; a school has dozens of generations, and every pass reads them all."""
    add(paths, 1, "a")
    # What other tests made may still be there.
    before = _manifests()
    (image,), _ = store.read_images(paths)
    assert not [each for each in _manifests() if not any(each is one for one in before)]
    (again,), _ = store.read_images(paths)
    assert again.generations[0] is image.generations[0]
    assert store.read_manifest(paths, "lab", image.current).generation == image.generations[0]


KILL = """
import os, signal, sys
from pathlib import Path
from ltspd.image.store import publish
from ltspd.paths import Paths

def step(name):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

publish.publish(Paths(root=Path(sys.argv[1])), "lab", Path(sys.argv[2]), sys.argv[4], step)
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_a_bootable_whole(paths: Paths, step: str) -> None:
    old = add(paths, 1, "a")
    new = generation(2, ("b" * 64,)).id
    work = prepare(paths, 2, ("b" * 64,))
    arguments = [sys.executable, "-c", KILL, str(paths.root), str(work), step, new]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run(arguments, env=environment).returncode == -signal.SIGKILL
    for _ in range(2):
        (image,), problems = store.read_images(paths)
        assert problems == ()
        assert image.current == (new if step == "published" else old)
        assert image.current_generation is not None
        removal.sweep(paths)
    assert not [each for each in (paths.images / "lab").iterdir() if each.name.startswith(".")]
    complete = step in ("generation", "link", "published")
    assert layers(paths) == ({"a", "b"} if complete else {"a"})


@pytest.mark.parametrize("step", [each for each in STEPS if each != "published"])
def test_an_error_at_any_step_undoes_all(paths: Paths, step: str) -> None:
    old = add(paths, 1, "a")
    work = prepare(paths, 2, ("a" * 64, "b" * 64))

    def fail(name: str) -> None:
        if name == step:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        publish.publish(paths, "lab", work, generation(2, ()).id, fail)
    assert layers(paths) == {"a"}
    assert [each.name for each in (paths.images / "lab/generations").iterdir()] == [old]
    assert store.current_id(paths, "lab") == old


def test_the_enumerated_steps_are_all_there_are(paths: Paths) -> None:
    seen: list[str] = []
    publish.publish(paths, "lab", prepare(paths, 1, ("a" * 64,)), generation(1, ()).id, seen.append)
    assert tuple(seen) == STEPS


def test_revert_goes_back_one_or_to_the_one_named(paths: Paths) -> None:
    first, second, third = add(paths, 1, "a"), add(paths, 2, "b"), add(paths, 3, "c")
    assert store.revert(paths, "lab").id == second
    assert store.revert(paths, "lab").id == first
    with pytest.raises(NothingToRevert, match="no generation older"):
        store.revert(paths, "lab")
    assert store.revert(paths, "lab", third).id == third == store.current_id(paths, "lab")
    with pytest.raises(NothingToRevert, match="already"):
        store.revert(paths, "lab", third)
    with pytest.raises(NoSuchGeneration, match="no generation 'x'"):
        store.revert(paths, "lab", "x")
    with pytest.raises(NoSuchImage):
        store.revert(paths, "other")
    with pytest.raises(InvalidName):
        store.revert(paths, "../lab")


def test_removing_keeps_shared_layers_current_and_used_generations(paths: Paths) -> None:
    first, second, third = add(paths, 1, "a"), add(paths, 2, "a", "b"), add(paths, 3, "a", "c")
    with pytest.raises(InUse, match="clients of lab boot"):
        removal.remove_generation(paths, "lab", third)
    with pytest.raises(InUse, match="in use"):
        removal.remove_generation(paths, "lab", second, lambda: frozenset([second]))
    removal.remove_generation(paths, "lab", second)
    assert layers(paths) == {"a", "c"}
    assert [each.id for each in store.find(paths, "lab").generations] == [first, third]


def test_prune_keeps_the_newest_the_current_and_the_used(paths: Paths) -> None:
    ids = [add(paths, number, letter) for number, letter in enumerate("abcde")]
    store.revert(paths, "lab", ids[0])
    assert removal.prune(paths, "lab", 2, lambda: frozenset([ids[1]])) == (ids[2],)
    assert layers(paths) == {"a", "b", "d", "e"}
    assert removal.prune(paths, "lab", 2) == (ids[1],)
    assert removal.prune(paths, "lab", 2) == ()


def test_links_beside_current_are_channels_and_keep_what_they_lead_to(paths: Paths) -> None:
    first, second, third = add(paths, 1, "a"), add(paths, 2, "b"), add(paths, 3, "c")
    home = paths.images / "lab"
    (home / "canary").symlink_to(f"generations/{second}")
    for name, target in (("gone", "generations/gone"), ("Bad Name", f"generations/{first}"), ("etc", "/etc")):
        (home / name).symlink_to(target)
    (image,), (problem,) = store.read_images(paths)
    assert (image.current, image.channels) == (third, {"canary": second})
    assert "channel gone leads to gone" in problem.message
    assert removal.prune(paths, "lab", 1) == (first,)
    with pytest.raises(InUse, match="channel canary"):
        removal.remove_generation(paths, "lab", second)
    (home / "canary").unlink()
    assert removal.prune(paths, "lab", 1) == (second,)


def test_kept_generations_stay_until_that_is_taken_back(paths: Paths) -> None:
    first, second, third = add(paths, 1, "a"), add(paths, 2, "b"), add(paths, 3, "c")
    store.keep_generation(paths, "lab", first)
    store.keep_generation(paths, "lab", first)
    store.keep_generation(paths, "lab", second)
    assert store.kept(paths, "lab") == {first, second}
    with pytest.raises(InUse, match=r"is kept.*keep lab .*--undo"):
        removal.remove_generation(paths, "lab", first)
    assert removal.prune(paths, "lab", 1) == ()
    store.keep_generation(paths, "lab", second, keep=False)
    assert removal.prune(paths, "lab", 1) == (second,)
    assert store.kept(paths, "lab") == {first}
    with pytest.raises(NoSuchGeneration):
        store.keep_generation(paths, "lab", second)
    assert [each.id for each in store.find(paths, "lab").generations] == [first, third]


def test_what_was_current_a_moment_ago_is_not_removed(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 5000.0
    monkeypatch.setattr(time, "time", lambda: clock)
    first, second, third = add(paths, 1, "a"), add(paths, 2, "b"), add(paths, 3, "c")
    clock = 9000.0
    removal.remove_generation(paths, "lab", second, grace=600)
    # Clients booted the first until this build, though the one after it was built long ago.
    store.revert(paths, "lab", first)
    clock = 20000.0
    fourth = add(paths, 4, "d")
    clock = 20100.0
    with pytest.raises(InUse, match=r"current until a moment ago.*in 9 min \(KEEP_GRACE\)"):
        removal.remove_generation(paths, "lab", first, grace=600)
    assert removal.prune(paths, "lab", 1, grace=600) == (third,), "not the first, for the same reason"
    store.keep_generation(paths, "lab", first)
    clock = 20601.0
    assert removal.prune(paths, "lab", 1, grace=600) == ()
    store.keep_generation(paths, "lab", first, keep=False)
    removal.remove_generation(paths, "lab", first, grace=600)
    assert [each.id for each in store.find(paths, "lab").generations] == [fourth]


def test_a_damaged_note_of_switches_does_no_harm(paths: Paths) -> None:
    first, second = add(paths, 1, "a"), add(paths, 2, "b")
    for content in (b"x", b"\xff\n", f"{first} nan\n".encode(), f"{first} inf\n".encode()):
        (paths.images / "lab/replaced").write_bytes(content)
        assert store.find(paths, "lab").replaced == {}
        assert store.revert(paths, "lab", first).id == first
        assert list(store.find(paths, "lab").replaced) == [second]
        store.revert(paths, "lab", second)


def test_young_and_just_replaced_generations_stay() -> None:
    ids = [generation(number, ()).id for number in range(4)]
    image = Image("lab", tuple(generation(number, ("a" * 64,)) for number in range(4)), ids[3])
    none: frozenset[str] = frozenset()
    # They were made at 1000 … 1003 s.
    assert surplus(image, none, now=1003, keep=1) == tuple(ids[:3])
    assert surplus(image, none, now=1003, keep=0) == tuple(ids[:3])
    assert surplus(image, none, now=1003, keep=3) == (ids[0],)
    assert surplus(image, none, now=1004, keep=1, grace=2) == tuple(ids[:2])
    assert surplus(image, none, now=1001 + 86400, keep=1, days=1) == tuple(ids[:2])
    assert surplus(image, frozenset([ids[1]]), now=2000, keep=1) == (ids[0], ids[2])


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("manifest.json", b"{", "Expecting"),
        ("manifest.json", b"[]", "not a manifest"),
        ("manifest.json", b'{"format": 1}', "lacks"),
        ("manifest.json", b"\xff", "utf-8"),
        ("vmlinuz", b"short", "5 bytes instead of 6"),
        ("initrd.img", None, "initrd.img is missing"),
        ("../../layers/" + "b" * 64 + ".squashfs", None, "squashfs is missing"),
    ],
)
def test_a_corrupt_generation_is_a_problem_not_a_crash(
    paths: Paths, name: str, content: bytes | None, why: str
) -> None:
    good, bad = add(paths, 1, "a"), add(paths, 2, "b")
    file = paths.images / "lab/generations" / bad / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    (image,), problems = store.read_images(paths)
    assert [each.id for each in image.generations] == [good]
    assert image.current == ""
    assert why in problems[0].message
    assert bad in problems[1].message
    removal.sweep(paths)
    assert "a" in layers(paths)


def test_types_in_a_manifest_are_checked(paths: Paths) -> None:
    identity = add(paths, 1, "a")
    file = paths.images / "lab/generations" / identity / "manifest.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"kernel": 6}))
    assert "kernel" in store.read_images(paths)[1][0].message


def test_a_generation_of_an_older_version_is_to_be_built_again(paths: Paths) -> None:
    """It may have secrets in it that are left out today."""
    identity = add(paths, 1, "a")
    file = paths.images / "lab/generations" / identity / "manifest.json"
    content = json.loads(file.read_text())
    assert "outdated" not in content
    del content["rules"]
    file.write_text(json.dumps(content))
    old = store.find(paths, "lab")
    assert "older version" in manifest.stale_because(old, "p1")
    # A fold of its layers has the same in it.
    again = manifest.to_text(store.read_manifest(paths, "lab", identity))
    assert manifest.from_text(again).generation.outdated
    direct = replace(old, generations=(replace(old.generations[0], source_files=0),))
    assert manifest.stale_because(direct, "p1") == ""


def test_a_sweep_leaves_a_running_build_alone(paths: Paths) -> None:
    add(paths, 1, "a")
    work = prepare(paths, 2, ("b" * 64,))
    with store.locked(paths, "lab"):
        assert removal.sweep(paths) == ()
        with pytest.raises(Busy), store.locked(paths, "lab"):
            pass
        assert work.is_dir()
    assert removal.sweep(paths) == (str(work),)


def test_ltsps_own_files_in_the_store_are_not_ours(paths: Paths) -> None:
    paths.images.mkdir(parents=True)
    (paths.images / "x86_64.img").write_bytes(b"squashfs")
    (paths.images / "old").symlink_to("/")
    assert store.read_images(paths) == ((), ())
    assert removal.sweep(paths) == ()
    assert (paths.images / "x86_64.img").exists()


def test_what_changed_is_counted() -> None:
    changes = manifest.changes({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1", "e": "1"})
    assert changes == manifest.Changes(("d", "e"), ("a",), ("b",))
    assert str(changes) == "2 packages added, 1 removed, 1 changed"
    image = Image("lab", (generation(1, ("a" * 64,)),), generation(1, ()).id)
    assert manifest.stale_because(image, "p1") == ""
    assert manifest.stale_because(image, "p2") == "packages changed since the build"
    assert manifest.stale_because(image, "p2", {"a": "2"}, {"a": "1"}) == "1 package changed since the build"
    assert manifest.stale_because(Image("new", ()), "p1") == "never built"
