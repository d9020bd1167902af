"""The units as they are installed: how closed they are, and that everything works closed like that."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import REPOSITORY
from tests.lab import nbd, product
from tests.lab.net import SERVER_ADDRESS
from tests.lab.server import Server
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab

# The most that `systemd-analyze security` may say of each: 0 is shut, 10 is open.
EXPOSURE = {
    "ltspd": 4.0,
    "ltspd-gateway": 2.0,
    "ltspd-listener": 2.0,
    "ltspd-dnsmasq": 3.0,
    "ltspd-proxy-dhcp": 3.0,
    "ltspd-kea": 3.0,
    "ltspd-dhcpd": 3.0,
    "ltspd-tftpd-hpa": 2.5,
    "ltspd-tftp": 2.5,
    "ltspd-nbd@": 2.5,
    "ltspd-swap@": 2.5,
    "ltspd-swap-left": 2.0,
    "ltspd-nfs": 3.0,
    "ltspd-homes": 3.5,
    "ltspd-radvd": 2.0,
    "ltspd-nat": 2.5,
    "ltspd-dns": 2.5,
    "ltspd-setup@": 2.5,
    "ltspd-login": 4.0,
    "ltspd-trial": 2.0,
    "ltspd-probe@": 2.5,
    "ltspd-ruleset": 2.5,
}
# Everything of ltspd.service that could change what an image of / contains, taken back.
OPEN = """[Service]
ProtectSystem=no
ProtectHome=no
ProtectKernelTunables=no
ProtectKernelLogs=no
ProtectControlGroups=no
ProtectClock=no
PrivateTmp=no
DevicePolicy=auto
DeviceAllow=
RestrictNamespaces=no
RestrictSUIDSGID=no
SystemCallFilter=
CapabilityBoundingSet=~
"""
DROP_IN = "/run/systemd/system/ltspd.service.d/open.conf"
# dpkg's own lock, taken as a package manager takes it.
HOLD = """import fcntl, pathlib, time
file = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
pathlib.Path("/run/held").touch()
time.sleep(300)
"""
# Packs the layers named by the arguments into one, as the daemon folds. mksquashfs tells how far it is on
# a terminal only, so that the unit must be let have one.
FOLD = """import asyncio, pathlib, subprocess, sys
sys.path.insert(0, "/usr/lib/ltspd")
from ltspd.image.pack.squashfs import pack_layers
home = pathlib.Path(sys.argv[1])
layers = [pathlib.Path(each) for each in sys.argv[2:]]
(home / "scratch").mkdir()
said = []
asyncio.run(
    pack_layers(layers, home / "folded.squashfs", home / "scratch", level=1, progress=said.append)
)
assert [each for each in said if 0 < each < 1] and said[-1] == 1, said
"""


@pytest.fixture(scope="module")
def built(server: Server) -> str:
    """Build the image `bookworm` and return its layer's digest."""
    product.build(server, "bookworm")
    server.wait_for(
        "systemctl is-active --quiet ltspd-nbd.socket ltspd-nfs ltspd-tftp ltspd-gateway ltspd-login"
    )
    return server.run("head -n 1 /srv/ltsp/images/bookworm/current/layers").split()[0]


@contextmanager
def opened(server: Server) -> Iterator[None]:
    """Run the daemon without its unit's hardening for a while."""
    try:
        server.write(DROP_IN, OPEN)
        server.run("systemctl daemon-reload; systemctl restart ltspd")
        product.wait_until_up(server)
        yield
    finally:
        server.run(f"rm -r {DROP_IN.rpartition('/')[0]}; systemctl daemon-reload; systemctl restart ltspd")
        product.wait_until_up(server)


def contents_of_root(server: Server, image: str) -> set[str]:
    """Build an image of / anew and return its entries: mode, owner and name, and size of plain files."""
    server.run(f"rm -rf /srv/ltsp/images/{image}; ltspctl apply")
    server.run("ltspctl image build /")
    layers = f"/srv/ltsp/images/{image}/current/layers"
    digest = server.run(f"head -n 1 {layers}").split()[0]
    listing = server.run(f"unsquashfs -lln /srv/ltsp/images/{image}/layers/{digest}.squashfs")
    found = set()
    for line in listing.splitlines():
        # mode owner/group size date time name; a device has its numbers for a size
        mode, owner, size, _, _, *name = line.split(maxsplit=5) if line[:1] in "-dlcbps" else [""] * 6
        if name and name[0]:
            found.add(f"{mode} {owner} {size if mode.startswith('-') else ''} {name[0]}")
    return found


def test_each_unit_has_its_bar() -> None:
    assert {each.stem for each in (REPOSITORY / "systemd").glob("*.service")} == set(EXPOSURE)


@pytest.mark.parametrize(("unit", "most"), EXPOSURE.items())
def test_a_unit_is_as_closed_as_promised(server: Server, unit: str, most: float) -> None:
    said = server.run(f"systemd-analyze security --offline=true --no-pager {unit}.service").splitlines()[-1]
    assert float(said.partition("service: ")[2].split()[0]) <= most, said


def test_systemd_applies_it(server: Server, built: str) -> None:
    # A template has no process of its own; its instances are looked at where a transport serves. A trial's
    # unit runs only for a trial, and others where ltsp.conf or a command asks for them.
    seldom = (
        "@",
        "-trial",
        "-ruleset",
        "-homes",
        "-nat",
        "-dns",
        "-kea",
        "-dhcpd",
        "-tftpd-hpa",
        "-swap-left",
    )
    for unit in (each for each in EXPOSURE if not each.endswith(seldom)):
        pid = server.run(f"systemctl show -P MainPID {unit}").strip()
        status = server.run(f"cat /proc/{pid}/status")
        assert "NoNewPrivs:\t1" in status, unit
        assert "Seccomp:\t2" in status, unit
        # At least the programs: people's homes may lie anywhere.
        options = server.run(f'awk \'$5 == "/" || $5 == "/usr" {{ print $6 }}\' /proc/{pid}/mountinfo')
        assert options.split()[-1].startswith("ro"), unit


def test_every_transport_serves(server: Server, built: str) -> None:
    base = f"images/bookworm/layers/{built}.squashfs"
    path = f"/srv/ltsp/{base}"
    start = f"| head -c 4 | grep -q hsqs && stat -c %s {path}"
    size = int(server.run(f"curl -sSf -r 0-3 http://{SERVER_ADDRESS}/ltsp/{base} {start}"))
    menu = server.run("cat /srv/tftp/ltsp/ltsp.ipxe")
    assert server.run(f"curl -sSf tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe") == menu
    assert server.run(f"python3 - {built}", stdin=f"{nbd.CLIENT}print(read(7).decode())").strip() == "hsqs"
    # NFS takes a file handle for each file: the server opens by it, which needs a capability of its own.
    argv = ["nfs-cat", f"nfs://{SERVER_ADDRESS}{path}?version=4"]
    argv = ["nsenter", f"--net=/run/netns/{server.lan.server}", "--", *argv]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=PATIENCE)
    assert done.stdout[:4] == b"hsqs"
    assert len(done.stdout) == size


def test_an_image_of_the_root_has_what_it_had_without_hardening(server: Server) -> None:
    (image,) = (each["Name"] for each in product.status(server)["Images"] if each["Source"] == "/")
    # Things that come and go with a restart of the daemon, or with time.
    changing = ("/var/log/", "/var/lib/systemd/", "/run/", "/__pycache__")
    try:
        # mksquashfs must take over what the daemon itself could not make.
        server.run(
            "install -m 4755 /bin/true /usr/local/bin/suid; install -m 600 -o nobody /etc/fstab /opt/own"
        )
        server.run(
            "setcap cap_net_raw+ep /usr/local/bin/suid; mkdir -p /opt/x; echo 1 >/opt/x/file", check=False
        )
        closed = contents_of_root(server, image)
        with opened(server):
            ours = contents_of_root(server, image)
    finally:
        server.run("rm -rf /usr/local/bin/suid /opt/own /opt/x")
    differing = {each for each in closed ^ ours if not any(part in each for part in changing)}
    assert differing == set()
    names = {each.rpartition(" squashfs-root")[2] for each in closed}
    assert "/usr/local/bin/suid" in names
    assert any(
        name.endswith(".ko") and name.startswith(("/usr/lib/modules/", "/lib/modules/")) for name in names
    )
    assert len(closed) > 5000


def test_what_was_packed_can_be_compared_within_the_units_limits(server: Server, built: str) -> None:
    words = server.run("journalctl --no-pager -o cat -u ltspd | grep 'ompared' || true")
    assert re.search(r"Compared \d{4,} entries of a new layer", words)
    assert "can't be compared" not in words


def test_a_build_of_the_root_waits_for_dpkgs_lock(server: Server) -> None:
    def state() -> tuple[str, str]:
        job = json.loads(server.run(f"ltspctl job show --json {job_id}"))
        return job["State"], job["Phase"]

    # A first build says what it does before it has the lock; any other one waits without a word.
    server.run("ltspctl image build /")
    server.write("/run/hold.py", HOLD)
    server.run("systemd-run --quiet --collect --unit=dpkg-holder python3 /run/hold.py")
    try:
        server.wait_for("[ -e /run/held ]")
        job_id = server.run("ltspctl image build --no-wait /").split()[0]
        time.sleep(2)
        assert state() == ("running", "")
    finally:
        server.run("systemctl stop dpkg-holder; rm -f /run/held")
    server.wait_for(lambda: state()[0] == "done")


def test_layers_can_be_folded_within_the_units_limits(server: Server, built: str) -> None:
    unit = server.run("systemctl cat ltspd.service").splitlines()
    dropped = (
        "Type=",
        "NotifyAccess=",
        "BusName=",
        "Exec",
        "Restart=",
        "Watchdog",
        "Alias=",
        "WantedBy=",
        "#",
    )
    kept = [line for line in unit if not line.startswith((*dropped, "RestartSec"))]
    layer = f"/srv/ltsp/images/bookworm/layers/{built}.squashfs"
    command = f"/usr/bin/python3 /run/fold.py /srv/ltsp/fold {layer} /srv/ltsp/fold/top.squashfs"
    kept.insert(kept.index("[Service]") + 1, f"Type=oneshot\nExecStart={command}")
    server.write("/run/fold.py", FOLD)
    server.write("/run/systemd/system/fold.service", "\n".join(kept))
    try:
        server.run("mkdir -p /srv/ltsp/fold /run/top/etc; echo new >/run/top/etc/only-above")
        server.run("mksquashfs /run/top /srv/ltsp/fold/top.squashfs -noappend -quiet -no-progress")
        server.run("systemctl daemon-reload")
        server.run("systemctl start fold || { journalctl --no-pager -n 20 -u fold; exit 1; }")
        listing = server.run("unsquashfs -l /srv/ltsp/fold/folded.squashfs")
        assert "squashfs-root/etc/only-above" in listing
        assert "squashfs-root/usr/bin/bash" in listing
    finally:
        server.run("rm -rf /srv/ltsp/fold /run/top /run/systemd/system/fold.service; systemctl daemon-reload")


def test_it_is_ready_after_less_than_a_second_of_work(server: Server) -> None:
    # proc(5): fields 14 and 15, in hundredths. How long it takes on the clock, bench/bus measures.
    look = "cut -d ' ' -f 14,15 /proc/$(systemctl show -P MainPID ltspd)/stat"
    worked = []
    for _ in range(3):
        server.run("systemctl restart ltspd")
        worked.append(sum(map(int, server.run(look).split())) / 100)
        server.wait_for(lambda: product.status(server)["State"] == "in-sync")
    assert min(worked) <= 1.0, json.dumps(worked)
