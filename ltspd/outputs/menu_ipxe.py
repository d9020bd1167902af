"""The static script of the boot menu, over TFTP: what clients run first, and all when HTTP fails. Pure."""

from ltspd.menu.ipxe import static_script
from ltspd.model.output import File, Output
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.outputs.world import World

ORDER = 20


def render(world: World) -> Output:
    """Return the output with the menu script."""
    text = static_script(world.desired.menu, world.settings[HTTP_PORT])
    return Output(name="menu", files=(File(f"{world.paths.tftp}/ltsp.ipxe", text.encode()),))
