"""People's homes by NFS, writable, from an nfs-ganesha of their own beside that of the images. Pure.

It has more rights than the one that everybody reads images from, it must know after a restart who held which
lock, and it comes and goes with NFS_HOME while clients read their roots from the other one.
"""

from ltspd.model.desired import Homes
from ltspd.model.output import File, Output, Symlink, Unit
from ltspd.outputs import nfs_ganesha, nfs_kernel
from ltspd.outputs.world import World

ORDER = 32
PATH = "/var/lib/ltspd/outputs/homes.conf"
# The unit may write where this leads, and nowhere else.
LINK = "/var/lib/ltspd/outputs/homes"
UNIT = "ltspd-homes.service"
UNITS = (UNIT,)

# Lease_Lifetime: a client that is cut off for less keeps its locks; one that died loses them after it.
# Grace_Period: so long a restarted server waits for the clients that it had, unless all have come back.
# Only_Numeric_Owners: both sides have the same numbers, and a name that one of them lacks maps to nobody.
# Manage_Gids_Expiration: who was taken out of a group is out after a minute, not after half an hour.
_GANESHA = """NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {port};
    Enable_NLM = false;
    Enable_RQUOTA = false;
    NSM_Use_Caller_Name = true;
    Manage_Gids_Expiration = 60;
{core}}}
NFSV4 {{
    Graceless = false;
    Lease_Lifetime = 90;
    Grace_Period = 90;
    Minor_Versions = 1;
    RecoveryBackend = fs;
    RecoveryRoot = "/var/lib/ltspd/homes";
    Only_Numeric_Owners = true;
}}
LOG {{
    Default_Log_Level = WARN;
}}
"""
# Manage_Gids: groups are those that the server knows a person to be in, not those that a client claims.
# Attr_Expiration_Time: what another program changes on this server is seen at once.
# PrivilegedPort: on a client that was not tampered with, only root can speak from a port below 1024.
_EXPORT = """EXPORT {{
    Export_Id = 1;
    Path = "{path}";
    Pseudo = "{path}";
    Access_Type = None;
    Squash = Root_Squash;
    Anonymous_Uid = 65534;
    Anonymous_Gid = 65534;
    SecType = sys;
    Protocols = 4;
    Transports = TCP;
    PrivilegedPort = true;
    Manage_Gids = true;
    Attr_Expiration_Time = 0;
    CLIENT {{
        Clients = {clients};
        Access_Type = RW;
        Protocols = 4;
    }}
    FSAL {{ Name = VFS; }}
}}
"""


def render(world: World) -> Output | None:
    """Return the output that exports homes to the served networks, as far as their own modes allow."""
    homes = world.desired.homes
    if homes is None or nfs_kernel.serves(world):
        return None
    networks = sorted(map(str, world.desired.network.networks))
    missing = (
        ""
        if nfs_ganesha.GANESHA in world.programs
        else (
            "the kernel has no NFS server and nfs-ganesha is not installed, so clients get no homes by NFS; "
            "install nfs-ganesha-vfs, or nfs-kernel-server where the kernel can be one."
        )
    )
    return Output(
        name="homes",
        files=(File(PATH, _configuration(world, homes, networks).encode()),),
        links=(Symlink(LINK, homes.path),),
        activation=Unit(UNIT),
        wanted=bool(networks),
        ports=(("tcp", homes.port),),
        missing=missing,
    )


def _configuration(world: World, homes: Homes, networks: list[str]) -> str:
    core = nfs_ganesha.core(world)
    return _GANESHA.format(core=core, port=homes.port) + _EXPORT.format(
        path=homes.path, clients=", ".join(networks)
    )
