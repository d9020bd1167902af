"""The phase that writes a generation: its id and time, its initrd, its manifest, its notes."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from ltspd.image.bootfiles import BootFiles
from ltspd.image.context import OWN, Build, Workdir
from ltspd.image.look import remarks, wants
from ltspd.image.look.entries import to_bytes
from ltspd.image.look.plan import Plan
from ltspd.image.pack.base import Packed
from ltspd.image.store.manifest import BootPart, Manifest, summarize, to_text
from ltspd.image.store.store import GENERATION_FILES, read_images
from ltspd.image.store.workdir import PRIVATE_FILE
from ltspd.initrd.boot import make_identity
from ltspd.model.image import Generation, Layer
from ltspd.paths import Paths

log = logging.getLogger(__name__)


def write_packed(
    build: Build, packed: Packed, boot: BootFiles, current: Manifest | None, tools: Mapping[str, str]
) -> Generation:
    """Write all that a generation has beside its layers and kernel, and return it. Blocks; raises OSError."""
    plan, tree = packed.scan.plan, packed.scan.contents.tree
    notes = wants.lacking(build.root, build.options.wants)
    notes += remarks.unused(plan.own_excludes, plan.wanted, plan.never, tree.used)
    notes += (*remarks.copies(plan.reasons, tree.used), *remarks.private(tree.private, tree.told))
    notes += remarks.large(packed.table)
    for each in notes:
        log.info("%s: %s", build.source.name, each)
    record, initrd = describe(build, plan, boot, packed.layers)
    generation = replace(
        record.generation,
        source_bytes=tree.size,
        source_files=tree.files,
        summary=summarize(current, plan.packages.installed, plan.kernel.release),
        notes=notes,
        order=current.generation.order if current and packed.base is None else "",
    )
    record = replace(
        record, generation=generation, excludes=plan.excludes, tools=tools, level=build.options.level
    )
    write(build.work, record, initrd, to_bytes(packed.table))
    return generation


def describe(build: Build, plan: Plan, boot: BootFiles, layers: tuple[Layer, ...]) -> tuple[Manifest, bytes]:
    """Return the manifest of a new generation, as far as all kinds of builds know it, and its initrd. Blocks.

    What the source holds, the summary and what was packed how are for the caller to put in.
    """
    image = build.source.name
    identity, now, initrd = identify(build.paths, image, boot, layers)
    generation = Generation(
        id=identity,
        image=image,
        created=now,
        source=build.source.shown,
        architecture=plan.architecture,
        kernel=plan.kernel.release,
        layers=layers,
        source_bytes=0,
        source_files=0,
        kernel_bytes=boot.kernel_bytes,
        initrd_bytes=len(initrd),
        packages_digest=plan.digest,
    )
    record = Manifest(
        generation,
        plan.packages.installed,
        boot=BootPart(boot.key, len(boot.part)),
        kernel_pattern=build.options.kernel or "",
        initrd=build.options.initrd or OWN,
    )
    return record, initrd


def identify(
    paths: Paths, image: str, boot: BootFiles, layers: tuple[Layer, ...]
) -> tuple[str, float, bytes]:
    """Return a new generation's id, when it is made in seconds since the epoch, and its initrd. Blocks.

    The id is a UTC stamp and the start of a digest, that of the topmost layer or, without layers, of the boot
    part.
    """
    now = stamp = _moment(paths, image)
    digest = layers[-1].digest if layers else hashlib.sha256(boot.part).hexdigest()
    while True:
        identity = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(stamp))}-{digest[:8]}"
        if not (paths.images / image / "generations" / identity).exists():
            return identity, now, boot.part + make_identity(image, identity, layers)
        stamp += 1


def _moment(paths: Paths, image: str) -> float:
    """Return now in seconds since the epoch, but later than any generation: they are in order of time.

    Clocks are set back: by NTP, by hand, by a battery that is empty.
    """
    images, _ = read_images(paths)
    built = (each.created for found in images if found.name == image for each in found.generations)
    return max(time.time(), max(built, default=0.0) + 0.001)


def write(work: Workdir, record: Manifest, initrd: bytes, table: bytes) -> None:
    """Write the files of a generation but for the kernel. Blocks; raises OSError."""
    lines = "".join(f"{layer.digest} {layer.size}\n" for layer in record.generation.layers)
    (work.generation / "initrd.img").write_bytes(initrd)
    (work.generation / "layers").write_text(lines, "ascii")
    work.entries.write_bytes(table)
    (work.generation / "manifest.json").write_text(to_text(record), "utf-8")
    for file in (work.entries, *(work.generation / name for name in GENERATION_FILES)):
        file.chmod(PRIVATE_FILE)
