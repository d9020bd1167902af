"""NFS by the kernel's own server: image store and chroots, read-only, and people's homes, writable. Pure."""

from ltspd.model.facts import BOOT, Program
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
# Not insecure: on a client that was not tampered with, only root can speak from a port below 1024.
# subtree_check: file handles can be guessed, and would open any file of the same file system.
_HOMES = "rw,root_squash,sync,secure,crossmnt,sec=sys"
# Networks that have been served; whoever gives this server its addresses could make them without end.
FORMER_MOST = 64


def _kept(now: set[str], before: frozenset[str]) -> list[str]:
    return sorted(now | set(sorted(before - now)[:FORMER_MOST]))


def serves(world: World) -> bool:
    """Return whether this server's kernel can be an NFS server."""
    return world.kernel_nfsd and EXPORTFS in world.programs


def render(world: World) -> Output | None:
    """Return the output that exports store and chroots, and homes if they are wanted, to the served networks.

    One file has all, so that no export is gone for a moment while another one comes. A network that has been
    served stays in it: a link may be without its address for a moment, or get another one, and a client whose
    request finds no export loses its root for good (ESTALE). Images may be read by anybody; homes are
    forgotten when the server restarts.
    """
    if not serves(world):
        return None
    store = world.desired.store
    now = set(map(str, world.desired.network.networks))
    networks = _kept(now, world.exported)
    clients = " ".join(f"{network}({_OPTIONS})" for network in networks)
    exported = (store.path, *store.direct) if networks else ()
    lines = f"{BOOT}{world.boot}\n" if world.boot and networks else ""
    lines += "".join(f"{path} {clients}\n" for path in exported)
    homes, writers = world.desired.homes, _kept(now, world.exported_homes)
    if writers and homes and not homes.foreign:
        options = f"{_HOMES},{'no_subtree_check' if homes.whole else 'subtree_check'}"
        lines += f"{homes.path} {' '.join(f'{each}({options})' for each in writers)}\n"
    return Output(
        name="nfs",
        files=(File(PATH, lines.encode()),),
        activation=Unit(UNIT, reload=True),
        wanted=bool(networks),
        ports=(("tcp", 2049),),
    )
