"""The links on which the listener hears DHCP. Pure."""

import json

from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 58
PATH = "/var/lib/ltspd/outputs/listener.json"
UNIT = "ltspd-listener.service"
UNITS = (UNIT,)


def render(world: World) -> Output:
    """Return the output that hears machines on the served links."""
    links = sorted({each.link for each in world.desired.network.served})
    data = json.dumps({"links": links}, indent=1).encode() + b"\n"
    return Output(
        name="listener", files=(File(PATH, data),), activation=Unit(UNIT, reload=True), wanted=bool(links)
    )
