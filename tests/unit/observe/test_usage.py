"""Layers in use are seen in the open files of real processes."""

import subprocess
import sys
from pathlib import Path

from ltspd.model.image import Generation, Image, Layer
from ltspd.observe.usage import generations_in_use, layers_in_use
from ltspd.paths import Paths

A, B = "a" * 64, "b" * 64


def generation(name: str, *digests: str) -> Generation:
    layers = tuple(Layer(digest, 1) for digest in digests)
    return Generation(name, "x", 0.0, "/", "x86_64", "6.1", layers, 1, 1, 1, 1, "")


def test_an_open_layer_is_in_use_until_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "proc").symlink_to("/proc")
    paths = Paths(tmp_path)
    layers = paths.images / "x" / "layers"
    layers.mkdir(parents=True)
    (layers / f"{A}.squashfs").write_bytes(b"")
    (layers / "notes.txt").write_bytes(b"")
    hold = "import sys; files = [open(name) for name in sys.argv[1:]]; print('open', flush=True); input()"
    names = [str(layers / f"{A}.squashfs"), str(layers / "notes.txt")]
    with subprocess.Popen(
        [sys.executable, "-c", hold, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert layers_in_use(paths) == {A}
        (layers / f"{A}.squashfs").unlink()
        assert layers_in_use(paths) == {A}, "a removed file is read on"
        process.communicate(b"\n")
    assert layers_in_use(paths) == frozenset()


def test_the_kernels_nfs_server_lists_opens(tmp_path: Path) -> None:
    client = tmp_path / "proc/fs/nfsd/clients/7"
    client.mkdir(parents=True)
    line = f'- 0x01: {{ type: open, filename: "/srv/ltsp/images/x/layers/{B}.squashfs" }}\n'
    (client / "states").write_text(line)
    assert layers_in_use(Paths(tmp_path)) == {B}


def test_a_generation_is_in_use_by_its_topmost_layer() -> None:
    image = Image("x", (generation("old", A), generation("new", A, B)), "new")
    assert generations_in_use(image, frozenset({A})) == {"old"}
    assert generations_in_use(image, frozenset({A, B})) == {"old", "new"}
    assert generations_in_use(image, frozenset()) == frozenset()
