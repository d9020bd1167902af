"""What a new generation is called and what is told of it: its id and time, its initrd, its manifest."""

import hashlib

from ltspd.image import bootfiles
from ltspd.image.bootfiles import BootFiles
from ltspd.image.look.contents import OWN, BuildPlan
from ltspd.image.store.manifest import Manifest
from ltspd.image.store.workdir import moment, new_identity
from ltspd.initrd.boot import make_identity
from ltspd.model.image import Generation, Layer
from ltspd.paths import Paths


def identify(
    paths: Paths, image: str, boot: BootFiles, layers: tuple[Layer, ...]
) -> tuple[str, float, bytes]:
    """Return a new generation's id, when it is made in seconds since the epoch, and its initrd. Blocks.

    The id ends with the start of a digest, that of the topmost layer or, without layers, of the boot part.
    """
    now = moment(paths, image)
    digest = layers[-1].digest if layers else hashlib.sha256(boot.part).hexdigest()
    identity = new_identity(paths, image, now, digest)
    return identity, now, boot.part + make_identity(image, identity, layers)


def describe(
    paths: Paths, plan: BuildPlan, boot: BootFiles, layers: tuple[Layer, ...]
) -> tuple[Manifest, bytes]:
    """Return the manifest of a new generation, as far as all kinds of builds know it, and its initrd. Blocks.

    What the source holds, the summary and what was packed how are for the caller to put in.
    """
    image = plan.source.name
    identity, now, initrd = identify(paths, image, boot, layers)
    generation = Generation(
        id=identity,
        image=image,
        created=now,
        source=plan.source.shown,
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
        boot=bootfiles.as_manifest(boot),
        kernel_pattern=plan.options.kernel or "",
        initrd=plan.options.initrd or OWN,
    )
    return record, initrd
