"""The product: ltspd on a server of its own, with the same image source as the peer."""

import math
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from bench.boot import PRODUCT_ROOT, Boot, boot
from bench.cold import evict
from bench.timed import Build, processor_time, timed
from tests.lab import product, trees
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session

IMAGE = "x86_64"
# What both images are made of.
TREE = "ltsp-client"
# This client has no section in ltsp.conf: it boots with all defaults.
MAC = "52:54:00:67:be:02"
TRANSPORTS: Mapping[str, str] = {
    "nbd": "52:54:00:67:be:03",
    "nfs": "52:54:00:67:be:04",
    "http": "52:54:00:67:be:05",
}
# Seconds for a daemon to come to rest after the last client went off, and the time it is watched then.
REST, WATCHED = 10.0, 60.0
UNIT = "ltspd.service"
_GATEWAY = "ltspd-gateway.service"


def start(session: Session, tree: str = TREE, prefix: int = 24, testing: bool = False) -> Server:
    """Boot the product's server; its image source is a writable overlay over a client's tree.

    With ``testing`` it has what tests of images need (``order``).
    """
    server = start_server(
        session,
        make_lan(session, prefix=prefix),
        tree="trial-server" if testing else "server",
        sources={IMAGE: tree},
        name="product",
    )
    product.wait_until_up(server)
    macs = {mac: {"ROOT_TRANSPORT": each} for each, mac in TRANSPORTS.items()}
    product.configure(server, {"server": {"TEST_MEMORY": "1024"}, **macs})
    return server


def order(server: Server) -> None:
    """Test the image, and wait until the base that this brings is what clients boot."""
    server.run(f"ltspctl image test {IMAGE}", timeout=900)
    server.wait_for(lambda: product.image(server, IMAGE)["Generations"][-1]["Ordered"], 600)


def build(server: Server, tree: str = TREE) -> Build:
    """Build the image from nothing, and from a source that is not in memory."""
    # A later build may reuse the work of an earlier one, so each build is an image's first.
    shutil.rmtree(server.srv / "images" / IMAGE, ignore_errors=True)
    server.run("ltspctl reload")
    evict(trees.tree(tree))
    before = _processor_time(_pid(server, UNIT))
    wall, cpu = timed(server, f"ltspctl image build {IMAGE}", 300)
    # The work is the daemon's and its children's; the command itself only waits.
    cpu += _processor_time(_pid(server, UNIT)) - before
    current = server.srv / "images" / IMAGE / "current"
    layers = [line.split()[0] for line in (current / "layers").read_text().splitlines() if line]
    store = server.srv / "images" / IMAGE / "layers"
    return Build(wall, cpu, sum((store / f"{each}.squashfs").stat().st_size for each in layers))


def boot_default(server: Server) -> Boot:
    """Boot one client as the product boots it by default."""
    return boot(server, PRODUCT_ROOT, "product", MAC)


def boot_by(server: Server, transport: str) -> Boot:
    """Boot one client by a named transport; raises RuntimeError if it came by another."""
    seen = boot(server, PRODUCT_ROOT, f"product-{transport}", TRANSPORTS[transport])
    if seen.transport != transport:
        raise RuntimeError(f"ltsp.conf says {transport}, but the root came by {seen.transport}")
    return seen


def resident(server: Server) -> dict[str, float]:
    """Return the resident size of the daemon and of the gateway, in MB."""
    return {unit: _status(_pid(server, unit), "VmRSS") * 1024 / 1e6 for unit in (UNIT, _GATEWAY)}


def most_resident(server: Server) -> float:
    """Return the daemon's resident size when it was at its largest since its start, in MB."""
    return _status(_pid(server, UNIT), "VmHWM") * 1024 / 1e6


def idle_wake_ups(server: Server) -> tuple[int, int]:
    """Watch the idle daemon for a minute; return its threads' voluntary switches, and its watchdog's pings.

    Each time a thread goes to sleep counts, so each wake-up does, once it is over.
    """
    pid = _pid(server, UNIT)
    words = server.run(f"tr '\\0' '\\n' </proc/{_inner(server, UNIT)}/environ | sed -n s/^WATCHDOG_USEC=//p")
    time.sleep(REST)
    before = _switches(pid)
    time.sleep(WATCHED)
    after = _switches(pid)
    if _pid(server, UNIT) != pid:
        raise RuntimeError("the daemon was restarted while it was watched")
    # A daemon pings at half its watchdog's time (sd_watchdog_enabled(3)).
    pings = math.ceil(WATCHED / (int(words) / 2e6)) if words.strip() else 0
    # A new thread counts from its start. An ended one is missed, but it also woke the thread that started it.
    return sum(count - before.get(thread, 0) for thread, count in after.items()), pings


def _inner(server: Server, unit: str) -> int:
    pid = int(server.run(f"systemctl show --property=MainPID --value {unit}"))
    if not pid:
        raise RuntimeError(f"{unit} is not running: {server.journal(unit, lines=5)}")
    return pid


def _pid(server: Server, unit: str) -> int:
    """Return the process id of a unit's main process as we see it, outside of the container."""
    inner = _inner(server, unit)
    namespace = Path(f"/proc/{server.leader}/ns/pid").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/pid").readlink() != namespace:
                continue
            ids = re.search(r"^NSpid:\s+(.*)$", (process / "status").read_text(), re.MULTILINE)
        except OSError:
            continue  # it ended meanwhile
        if ids and int(ids[1].split()[-1]) == inner:
            return int(process.name)
    raise RuntimeError(f"{unit} ended while it was looked for")


def _status(process: int, field: str, thread: int | None = None) -> int:
    path = Path(f"/proc/{process}/task/{thread or process}/status")
    found = re.search(rf"^{field}:\s+(\d+)", path.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{path} has no {field}")
    return int(found[1])


def _switches(process: int) -> dict[int, int]:
    threads = (int(each.name) for each in Path(f"/proc/{process}/task").iterdir())
    return {each: _status(process, "voluntary_ctxt_switches", each) for each in threads}


def _processor_time(process: int) -> float:
    """Return the seconds of processors that a process and its ended children have used."""
    return processor_time(Path(f"/proc/{process}/stat").read_text())
