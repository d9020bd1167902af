"""Direct boot: a generation that is a kernel and an initrd only, whose clients read a chroot by NFS.

Nothing is packed, so it is there in a second and follows each change of the chroot at once; also those
that are half done. What only root may read in the chroot is not to be had by clients.
"""

import hashlib
from pathlib import Path

from ltspd.errors import InvalidOption
from ltspd.image import bootfiles, dpkg
from ltspd.image.bootfiles import MakeBootPart
from ltspd.image.look import OWN, BuildPlan, look
from ltspd.image.manifest import Manifest
from ltspd.image.publish import Step
from ltspd.image.threads import in_thread
from ltspd.image.workshop import Workshop, moment, new_identity, write
from ltspd.initrd.boot import make_identity
from ltspd.model import Generation, Progress, Source, SourceKind
from ltspd.paths import Paths


def check(source: Source) -> None:
    """Raise InvalidOption if the source is none that clients could be let read as it is."""
    if source.kind is not SourceKind.DIRECTORY:
        raise InvalidOption(
            f"{source.path} can't be booted without building: only a chroot below the base directory is "
            "exported as it is. Leave 'direct' out to build an image of it."
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

    Raises what a look at the source does, ToolFailed, OSError.
    """
    check(plan.source)
    name, root = plan.source.name, Path(plan.source.path)
    progress.phase("initrd", 0.95)
    async with dpkg.package_lock(root, plan.options.lock_timeout):
        plan = await in_thread(lambda: look(paths, plan.source, plan.options, owned=True))
        boot = await bootfiles.make(root, plan.kernel, work.generation / "vmlinuz", make_boot_part)
    if current is not None and await in_thread(_same, paths, current, plan, boot):
        return current.generation
    step("copied")
    now = await in_thread(moment, paths, name)
    identity = new_identity(paths, name, now, hashlib.sha256(boot.part).hexdigest())
    initrd = boot.part + make_identity(name, identity, ())
    generation = Generation(
        id=identity,
        image=name,
        created=now,
        source=plan.source.path,
        architecture=plan.architecture,
        kernel=plan.kernel.release,
        layers=(),
        source_bytes=0,
        source_files=0,
        kernel_bytes=boot.kernel_bytes,
        initrd_bytes=len(initrd),
        packages_digest=plan.packages.digest,
        summary=f"direct boot of {plan.source.path}, kernel {plan.kernel.release}",
        directory=plan.source.path,
    )
    pattern = plan.options.kernel or ""
    record = Manifest(
        generation,
        plan.packages.installed,
        boot=bootfiles.as_manifest(boot),
        kernel_pattern=pattern,
        initrd=plan.options.initrd or OWN,
    )
    await in_thread(lambda: write(work, record, initrd, b""))
    return generation


def _same(paths: Paths, current: Manifest, plan: BuildPlan, boot: bootfiles.BootFiles) -> bool:
    """Return whether clients would get the same kernel, initrd and directory, and the bus say the same."""
    facts = current.generation
    if facts.directory != plan.source.path or current.boot.key != boot.key:
        return False
    if facts.packages_digest != plan.packages.digest:
        return False
    with open(paths.images / facts.image / "generations" / facts.id / "initrd.img", "rb") as file:
        return file.read(current.boot.size) == boot.part
