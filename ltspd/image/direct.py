"""Direct boot: a generation whose clients get its source as it is. Nothing is looked through or packed.

A chroot is read by NFS: it is there in a second, and follows each change at once, also half of one; what
only root may read there, clients don't get. The squashfs files of a live medium become layers unchanged.
"""

import os
from dataclasses import replace
from pathlib import Path

from ltspd.errors import BadDisk, InvalidOption
from ltspd.foreign.inside import list_inside, read_inside
from ltspd.image import bootfiles
from ltspd.image.bootfiles import BootFiles
from ltspd.image.context import Build
from ltspd.image.generation import describe, write
from ltspd.image.look.plan import Plan, make_plan
from ltspd.image.look.wants import lacking
from ltspd.image.source.dpkg import package_lock
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.workdir import seal
from ltspd.image.verify.layer import check_medium
from ltspd.model.image import Generation, Layer, Source, SourceKind
from ltspd.system.threads import in_thread

_PIECE = 4 << 20


def check(source: Source) -> None:
    """Raise InvalidOption if clients must not get the source as it is. Blocks."""
    why = ""
    if source.kind is SourceKind.ROOT:
        why = "clients would read all of this server"
    elif source.kind is SourceKind.DISK and not source.pieces:
        why = "whoever reaches this server could read all that is on it, also hashes and private keys"
    elif source.kind is SourceKind.DISK and (secret := _secret(Path(source.path))):
        why = f"it has secrets that everybody could read then: {secret}"
    if why:
        raise InvalidOption(
            f"{source.shown} can't be booted without building: {why}. Leave 'direct' out to build an image "
            "of it; only chroots below the base directory and live media are booted as they are."
        )


async def make(build: Build, current: Manifest | None) -> Generation:
    """Write a generation into the work directory; return the current one if it is the same.

    Raises what ``make_plan`` does, InvalidOption, BadDisk, SecretInImage, ToolFailed, OSError.
    """
    await in_thread(check, build.source)
    build.progress.phase("initrd", 0.2)
    async with package_lock(build.root, build.options.lock_timeout):
        plan = await in_thread(lambda: make_plan(build, owned=True))
        boot = await bootfiles.make(build, plan.kernel)
    build.progress.phase("copy", 0.7, sum(size for _, size in build.source.pieces))
    layers = await in_thread(_copy, build)
    for each in layers:
        await check_medium(build.work.layers / each.file_name)
    if current is not None and await in_thread(_same, build, current, plan, layers, boot):
        return current.generation
    build.step("copied")
    return await in_thread(_write, build, plan, boot, layers)


def _write(build: Build, plan: Plan, boot: BootFiles, layers: tuple[Layer, ...]) -> Generation:
    record, initrd = describe(build, plan, boot, layers)
    generation = replace(
        record.generation,
        summary=f"{build.source.shown} as it is, kernel {plan.kernel.release}",
        directory="" if layers else build.source.path,
        notes=lacking(build.root, build.options.wants),
    )
    write(build.work, replace(record, generation=generation), initrd, b"")
    return generation


def _copy(build: Build) -> tuple[Layer, ...]:
    """Copy a live medium's squashfs files into the work directory; raises NoSpace, BadDisk, OSError."""
    source = build.source
    total = sum(size for _, size in source.pieces)
    build.check_space(source.shown, total, share=1.0)
    layers, done = [], 0
    for number, (offset, size) in enumerate(source.pieces):
        target = build.work.layers / f"{number}"
        with open(source.origin, "rb") as medium, open(target, "xb") as out:
            end = offset + size
            while offset < end and not build.stopped():
                sent = os.sendfile(out.fileno(), medium.fileno(), offset, min(_PIECE, end - offset))
                if not sent:
                    raise BadDisk(f"{source.shown} ends in the middle of its system; get it anew.")
                offset, done = offset + sent, done + sent
                build.progress.done(done / total)
        layers.append(seal(target, build.stopped))
    return tuple(layers)


def _same(build: Build, current: Manifest, plan: Plan, layers: tuple[Layer, ...], boot: BootFiles) -> bool:
    """Return whether clients would get the same kernel, initrd and root, and the bus say the same."""
    facts = current.generation
    if (facts.source, facts.layers, facts.direct) != (build.source.shown, layers, True):
        return False
    if current.boot.key != boot.key or facts.packages_digest != plan.digest:
        return False
    home = build.paths.images / facts.image / "generations" / facts.id
    with open(home / "initrd.img", "rb") as file:
        return file.read(current.boot.size) == boot.part


def _secret(root: Path) -> str:
    """Return the name of a file with a password hash or a host key, or an empty string."""
    for line in (read_inside(root, "etc/shadow") or b"").splitlines():
        if line.partition(b":")[2].startswith(b"$"):
            return "/etc/shadow"
    keys = (each for each in list_inside(root, "etc/ssh") if each.endswith("_key"))
    return next((f"/etc/ssh/{each}" for each in keys), "")
