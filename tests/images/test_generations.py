"""Whole generations of small sources: layers above layers, sources that change meanwhile, folds."""

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ltspd.errors import Busy, InconsistentSource, NoSpace
from ltspd.image import fold as folding
from ltspd.image import reads
from ltspd.image.build import BuildOptions
from ltspd.image.context import ENTRIES, Silent
from ltspd.image.fold import fold
from ltspd.image.look import contents as look
from ltspd.image.store import removal, store
from ltspd.model.image import Generation, Layer, Source
from ltspd.paths import Paths
from tests.patience import PATIENCE, processor_seconds
from tests.worlds.generations import check_nothing_left, check_whole, files_of, make, seen
from tests.worlds.image_builds import boot_part
from tests.worlds.image_trees import HASH, RELEASE, write
from tests.worlds.layers import Seen, difference, through_layers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


async def full_view(paths: Paths, source: Source) -> dict[bytes, Seen]:
    """Return what a full build of the source shows; it becomes the current generation."""
    built = await make(paths, source, BuildOptions(full=True, keep=99))
    assert len(built.generation.layers) == 1
    return seen(paths, built.generation)


async def test_replaced_and_left_out_files_are_so_in_layers_too(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    write(root, "var/log/syslog", "first")
    write(root, "etc/later.conf", "plain")
    first = (await make(paths, source)).generation
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n")
    write(root, "etc/group", "root:x:0:\naudio:x:29:bob\nprinting:x:120:bob\n")
    write(root, "etc/shadow", f"root:{HASH}:2::::::\nbob:{HASH}:1::::::\n", 0o640)
    write(root, "etc/machine-id", "f" * 32)
    write(root, "etc/fstab", "UUID=5678 / ext4 defaults 0 1\n")
    write(root, "var/log/syslog", "second")
    write(root, "var/log/new.log", "secret")
    write(root, "etc/ssh/ssh_host_rsa_key", "secret")
    write(root, "etc/site.conf", "-----BEGIN PRIVATE KEY-----\nsecret\n")
    write(root, "usr/new", "new")
    built = await make(paths, source)
    assert built.generation.layers[:1] == first.layers
    shown = seen(paths, built.generation)
    for file in files_of(paths, built.generation)[1:]:
        assert b"secret" not in file.read_bytes()
    names = set(shown)
    assert {b"usr/new", b"var/log/new.log", b"etc/passwd", b"etc/fstab"} <= names
    assert not names & {b"etc/ssh/ssh_host_rsa_key", b"etc/site.conf"}
    assert shown[b"var/log/new.log"].size == shown[b"etc/machine-id"].size == 0
    assert difference(shown, await full_view(paths, source)) == {}
    # What was public, and is a secret now, is in no layer below either.
    write(root, "etc/later.conf", "-----BEGIN PRIVATE KEY-----\nsecret\n")
    built = await make(paths, source)
    assert len(built.generation.layers) == 1
    assert b"etc/later.conf" not in seen(paths, built.generation)


async def test_logs_and_accounts_of_people_alone_are_no_change(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    log = write(root, "var/log/syslog", "first")
    await make(paths, source)
    with open(log, "a") as file:
        file.write("second")
    passwd = root / "etc/passwd"
    times = passwd.stat().st_mtime_ns
    with open(passwd, "a") as file:
        file.write("eve:x:1002:1002::/home/eve:/bin/sh\n")
    os.utime(passwd, ns=(times, times))
    assert not (await make(paths, source)).changed


async def test_other_excludes_options_or_tools_need_a_full_build(paths: Paths, source: Source) -> None:
    write(Path(source.path), "usr/games/chess")
    first = (await make(paths, source)).generation
    assert b"usr/games" in seen(paths, first)
    for options in (BuildOptions(("usr/games",)), BuildOptions(level=3), BuildOptions(level=3, full=True)):
        built = await make(paths, source, options)
        assert built.changed
        assert len(built.generation.layers) == 1
    home = paths.images / "tiny/generations" / built.generation.id
    (home / ENTRIES).write_bytes(b"rubbish")
    write(Path(source.path), "usr/new")
    assert len((await make(paths, source, BuildOptions(level=3))).generation.layers) == 1


async def test_a_source_that_mostly_changed_is_packed_anew(paths: Paths, source: Source) -> None:
    big = write(Path(source.path), "usr/big", os.urandom(200_000))
    await make(paths, source)
    big.write_bytes(os.urandom(200_000))
    assert len((await make(paths, source)).generation.layers) == 1


async def test_the_boot_part_is_made_again_only_for_another_kernel(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    made = []

    async def count(root: Path, release: str) -> bytes:
        made.append(release)
        return await boot_part(root, release)

    first = (await make(paths, source, make_boot_part=count)).generation
    write(root, "usr/new", "x")
    second = (await make(paths, source, make_boot_part=count)).generation
    assert made == [RELEASE]
    generations = paths.images / "tiny/generations"
    kernels = [generations / each.id / "vmlinuz" for each in (first, second)]
    assert kernels[0].stat().st_ino == kernels[1].stat().st_ino
    write(root, f"usr/lib/modules/{RELEASE}/extra.ko", "x")
    await make(paths, source, make_boot_part=count)
    assert len(made) == 2
    # The kernel itself is in no layer; it alone makes a new generation with the same ones.
    write(root, f"boot/vmlinuz-{RELEASE}", b"patched" * 1000, 0o600)
    before = check_whole(paths, "tiny")
    built = await make(paths, source, make_boot_part=count)
    assert len(made) == 3
    assert built.changed
    assert before is not None
    assert [each.digest for each in built.generation.layers][:-1] == [each.digest for each in before.layers][
        :-1
    ]
    assert (generations / built.generation.id / "vmlinuz").read_bytes() == b"patched" * 1000


async def test_what_changes_while_it_is_packed_is_in_the_same_generation(
    paths: Paths, source: Source
) -> None:
    root = Path(source.path)
    write(root, "usr/share/old", "old")
    write(root, "usr/share/edited", "before")

    async def meanwhile(root: Path, release: str) -> bytes:
        write(root, "usr/share/new", "new")
        write(root, "usr/share/edited", "after")
        (root / "usr/share/old").unlink()
        return await boot_part(root, release)

    built = await make(paths, source, make_boot_part=meanwhile)
    assert len(built.generation.layers) == 2
    shown = seen(paths, built.generation)
    assert shown[b"usr/share/edited"].size == len("after")
    assert b"usr/share/new" in shown
    assert b"usr/share/old" not in shown
    assert not (await make(paths, source)).changed


class Looks:
    """Stands in for the walk of a source and does something after or before the n-th one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.before: dict[int, Callable[[], object]] = {}
        self.after: dict[int, Callable[[], object]] = {}
        self.real = look.contents
        monkeypatch.setattr("ltspd.image.look.contents.contents", self.walk)

    def walk(
        self,
        source: Source,
        patterns: tuple[str, ...],
        stop: Callable[[], bool],
        wanted: tuple[str, ...],
    ) -> look.Contents:
        self.count += 1
        self.before.get(self.count, lambda: None)()
        found = self.real(source, patterns, stop, wanted)
        self.after.get(self.count, lambda: None)()
        return found


async def test_files_that_came_and_went_while_it_was_packed_are_hidden(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(source.path)
    write(root, "usr/share/a\nb", "odd")

    def come() -> None:
        write(root, "usr/share/guest", "boo")
        write(root, "usr/share/crowd/one", "boo")

    def go() -> None:
        (root / "usr/share/guest").unlink()
        (root / "usr/share/crowd/one").unlink()
        (root / "usr/share/crowd").rmdir()

    looks = Looks(monkeypatch)
    # The first one is the preflight's, which does for the build; the second comes after the packing.
    looks.after[1], looks.before[2] = come, go
    built = await make(paths, source)
    assert looks.count == 2
    base, above = files_of(paths, built.generation)
    assert b"usr/share/guest" in through_layers(base)
    shown = seen(paths, built.generation)
    assert not [name for name in shown if b"guest" in name or b"crowd" in name]
    assert b"usr/share/a\nb" in shown
    assert above.stat().st_size < 8192


async def test_a_build_that_waited_long_looks_for_itself(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(monkeypatch)
    monkeypatch.setattr("ltspd.image.look.contents.FRESH_SECONDS", -1)
    looks.after[1] = lambda: write(Path(source.path), "usr/share/new")
    built = await make(paths, source)
    assert (looks.count, len(built.generation.layers)) == (3, 1)


async def test_a_secret_that_came_while_it_was_packed_is_in_no_layer(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(source.path)
    write(root, "etc/site.conf", "plain")
    looks = Looks(monkeypatch)
    looks.after[1] = lambda: write(root, "etc/site.conf", "-----BEGIN PRIVATE KEY-----\nTopSecret\n")
    looks.after[3] = lambda: write(root, "etc/late.key", "-----BEGIN PRIVATE KEY-----\nTopSecret\n")
    looks.after[5] = lambda: write(root, "usr/share/other")
    built = await make(paths, source)
    assert looks.count == 6
    assert len(built.generation.layers) == 2
    for file in files_of(paths, built.generation):
        names = set(through_layers(file))
        assert not names & {b"etc/site.conf", b"etc/late.key"}
    check_nothing_left(paths, "tiny")


async def test_a_source_that_never_rests_is_said_to(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(source.path)
    looks = Looks(monkeypatch)
    for number in (1, 3, 5):
        looks.after[number] = partial(write, root, f"etc/new{number}")
    with pytest.raises(InconsistentSource, match="each of 3 attempts"):
        await make(paths, source)
    assert list(paths.images.iterdir()) == []


async def test_a_fold_changes_nothing_that_is_seen(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    write(root, "usr/one", "1")
    os.link(root / "usr/one", root / "usr/two")
    await make(paths, source)
    for number in range(3):
        write(root, f"usr/n{number}", str(number))
        (root / f"usr/n{number - 1}").unlink(missing_ok=True)
        before = (await make(paths, source)).generation
    assert len(before.layers) == 4
    folded = await fold(paths, "tiny", Silent())
    assert len(folded.layers) == 1
    assert folded.kernel_bytes == before.kernel_bytes
    assert check_whole(paths, "tiny") == folded
    assert difference(seen(paths, before), seen(paths, folded)) == {}
    check_nothing_left(paths, "tiny")
    assert not (await make(paths, source)).changed
    write(root, "usr/later")
    assert (await make(paths, source)).generation.layers[:-1] == folded.layers
    # Another fold of what is one layer already makes it as dense.
    assert await fold(paths, "tiny", Silent())


async def test_what_a_test_told_orders_the_next_base(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    contents = [os.urandom(4000) for _ in range(50)]
    for number, content in enumerate(contents):
        write(root, f"usr/share/{number:02}", content)
    write(root, "usr/none")
    first = (await make(paths, source)).generation
    entries = paths.images / "tiny/generations" / first.id / ENTRIES

    def place(made: Generation) -> int:
        return files_of(paths, made)[0].read_bytes().index(contents[40])

    assert first.order == ""
    assert place(first) > 20 * 4000
    # Whatever a machine tells, it is files of this image, or nothing.
    told = ("usr/share/40", "usr/share", "../../etc/passwd", "/etc/passwd", "usr/none", "", "a\nb", "usr/x")
    assert reads.keep(paths, "tiny", entries, told)
    assert reads.known(paths, "tiny") == (b"usr/share/40",)
    assert not reads.keep(paths, "tiny", entries, ("usr/share/40",)), "it is the same"
    assert not reads.keep(paths, "tiny", entries, ("usr/nothing",)), "nothing is no reason to forget"
    assert not (await make(paths, source)).changed, "no build for it alone"
    folded = await fold(paths, "tiny", Silent())
    assert folded.order == reads.order((b"usr/share/40",)) != ""
    assert place(folded) < 2 * 4000
    assert difference(seen(paths, first), seen(paths, folded)) == {}
    write(root, "usr/new")
    layered = (await make(paths, source)).generation
    assert (len(layered.layers), layered.order) == (2, folded.order)
    full = (await make(paths, source, BuildOptions(full=True))).generation
    assert (len(full.layers), full.order) == (1, ""), "its own fold will follow"
    check_nothing_left(paths, "tiny")
    (paths.images / "tiny" / reads.READS).unlink()
    assert (await fold(paths, "tiny", Silent())).order == ""


async def test_a_list_that_is_nearly_the_same_stays(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    files = [f"usr/share/{number:02}" for number in range(40)]
    for each in files:
        write(root, each, "x")
    first = (await make(paths, source)).generation
    entries = paths.images / "tiny/generations" / first.id / ENTRIES
    assert reads.keep(paths, "tiny", entries, files[:36])
    before = reads.known(paths, "tiny")
    assert not reads.keep(paths, "tiny", entries, files[:38])
    assert reads.known(paths, "tiny") == before
    assert reads.keep(paths, "tiny", entries, files[10:])
    assert reads.known(paths, "tiny") == tuple(each.encode() for each in files[10:])


async def test_a_build_may_come_in_between(paths: Paths, source: Source) -> None:
    root = Path(source.path)
    await make(paths, source)
    write(root, "usr/one", "1")
    await make(paths, source)

    def build_meanwhile(name: str) -> None:
        if name == "packed":
            with pytest.raises(Busy), store.folding(paths, "tiny"):
                pass
            assert removal.sweep(paths) == ()
            write(root, "usr/two", "2")
            other = threading.Thread(target=lambda: asyncio.run(make(paths, source)))
            other.start()
            other.join()

    folded = await fold(paths, "tiny", Silent(), step=build_meanwhile)
    current = check_whole(paths, "tiny")
    assert current is not None
    assert current == folded
    assert len(current.layers) == 2
    assert b"usr/two" in seen(paths, current)
    assert difference(seen(paths, current), await full_view(paths, source)) == {}


async def test_a_fold_of_what_is_current_no_more_is_dropped(paths: Paths, source: Source) -> None:
    await make(paths, source)
    write(Path(source.path), "usr/one", "1")
    await make(paths, source)

    def go_back(name: str) -> None:
        if name == "packed":
            store.revert(paths, "tiny")

    current = await fold(paths, "tiny", Silent(), step=go_back)
    assert store.current_id(paths, "tiny") == current.id
    assert len(current.layers) == 1
    assert len(store.find(paths, "tiny").generations) == 2
    removal.sweep(paths)
    check_nothing_left(paths, "tiny")


async def test_a_cancelled_fold_leaves_nothing(paths: Paths, source: Source) -> None:
    write(Path(source.path), "usr/big", os.urandom(32 << 20))
    await make(paths, source)
    task = asyncio.create_task(fold(paths, "tiny", Silent(), level=19))
    async with asyncio.timeout(PATIENCE):
        while not list((paths.images / "tiny").glob(".work-fold-*/layers/base")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    started = processor_seconds()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The whole of it takes 20 seconds of processors.
    assert processor_seconds() - started < 5
    check_nothing_left(paths, "tiny")


async def test_layers_need_room_that_is_foreseen(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(paths, source)
    write(Path(source.path), "usr/new", "x")
    real = os.statvfs

    def full(place: object) -> object:
        figures = real(place)  # type: ignore[arg-type]
        return os.statvfs_result((*figures[:4], 1000, *figures[5:]))

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(NoSpace):
        await make(paths, source)
    with pytest.raises(NoSpace):
        await fold(paths, "tiny", Silent())
    check_nothing_left(paths, "tiny")


def test_a_fold_is_due_for_many_or_large_layers() -> None:
    base, small, large = Layer("a", 1000), Layer("b", 10), Layer("c", 290)
    assert folding.reason(()) == folding.reason((base,)) == folding.reason((base, large, small)) == ""
    assert "31%" in folding.reason((base, large, small, small))
    assert folding.reason((base, *[small] * 7)) == ""
    assert folding.reason((base, *[small] * 8)) == "8 layers above the base"
    assert folding.reason((base,), unordered=True) == "a test has told what booting clients read"
    assert folding.reason((), unordered=True) == ""


def test_layers_of_a_build_that_came_between_go_on_the_new_base() -> None:
    base, first, second, new = (Layer(each, 1) for each in "abcn")
    assert folding.rebased((base, first, second), (base, first), new) == (new, second)
    assert folding.rebased((base, first), (base, first), new) == (new,)
    assert folding.rebased((base, second), (base, first), new) is None
    assert folding.rebased((base,), (base, first), new) is None
