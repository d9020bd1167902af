"""The boot menus of PXELINUX, in the folder beside it. Pure."""

from ltspd.menu.pxelinux import configurations
from ltspd.model.output import File, Output
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.outputs.world import World

ORDER = 22
PROGRAM = "pxelinux.0"


def render(world: World) -> Output | None:
    """Return the output with the menus; None where PXELINUX is not installed."""
    if PROGRAM not in world.boot_programs:
        return None
    found = configurations(world.desired.menu, world.settings[HTTP_PORT])
    return Output(
        name="menu-pxelinux",
        files=tuple(
            File(f"{world.paths.tftp}/pxelinux.cfg/{name}", text.encode())
            for name, text in sorted(found.items())
        ),
    )
