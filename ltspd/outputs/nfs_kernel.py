"""NFS by the kernel's own server: the image store and chroots that clients read, read-only. Pure."""

from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 30
PATH = "/etc/exports.d/ltspd.exports"
EXPORTFS = Program("exportfs")
PROGRAMS = (EXPORTFS,)
UNIT = "nfs-server.service"
UNITS = (UNIT,)
# all_squash: all clients read as nobody; nfs_ganesha says why that is enough.
_OPTIONS = "ro,all_squash,no_subtree_check,insecure,crossmnt"


def serves(world: World) -> bool:
    """Return whether this server's kernel can be an NFS server."""
    return world.kernel_nfsd and EXPORTFS in world.programs


def render(world: World) -> Output | None:
    """Return the output that exports store and chroots to the served networks."""
    if not serves(world):
        return None
    store, served = world.desired.store, world.desired.network.served
    networks = sorted({str(link.address.network) for link in served})
    clients = " ".join(f"{network}({_OPTIONS})" for network in networks)
    exported = (store.path, *store.direct) if networks else ()
    lines = "".join(f"{path} {clients}\n" for path in exported)
    return Output(
        name="nfs",
        files=(File(PATH, lines.encode()),),
        activation=Unit(UNIT, reload=True),
        wanted=bool(served),
    )
