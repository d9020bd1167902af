"""Generations put into a store without a build: their facts, a finished work directory, published."""

from pathlib import Path

from ltspd.image.context import WORK_PREFIX
from ltspd.image.store import manifest, publish, removal
from ltspd.model.image import Generation, Layer
from ltspd.paths import Paths


def generation(number: int, digests: tuple[str, ...]) -> Generation:
    layers = tuple(Layer(digest, 4) for digest in digests)
    return Generation(
        id=f"20261121T2048{number:02}Z-0000000{number}",
        image="lab",
        created=1000.0 + number,
        source="/srv/ltsp/lab",
        architecture="x86_64",
        kernel="6.1",
        layers=layers,
        source_bytes=1,
        source_files=1,
        kernel_bytes=6,
        initrd_bytes=6,
        packages_digest=f"p{number}",
    )


def prepare(
    paths: Paths, number: int, digests: tuple[str, ...], packages: dict[str, str] | None = None
) -> Path:
    """Make a finished work directory."""
    facts = generation(number, digests)
    work = paths.images / "lab" / f"{WORK_PREFIX}{number}"
    (work / "layers").mkdir(parents=True)
    (work / "generation").mkdir()
    for layer in facts.layers:
        (work / "layers" / layer.file_name).write_bytes(b"data")
    (work / "generation/vmlinuz").write_bytes(b"kernel")
    (work / "generation/initrd.img").write_bytes(b"initrd")
    lines = "".join(f"{layer.digest} {layer.size}\n" for layer in facts.layers)
    (work / "generation/layers").write_text(lines)
    text = manifest.to_text(manifest.Manifest(facts, packages or {}))
    (work / "generation/manifest.json").write_text(text)
    return work


def add(paths: Paths, number: int, *digests: str) -> str:
    facts = generation(number, tuple(each * 64 for each in digests))
    work = prepare(paths, number, tuple(each * 64 for each in digests))
    publish.publish(paths, "lab", work, facts.id)
    removal.sweep(paths)
    return facts.id
