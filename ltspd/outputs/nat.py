"""Routing for clients that get their addresses here: our own table of nftables, and forwarding. Pure."""

from ltspd.model.facts import Program
from ltspd.model.network import DhcpRole
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 75
PATH = "/var/lib/ltspd/outputs/nat.nft"
NFT = Program("nft")
PROGRAMS = (NFT,)
UNIT = "ltspd-nat.service"
UNITS = (UNIT,)

# The first two lines make the file replace the table in one step, whether it is there or not. Other programs'
# tables stay as they are; what they drop stays dropped.
_TABLE = """\
table ip ltspd-nat
delete table ip ltspd-nat
table ip ltspd-nat {{
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {{ {networks} }} oifname != {{ {links} }} masquerade
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        # As behind any router: clients reach what is outside, and nobody outside begins to speak to a client.
        iifname != {{ {links} }} oifname {{ {links} }} ct state != {{ established, related }} drop
    }}
}}
"""


def render(world: World) -> Output:
    """Return the output that routes for the links where this server gives addresses."""
    network = world.desired.network
    rooms = [each for each in network.served if each.role is DhcpRole.REAL] if network.nat else []
    text = _TABLE.format(
        networks=", ".join(sorted({str(each.address.network) for each in rooms})),
        links=", ".join(sorted(f'"{each.link}"' for each in rooms)),
    )
    return Output(
        name="nat",
        files=(File(PATH, text.encode()),) if rooms else (),
        activation=Unit(UNIT, reload=True),
        wanted=bool(rooms),
        missing="" if NFT in world.programs else "nft is not installed; install nftables.",
    )
