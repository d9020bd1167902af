"""The program: one client has its home by NFS and by SSHFS, and both are measured in the same minutes."""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.figures import Figure
from bench.strain import FILES, MEGABYTES, WORKS
from tests.lab import battery, homes, product
from tests.lab.client import Client, power_on
from tests.lab.net import make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import open_session

IMAGE = "homes"
MAC = "52:54:00:67:e6:01"
_HERE = Path(__file__).parent
_BATTERY = Path(battery.__file__)
# Where the home of the person is, each way; the second is what another client would see.
_NFS = ("/home/alice", "/mnt/again/alice")
_SSHFS = ("/mnt/sshfs", "/mnt/sshfs-again")
# What the ratio of each is called, and its highest good value; the default of homes was chosen by these.
_RATIOS = {
    "write": (f"{MEGABYTES} MB written, NFS over SSHFS", 1.0),
    "read": (f"{MEGABYTES} MB read, NFS over SSHFS", 1.0),
    "unpack": (f"{FILES} small files unpacked, NFS over SSHFS", 1.5),
    "stat": (f"attributes of {FILES} files, NFS over SSHFS", 1.0),
    "rows": ("seconds of a transaction of sqlite, NFS over SSHFS", 1.5),
    "first": ("first small file after login, NFS over SSHFS", 1.0),
}

Seen = dict[str, dict[str, list[float]]]


def _boot(server: Server) -> Client:
    product.configure(server, {"server": {"NFS_HOME": "1"}, "clients": {"DEFAULT_IMAGE": IMAGE}})
    product.build(server, IMAGE)
    server.wait_for("systemctl is-active --quiet ltspd-homes")
    client = power_on(server.session, server.lan, "bios", mac=MAC, name="homes")
    client.login_prompt()
    homes.put(client, _BATTERY.read_text(), "/run/battery.py")
    homes.put(client, (_HERE / "strain.py").read_text(), "/run/strain.py")
    homes.mount_again(client, "/mnt/again")
    return client


def _as_person(client: Client, command: str) -> str:
    return client.shell(f"cd / && setpriv --reuid 1500 --regid 1500 --clear-groups {command}")


def _measure(server: Server, client: Client, runs: int) -> Seen:
    seen: Seen = {"nfs": {}, "sshfs": {}}
    for run in range(runs):
        for way, home in (("nfs", _NFS[0]), ("sshfs", _SSHFS[0])):
            began = time.monotonic()
            if way == "sshfs":
                homes.mount_by_ssh(server, client, "alice", home)
                seen[way].setdefault("mount", []).append(time.monotonic() - began)
            for work in ("first", *(each for each in WORKS if each != "first")):
                if work in ("read", "stat"):
                    client.shell("sync; echo 3 >/proc/sys/vm/drop_caches")
                value = float(_as_person(client, f"python3 /run/strain.py {work} {home}"))
                seen[way].setdefault(work, []).append(1 / value if work == "rows" else value)
                print(f"run {run + 1}, {way}, {work}: {value:.3f}", file=sys.stderr, flush=True)
            _as_person(client, f"rm -r {home}/large {home}/source {home}/base")
            if way == "sshfs":
                client.shell(f"umount {home}")
    return seen


def figures(seen: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Figure]:
    """Return the ratios of what was measured, NFS over SSHFS: under 1, NFS is faster."""
    found = []
    for work, (name, bar) in _RATIOS.items():
        values = [median(seen[way][work]) for way in ("nfs", "sshfs")]
        each = "; ".join(
            f"{way} {' '.join(f'{value:.3f}' for value in seen[way][work])} s" for way in ("nfs", "sshfs")
        )
        found.append(Figure(name, values[0] / values[1], bar, note=each))
    return found


def _battery(server: Server, client: Client) -> dict[str, dict[str, str]]:
    homes.mount_by_ssh(server, client, "alice", *_SSHFS)
    columns = {}
    for name, places in (("RAM", ("/dev/shm", "/dev/shm")), ("NFS", _NFS), ("SSHFS", _SSHFS)):
        answer = _as_person(client, f"python3 /run/battery.py run {' '.join(places)} --json")
        columns[name] = dict(json.loads(answer))
    return columns


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/homes",
        description="Use a home by NFS and by SSHFS from one client, and print how they compare.",
    )
    parser.add_argument("--runs", type=int, default=3, help="measurements of each (default: %(default)s)")
    parser.add_argument("--battery", action="store_true", help="print the table of operations, too")
    options = parser.parse_args()
    with open_session() as session:
        server = start_server(session, make_lan(session), sources={IMAGE: "homes-client"})
        product.wait_until_up(server)
        with homes.file_system(server, 400):
            client = _boot(server)
            seen = _measure(server, client, max(1, options.runs))
            columns = _battery(server, client) if options.battery else {}
    load = f"load {os.getloadavg()[2]:.1f} on {os.cpu_count()} processors"
    print(f"one emulated client, homes by NFS (nfs-ganesha) and SSHFS, {options.runs} run(s), {load}")
    missed = False
    for figure in figures(seen):
        print(figure.line())
        missed |= figure.missed
    if columns:
        print(battery.table(columns))
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
