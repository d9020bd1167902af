"""Swap for clients by NBD: which sizes there are, for which networks, and how many files. Pure.

The server's files are made and removed by ``nbd/nbd-swap``; clients encrypt what they write.
"""

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import count, duration
from ltspd.model.desired import SWAP_PORT, Swap
from ltspd.model.output import File, Output, Unit
from ltspd.outputs import nbd
from ltspd.outputs.world import World

ORDER = 41
PATH = "/var/lib/ltspd/outputs/swap.conf"
ALLOWED = "/var/lib/ltspd/outputs/swap.allow"
ENVIRONMENT = "/var/lib/ltspd/outputs/swap.env"
# nbd-server puts the client's address in the place of %s.
FILE = "/var/lib/ltspd/swap/%s"
# What a client's program asks for; it is the program of roots by NBD.
PROGRAM = "/usr/lib/ltspd/nbd-client"
UNIT = "ltspd-swap.socket"
UNITS = (UNIT,)

MOST = Parameter("NBD_SWAP_CLIENTS", count(), "50", SERVER, "How many clients may have swap here at a time")
KEEP = Parameter(
    "NBD_SWAP_KEEP",
    duration(minimum=1, maximum=86400),
    "10m",
    SERVER,
    "How long a client's swap is kept after its connection ended",
)


def render(world: World) -> Output | None:
    """Return the output that gives clients in served networks their swap; None if nobody is to have any."""
    swap, network = world.desired.swap, world.desired.network
    if swap is None:
        return None
    return Output(
        name="swap",
        files=(
            File(PATH, _configuration(swap, world.settings[MOST])),
            File(ALLOWED, "".join(f"{each}\n" for each in network.networks).encode()),
            File(ENVIRONMENT, f"KEEP={world.settings[KEEP]}\n".encode()),
        ),
        # Each connection has a process of its own, which reads all of this when it starts.
        activation=Unit(UNIT, follows=True),
        wanted=bool(network.networks),
        ports=(("tcp", SWAP_PORT),),
        missing=""
        if nbd.NBD_SERVER in world.programs
        else "nbd-server is not installed; NBD_SWAP won't work.",
    )


def _configuration(swap: Swap, most: int) -> bytes:
    """Return two exports for each size: one makes the file, the other needs it to be there."""
    lines = ["[generic]"]
    for words, size in swap.sizes:
        common = [f"    exportname = {FILE}", "    virtstyle = ipliteral", f"    authfile = {ALLOWED}"]
        lines += [f"[swap-{words}]", *common, f"[swap-{words}-new]", *common]
        lines += [f"    prerun = /usr/lib/ltspd/nbd-swap make {size} {most} %s"]
    return "\n".join(lines).encode() + b"\n"
