"""A base with layers of changes above it shows a client exactly what a full build of the source would."""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ltspd.image.look import entries
from ltspd.image.look.contents import Contents, contents
from ltspd.image.look.entries import Changes, Table
from ltspd.image.look.scan import TICK_NS
from ltspd.image.pack import spool, squashfs
from ltspd.image.pack.listing import Listing, read_listing
from ltspd.image.verify import packed
from ltspd.model.image import Source, SourceKind
from tests.worlds.layers import Seen, difference, through_layers, walk
from tests.worlds.random_trees import STEPS, apply

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def look(root: Path, patient: bool = True) -> Contents:
    if patient:
        time.sleep(TICK_NS / 1e9)
    return contents(Source("x", SourceKind.DIRECTORY, str(root)), (), lambda: False)


def scratch(place: Path, name: str) -> Path:
    made = place / f"scratch-{name}"
    made.mkdir()
    return made


def full(root: Path, place: Path, name: str) -> Path:
    asyncio.run(squashfs.pack(root, place / name, scratch(place, name), (), level=1))
    return place / name


def layer(root: Path, place: Path, name: str, old: Table, now: Contents) -> tuple[Path, Table]:
    changes = entries.compare(old, now.table)
    tar = place / f"{name}.tar"
    spooled = spool.spool(root, old, now.table, now.tree.links, changes, now.replaced, tar)
    assert spooled.corrections == {}
    asyncio.run(squashfs.pack_spooled(tar, place / name, root.lstat(), level=1))
    asyncio.run(packed.check_spooled(place / name, tar, place))
    # As it is kept beside the manifest.
    return place / name, entries.from_bytes(entries.to_bytes(now.table))


# An example takes half a second: to make a failing one smaller would take the whole suite's time.
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    st.lists(STEPS, max_size=40),
    st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=15), st.booleans()), min_size=1, max_size=3),
)
def test_layers_show_what_a_full_build_would(
    first: list[tuple[str, int, int, bytes]], rounds: list[tuple[list[tuple[str, int, int, bytes]], bool]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        root = place / "root"
        root.mkdir()
        apply(root, first)
        now = look(root)
        layers, table = [full(root, place, "base")], now.table
        (place / "table").write_bytes(entries.to_bytes(table))
        # Whatever a tree has, what was packed of it is not taken for an error.
        asyncio.run(_check_everything(layers[0], root, place, now))
        assert not entries.compare(table, look(root).table)
        for number, (edits, patient) in enumerate(rounds):
            apply(root, edits)
            made, table = layer(root, place, f"layer{number}", table, look(root, patient))
            layers.append(made)
        folded = place / "folded"
        asyncio.run(squashfs.pack_layers(layers, folded, scratch(place, "fold"), level=1))
        asyncio.run(packed.check_folded(folded, layers, place, 60))
        seen = _without_root(through_layers(*layers))
        _check(seen, _without_root(through_layers(full(root, place, "again"))))
        _check(seen, _without_root(walk(os.fsencode(root))))


async def _check_everything(base: Path, root: Path, place: Path, now: Contents) -> None:
    listing, table = place / "listing", place / "table"
    await read_listing(base, Listing((), frozenset(), None), listing)
    await packed.check_everything(base, root, table, now, Changes(), place, 60, listing)


def _check(seen: dict[bytes, Seen], expected: dict[bytes, Seen]) -> None:
    wrong = difference(seen, expected)
    assert not wrong, "\n".join(f"{path!r}: {one} instead of {two}" for path, (one, two) in wrong.items())


def _without_root(found: dict[bytes, Seen]) -> dict[bytes, Seen]:
    """Leave the root itself out: a client's is the root of its own memory."""
    return {path: each for path, each in found.items() if path}
