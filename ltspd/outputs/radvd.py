"""Router advertisements that offer no route and no address; they only end iPXE's wait for one. Pure."""

from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 70
PATH = "/var/lib/ltspd/outputs/radvd.conf"
RADVD = Program("radvd")
PROGRAMS = (RADVD,)
UNIT = "ltspd-radvd.service"
UNITS = (UNIT,)

# iPXE waits 16 s after DHCP for an IPv6 router that an IPv4-only LAN doesn't have. Lifetime 0 says
# "not a default router", and without a prefix nobody takes an address (RFC 4861, 6.2.3 and 6.3.4).
_INTERFACE = """interface {name} {{
    AdvSendAdvert on;
    AdvDefaultLifetime 0;
    MinRtrAdvInterval 200;
    MaxRtrAdvInterval 600;
}};
"""


def render(world: World) -> Output:
    """Return the output that answers router solicitations on links without IPv6 of their own."""
    names = sorted({link.link for link in world.desired.network.served if link.quiet_router})
    missing = "" if RADVD in world.programs else "radvd is not installed; iPXE will wait 16 s longer."
    return Output(
        name="router-advertisements",
        files=(File(PATH, "".join(_INTERFACE.format(name=name) for name in names).encode()),),
        activation=Unit(UNIT),
        wanted=bool(names),
        check=("radvd", "--configtest", "--config", "{}"),
        missing=missing,
    )
