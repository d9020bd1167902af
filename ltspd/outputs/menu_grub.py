"""The boot menu of GRUB, where its signed image looks for it: in the root of the TFTP server. Pure."""

from ltspd.menu.grub import configuration
from ltspd.model.menu import GRUB
from ltspd.model.output import File, Output
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.outputs.world import World

ORDER = 21


def place(world: World) -> str:
    """Return the path of the one file that GRUB asks for."""
    return f"{world.paths.tftp.rsplit('/', 1)[0]}/grub/grub.cfg"


def render(world: World) -> Output | None:
    """Return the output with the menu; None where GRUB is not installed."""
    if GRUB not in world.boot_programs:
        return None
    text = configuration(world.desired.menu, world.settings[HTTP_PORT])
    return Output(name="menu-grub", files=(File(place(world), text.encode()),))
