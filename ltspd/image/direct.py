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
from ltspd.image.bootfiles import MakeBootPart
from ltspd.image.describe import describe
from ltspd.image.look.contents import BuildPlan, check_space, look
from ltspd.image.source import dpkg
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.publish import Step
from ltspd.image.store.workdir import Workshop, seal, write
from ltspd.image.verify import layer as verify
from ltspd.model.image import Generation, Layer, Source, SourceKind
from ltspd.model.job import Progress
from ltspd.paths import Paths
from ltspd.system.threads import in_thread

_PIECE = 4 << 20


def check(source: Source) -> None:
    """Raise InvalidOption if the source is none that clients could be let have as it is. Blocks."""
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


async def make(
    paths: Paths,
    plan: BuildPlan,
    progress: Progress,
    work: Workshop,
    make_boot_part: MakeBootPart,
    current: Manifest | None,
    step: Step,
) -> Generation:
    """Write a generation into the work directory, or return the current one if it is the same already.

    Raises what a look at the source does, InvalidOption, BadDisk, SecretInImage, ToolFailed, OSError.
    """
    await in_thread(check, plan.source)
    root = Path(plan.source.path)
    progress.phase("initrd", 0.2)
    async with dpkg.package_lock(root, plan.options.lock_timeout):
        plan = await in_thread(lambda: look(paths, plan.source, plan.options, owned=True))
        boot = await bootfiles.make(root, plan.kernel, work.generation / "vmlinuz", make_boot_part)
    progress.phase("copy", 0.7, sum(size for _, size in plan.source.pieces))
    layers = await in_thread(_layers, paths, plan.source, work, progress)
    for each in layers:
        await verify.check_medium(work.layers / each.file_name)
    if current is not None and await in_thread(_same, paths, current, plan, layers, boot):
        return current.generation
    step("copied")
    record, initrd = await in_thread(describe, paths, plan, boot, layers)
    generation = replace(
        record.generation,
        summary=f"{plan.source.shown} as it is, kernel {plan.kernel.release}",
        directory="" if layers else plan.source.path,
    )
    await in_thread(lambda: write(work, replace(record, generation=generation), initrd, b""))
    return generation


def _layers(paths: Paths, source: Source, work: Workshop, progress: Progress) -> tuple[Layer, ...]:
    """Copy a live medium's squashfs files into the work directory; raises NoSpace, BadDisk, OSError."""
    total = sum(size for _, size in source.pieces)
    check_space(paths, source.shown, total, share=1.0)
    layers, done = [], 0
    for number, (offset, size) in enumerate(source.pieces):
        target = work.layers / f"{number}"
        with open(source.origin, "rb") as medium, open(target, "xb") as out:
            end = offset + size
            while offset < end and not work.ended.is_set():
                sent = os.sendfile(out.fileno(), medium.fileno(), offset, min(_PIECE, end - offset))
                if not sent:
                    raise BadDisk(f"{source.shown} ends in the middle of its system; get it anew.")
                offset, done = offset + sent, done + sent
                progress.done(done / total)
        layers.append(seal(target, work.ended.is_set))
    return tuple(layers)


def _same(
    paths: Paths, current: Manifest, plan: BuildPlan, layers: tuple[Layer, ...], boot: bootfiles.BootFiles
) -> bool:
    """Return whether clients would get the same kernel, initrd and root, and the bus say the same."""
    facts = current.generation
    if (facts.source, facts.layers, facts.direct) != (plan.source.shown, layers, True):
        return False
    if current.boot.key != boot.key or facts.packages_digest != plan.digest:
        return False
    with open(paths.images / facts.image / "generations" / facts.id / "initrd.img", "rb") as file:
        return file.read(current.boot.size) == boot.part


def _secret(root: Path) -> str:
    """Return the name of a file with a password hash or a host key, or an empty string."""
    for line in (read_inside(root, "etc/shadow") or b"").splitlines():
        if line.partition(b":")[2].startswith(b"$"):
            return "/etc/shadow"
    keys = (each for each in list_inside(root, "etc/ssh") if each.endswith("_key"))
    return next((f"/etc/ssh/{each}" for each in keys), "")
