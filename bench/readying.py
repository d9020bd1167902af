"""What a client's set-up costs, and when its greeter is on the screen, with LTSP and with ltspd.

Both servers have the same ltsp.conf, and the same desktop as the source of their image.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench import peer, product
from bench.entering import NAME, give_account
from bench.figures import Figure, failed, ratio, show, told
from bench.measure import TROUBLE, say
from bench.timed import processor_time
from tests.lab import product as lab
from tests.lab.client import Client, power_on
from tests.lab.net import SERVER_ADDRESS
from tests.lab.screen import STILL
from tests.lab.server import Server
from tests.lab.session import open_session

TREE = "ltsp-desktop"
# Seconds of the processor; and with ltspd over with LTSP.
SETUP_MOST, RATIO_MOST = 1.0, 0.5
# One client logs somebody in by itself, the other one shows its greeter. All else is the same.
ALONE, GREETING = "52:54:00:67:be:06", "52:54:00:67:be:07"
# The two ends of the set-up, where the first process tells its times: a hook of ltsp.conf when the root is
# mounted, and what stands before the distribution's init in the image.
_TELL = 'read -r stat </proc/1/stat; echo "bench: {} $stat" >/dev/console'
_INIT = f'#!/bin/sh\n{_TELL.format("init")}\nexec /lib/systemd/systemd "$@"\n'
_MOUNTED, _STARTED = (rf"bench: {each} (.*)\n" for each in ("mounted", "init"))
# What both know. Each line makes work for a client.
_SETTINGS = {
    "CRONTAB_BACKUP": "0 3 * * * root true",
    "CUPS_SERVER": SERVER_ADDRESS,
    "DISABLE_SYSTEM_SERVICES": "e2scrub_reap",
    "DNS_SERVER": SERVER_ADDRESS,
    "FSTAB_SCRATCH": "tmpfs /mnt tmpfs size=10M 0 0",
    "HOSTNAME": "pc%{IP}",
    "HOSTS_NAS": "192.168.67.9 nas",
    "KEEP_SYSTEM_SERVICES": "ssh",
    "LANG": "de_DE.UTF-8",
    "LIGHTDM_CONF": "greeter-hide-users=false",
    "LOCAL_SWAP": "1",
    "MASK_SESSION_SERVICES": "tracker-miner-fs",
    "MASK_SYSTEM_SERVICES": "bluetooth ModemManager",
    "POST_INIT_MOTD": "echo welcome >/etc/motd",
    "KEEP_SESSION_SERVICES": "update-notifier",
    "PWMERGE_DUR": ".*",
    "RELOGIN": "1",
    "SEARCH_DOMAIN": "school.example",
    "TIMEZONE": "Europe/Berlin",
    "POST_INITRD_BOTTOM_BENCH": _TELL.format("mounted"),
}
# Nobody sees this client's screen, for which LTSP's own settings of X are no good.
_ALONE = {
    "AUTOLOGIN": NAME,
    "X_HORIZSYNC": '"28.0-87.0"',
    "X_MODES": '"1024x768" "800x600"',
    "X_VERTREFRESH": '"43.0-87.0"',
}
_SECTIONS = {
    "common": {"KERNEL_PARAMETERS": "console=ttyS0", "MENU_TIMEOUT": "-1"},
    "clients": _SETTINGS,
    ALONE: _ALONE,
}
_LIGHTDM = "/var/log/lightdm/lightdm.log"


@dataclass(slots=True)
class Seen:
    """What clients of one server took: seconds of the processor, of the clock, from kernel to greeter."""

    cost: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    greeter: list[float] = field(default_factory=list)


def configuration() -> str:
    """Return the ltsp.conf of both."""
    lines = []
    for name, values in _SECTIONS.items():
        lines += [f"[{name}]", *(f"{key}={shlex.quote(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


@contextmanager
def _on(server: Server, mac: str, name: str) -> Iterator[tuple[Client, float]]:
    server.session.logs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    client = power_on(server.session, server.lan, name=name, mac=mac, memory=2048, screen=True)
    try:
        yield client, began
    finally:
        client.off()


def _set_up(server: Server, name: str, seen: Seen) -> None:
    """Boot a client until its own init starts, and note what the way there from its root took."""
    with _on(server, ALONE, f"{name}-alone") as (client, _):
        mounted, started = (client.expect(each) for each in (_MOUNTED, _STARTED))
    one, other = (processor_time(str(each.groups[0])) for each in (mounted, started))
    seen.cost.append(other - one)
    seen.clock.append(started.time - mounted.time)
    say(f"{name}: set-up {other - one:.2f} s of the processor, {started.time - mounted.time:.2f} s")


def _greet(server: Server, name: str, seen: Seen) -> None:
    """Boot a client until its greeter is on the screen; note the seconds since the kernel's first line."""
    with _on(server, GREETING, f"{name}-greeting") as (client, began):
        kernel = client.expect(r"Linux version \d")
        client.login_prompt()
        asks = f"grep -qs 'Greeter start authentication' {_LIGHTDM} && echo yes || :"
        picture = client.screen.still(until=lambda: client.shell(asks).strip() == "yes")
        drawn = time.monotonic() - began - STILL
        picture.save(server.session.logs / f"{name}-greeter.png")
    seen.greeter.append(drawn - kernel.time)
    say(f"{name}: kernel to greeter {drawn - kernel.time:.1f} s")


def _prepare(server: Server) -> None:
    give_account(server)
    init = f"/srv/ltsp/{peer.IMAGE}/sbin/init"
    server.run(f"rm {init} && cat >{init} && chmod 755 {init}", stdin=_INIT)
    server.write("/etc/ltsp/ltsp.conf", configuration())


def measure(theirs: Server, ours: Server, runs: int) -> list[Figure]:
    """Boot clients of both in turns, ``runs`` times, and return the figures."""
    for server in (theirs, ours):
        _prepare(server)
    # At the priority of others: how long it takes is no figure here.
    theirs.run(f"ltsp image --ionice=env {peer.IMAGE}", timeout=900)
    peer.serve(theirs)
    ours.run("ltspctl reload")
    lab.build(ours, product.IMAGE)
    others, own = Seen(), Seen()
    wrong = {}
    for step in (_set_up, _greet):
        for _ in range(runs):
            for server, name, seen in ((theirs, "LTSP", others), (ours, "ltspd", own)):
                try:
                    step(server, name, seen)
                except TROUBLE as error:
                    wrong[step] = f"{name}: {error}"
                    say(wrong[step])
    return [*_costs(own, others, wrong.get(_set_up, "")), _greeters(own, others, wrong.get(_greet, ""))]


def _costs(own: Seen, others: Seen, wrong: str) -> list[Figure]:
    name = f"set-up after the root is mounted, {len(_SETTINGS) + len(_ALONE)} parameters in use"
    if not own.cost or not others.cost:
        return [failed(name, wrong, SETUP_MOST)]
    both = "; ".join(
        f"{words} {' '.join(f'{each:.2f}' for each in seen.cost)} s"
        for words, seen in (("ltspd", own), ("LTSP", others))
    )
    return [
        Figure(name, median(own.cost), SETUP_MOST, " s of the processor", both, digits=2),
        told("LTSP's beside it", others.cost, " s of the processor", "the same settings, root and machine"),
        ratio("the same on the clock", own.clock, others.clock, None, " s"),
    ]


def _greeters(own: Seen, others: Seen, wrong: str) -> Figure:
    name = "kernel to greeter on the screen"
    if not own.greeter or not others.greeter:
        return failed(name, wrong, RATIO_MOST)
    return ratio(name, own.greeter, others.greeter, RATIO_MOST, " s")


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/setup",
        description="Set up a client of LTSP and one of ltspd with the same settings, and compare.",
    )
    parser.add_argument("--runs", type=int, default=3, help="boots of each (default: %(default)s)")
    runs = max(1, parser.parse_args().runs)
    with open_session() as first, open_session() as second:
        theirs = peer.start(first, TREE)
        figures = measure(theirs, product.start(second, TREE), runs)
        print(f"LTSP {peer.version(theirs)} and ltspd, one desktop, {runs} boots of each kind")
    return show(figures)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
