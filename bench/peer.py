"""The peer: LTSP as Debian packages it, set up on a server of its own by its own commands."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.boot import PEER_ROOT, Boot, boot
from bench.cold import evict
from bench.timed import Build, timed
from tests import REPOSITORY
from tests.lab import trees
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session

IMAGE = "x86_64"
MAC = "52:54:00:67:be:01"
_CONSOLE = "[server]\nKERNEL_PARAMETERS=console=ttyS0\n"
# No menu, so that nothing waits for a key.
_HURRIED = f"{_CONSOLE}MENU_TIMEOUT=-1\n"
# The kernel of the lab has no NFS server; this one exports what `ltsp nfs` exports and a client's boot reads,
# to everybody, read-only. NFSv3, because that is all that the client's nfsmount speaks.
_GANESHA = """\
NFS_CORE_PARAM { Protocols = 3; }
NFSV4 { Graceless = true; Lease_Lifetime = 60; }
EXPORT_DEFAULTS { Access_Type = RO; Squash = None; SecType = sys; Protocols = 3; PrivilegedPort = false; }
EXPORT { Export_Id = 1; Path = /srv/ltsp; Pseudo = /srv/ltsp; FSAL { Name = VFS; } }
LOG { Default_Log_Level = EVENT; }
"""


def start(session: Session, tree: str = "ltsp-client", prefix: int = 24) -> Server:
    """Boot the peer's server; its image source is a writable overlay over a client's tree."""
    server = start_server(
        session,
        make_lan(session, prefix=prefix),
        tree="ltsp-server",
        sources={IMAGE: tree},
        install=False,
        name="peer",
    )
    server.write("/etc/ltsp/ltsp.conf", _CONSOLE)
    server.write("/etc/ganesha/ganesha.conf", _GANESHA)
    # `ltsp nfs` restarts the kernel's server by this name.
    ganesha = "/lib/systemd/system/nfs-ganesha.service"
    server.run(f"ln -s {ganesha} /etc/systemd/system/nfs-kernel-server.service && systemctl daemon-reload")
    return server


def version(server: Server) -> str:
    """Return the version of the installed LTSP."""
    return server.run("dpkg-query -W -f='${Version}' ltsp").strip()


def build(server: Server, tree: str = "ltsp-client") -> Build:
    """Run `ltsp image` on a source that is not in memory."""
    (server.srv / "images" / f"{IMAGE}.img").unlink(missing_ok=True)
    evict(trees.tree(tree))
    wall, cpu = timed(server, f"ltsp image {IMAGE}", 900)
    return Build(wall, cpu, (server.srv / "images" / f"{IMAGE}.img").stat().st_size)


def serve(server: Server) -> None:
    """Run the commands that LTSP's documentation lists, after the image is built."""
    server.run("ltsp dnsmasq --proxy-dhcp=0 && ltsp nfs && ltsp ipxe && ltsp initrd", timeout=300)
    server.wait_for("systemctl is-active --quiet dnsmasq")
    server.wait_for("rpcinfo -t 127.0.0.1 100003 3 && rpcinfo -t 127.0.0.1 100005 3", 60)


def boot_as_it_is(server: Server) -> Boot:
    """Boot one client from the peer as its commands have set it up."""
    return boot(server, PEER_ROOT, "peer", MAC)


def boot_hurried(server: Server) -> Boot:
    """Boot one client from the peer with everything helped that only waits: menu and router advertisement."""
    with hurried(server):
        return boot(server, PEER_ROOT, "peer-hurried", MAC)


@contextmanager
def hurried(server: Server) -> Iterator[None]:
    """Help the peer's clients past everything that only waits."""
    command = [sys.executable, "-m", "bench.advertise", "lan0"]
    helper = ["env", f"PYTHONPATH={REPOSITORY}", *command]
    server.write("/etc/ltsp/ltsp.conf", _HURRIED)
    server.run("ltsp ipxe")
    process = server.session.start(helper, log="advertise.log", netns=server.lan.server)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        server.write("/etc/ltsp/ltsp.conf", _CONSOLE)
        server.run("ltsp ipxe")
