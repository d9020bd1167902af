"""NFS by nfs-ganesha, where the kernel has no NFS server: the same read-only exports as there. Pure."""

from zlib import crc32

from ltspd.model.desired import Store
from ltspd.model.facts import Program
from ltspd.model.menu import RootTransport
from ltspd.model.output import File, Output, Unit
from ltspd.outputs import nfs_kernel
from ltspd.outputs.world import World

ORDER = 30
PATH = "/var/lib/ltspd/outputs/ganesha.conf"
GANESHA = Program("ganesha.nfsd")
FLUSHER = Program("ganesha.nfsd", knows="allow_set_io_flusher_fail")
PROGRAMS = (GANESHA, FLUSHER)
UNIT = "ltspd-nfs.service"
UNITS = (UNIT,)

# Lease_Lifetime: with a lease of 1 s every client stalls for seconds, again and again.
# Graceless: a read-only export has no state that clients must reclaim after a restart.
# Minor_Versions: NFSv3 would need rpcbind; NFSv4.2 clients of kernel 6.12 fail in READ_PLUS with ganesha 4.
# Only_Numeric_Owners: a boot initrd has nothing that could map names.
# allow_set_io_flusher_fail: without it, versions that know it exit where PR_SET_IO_FLUSHER is refused, as in
# containers; versions that don't know it don't accept the file with it.
_GANESHA = """NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = 2049;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    NSM_Use_Caller_Name = true;
{core}}}
NFSV4 {{
    Graceless = true;
    Lease_Lifetime = 60;
    Minor_Versions = 0, 1;
    RecoveryBackend = fs;
    Only_Numeric_Owners = true;
}}
LOG {{
    Default_Log_Level = WARN;
}}
"""
# All_Squash: a client's root is nobody here, so it can't read what only root may read, as password hashes.
_EXPORT = """EXPORT {{
    Export_Id = {number};
    Path = "{path}";
    Pseudo = "{path}";
    Access_Type = RO;
    Squash = All_Squash;
    Anonymous_Uid = 65534;
    Anonymous_Gid = 65534;
    SecType = sys;
    Protocols = 4;
    Transports = TCP;
    FSAL {{ Name = VFS; }}
}}
"""
# An export's number is part of the file handles that clients hold, so other exports must not change it.
_NUMBERS = range(2, 1 << 16)


def render(world: World) -> Output | None:
    """Return the output that exports store and chroots, to whoever can reach this server.

    Everybody may read without authentication, as nobody: what nobody may read in the store is not secret (the
    build ensures that, and its work directories are closed to others), and neither is it in a chroot.
    """
    if nfs_kernel.serves(world):
        return None
    desired, wanted = world.desired, bool(world.desired.network.served)
    missing = (
        ""
        if GANESHA in world.programs
        else (
            "the kernel has no NFS server and nfs-ganesha is not installed, so there are no roots by NFS; "
            "install nfs-ganesha-vfs, or nfs-kernel-server where the kernel can be one."
        )
    )
    if missing:
        # Clients can get their roots in other ways, so this is a problem only where NFS is asked for.
        asked = RootTransport.NFS in desired.menu.transports
        wanted = wanted and (asked or bool(desired.store.direct))
    return Output(
        name="nfs",
        files=(File(PATH, _configuration(desired.store, core(world)).encode()),),
        activation=Unit(UNIT),
        wanted=wanted,
        ports=(("tcp", 2049),),
        missing=missing,
    )


def core(world: World) -> str:
    """Return the lines that only some versions of nfs-ganesha want."""
    return "    allow_set_io_flusher_fail = true;\n" if FLUSHER in world.programs else ""


def _configuration(store: Store, extra: str) -> str:
    blocks = [_EXPORT.format(number=1, path=store.path)]
    taken: set[int] = set()
    for path in store.direct:
        number = _NUMBERS[crc32(path.encode()) % len(_NUMBERS)]
        while number in taken:
            number = _NUMBERS[(number - _NUMBERS[0] + 1) % len(_NUMBERS)]
        taken.add(number)
        blocks.append(_EXPORT.format(number=number, path=path))
    return _GANESHA.format(core=extra) + "".join(blocks)
