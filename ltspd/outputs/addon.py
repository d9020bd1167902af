"""The add-on initrds, and links to the boot programs and to the image store, where TFTP has them. Pure."""

from ltspd.model.output import File, Output, Symlink
from ltspd.outputs.world import World

ORDER = 10


def render(world: World) -> Output:
    """Return the output of what machines fetch before they have a root.

    Boot programs are links, so that an upgrade of their package takes effect by itself. The store is a link,
    so that kernels can come by TFTP, too, without a second copy.
    """
    home = world.paths.tftp
    files = (File(f"{home}/{name}", data) for name, data in world.add_ons.items())
    targets = {**world.boot_programs, "images": world.desired.store.path}
    links = (Symlink(f"{home}/{name}", target) for name, target in sorted(targets.items()))
    return Output(name="boot-files", files=tuple(files), links=tuple(links))
