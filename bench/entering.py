"""How long a person waits from the password to a shell in the mounted home, with LTSP and with ltspd.

Both clients are on; people log in on them in turns, so that other work on the machine meets both.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench import peer, product
from bench.figures import Figure, ratio, show, told
from bench.measure import say
from tests.lab.client import Client, power_on
from tests.lab.people import PEOPLE
from tests.lab.person import PASSWORD, Person, at_console
from tests.lab.server import Server
from tests.lab.session import open_session

NAME = "bert"
# An account of the image, whose login asks no server and opens no home.
OWN = "otto"
# The bar: seconds with ltspd over seconds with LTSP.
RATIO_MOST = 0.5
_MOUNTED = "findmnt -n -o FSTYPE /home/bert || :"


@contextmanager
def booted(server: Server, mac: str, name: str) -> Iterator[tuple[Client, Person]]:
    """Switch a client on, and put somebody at its console."""
    client = power_on(server.session, server.lan, name=name, mac=mac)
    try:
        client.login_prompt()
        yield client, at_console(client, NAME)
    finally:
        client.off()


def enter(client: Client, person: Person) -> float:
    """Log in and out once; return the seconds from the password to the shell in a home of the server's."""
    visit = person.log_in((PASSWORD, PEOPLE[NAME].password))
    if not visit.inside:
        raise RuntimeError(f"the login on {client.name} failed: {visit.text}")
    mounted = client.shell(_MOUNTED).strip()
    if mounted != "fuse.sshfs" or person.do("cat ~/of-the-server").strip() != "yes":
        raise RuntimeError(f"on {client.name} there is a shell, but the home is {mounted or 'not mounted'}")
    person.log_out()
    # Whoever comes again before the last session is put away waits for that, too.
    client.shell(f'while [ -n "$({_MOUNTED})" ] || pgrep -u {NAME} >/dev/null; do sleep 0.5; done')
    return visit.seconds


def enter_locally(client: Client, runs: int) -> list[float]:
    """Log in ``runs`` times with an account of the image; return the seconds of each."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=PEOPLE[NAME].password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    client.shell(f"useradd --create-home --home-dir /var/{OWN} --shell /bin/bash --password '{hashed}' {OWN}")
    person = Person(OWN, client.console, asked=True)
    seconds = []
    for _ in range(runs):
        visit = person.log_in((PASSWORD, PEOPLE[NAME].password))
        if not visit.inside:
            raise RuntimeError(f"the login of the image's account on {client.name} failed: {visit.text}")
        person.log_out()
        client.shell(f"while pgrep -u {OWN} >/dev/null; do sleep 0.5; done")
        seconds.append(visit.seconds)
    return seconds


def give_account(server: Server) -> None:
    """Make an account with a home."""
    # One ordinary person: the servers here have no module for one-time codes.
    server.run(
        f"useradd --create-home --shell /bin/bash {NAME} && echo '{NAME}:{PEOPLE[NAME].password}' | chpasswd"
    )
    server.run(f"echo yes >/home/{NAME}/of-the-server; chown {NAME}: /home/{NAME}/of-the-server")


def measure(theirs: Server, ours: Server, runs: int) -> list[Figure]:
    """Boot a client of each, log in ``runs`` times on each in turns, and return the figures."""
    for server in (theirs, ours):
        give_account(server)
    peer.build(theirs)
    peer.serve(theirs)
    product.build(ours)
    with booted(theirs, peer.MAC, "peer") as one, booted(ours, product.MAC, "product") as other:
        peers, products = [], []
        for number in range(runs):
            peers.append(enter(*one))
            products.append(enter(*other))
            say(f"login {number + 1}: LTSP {peers[-1]:.1f} s, ltspd {products[-1]:.1f} s")
        image = enter_locally(other[0], runs)
    # What both do alike is no merit and no fault of either.
    own, others = (median(each) - median(image) for each in (products, peers))
    return [
        ratio("password to shell with home", products, peers, RATIO_MOST, " s"),
        told("of it the image alone", image, " s", "an account of the image"),
        told("the rest of ltspd over the rest of LTSP", [own / others], "", f"{own:.1f} s of {others:.1f} s"),
    ]


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/login", description="Log in on a client of LTSP and on one of ltspd, and compare."
    )
    parser.add_argument("--runs", type=int, default=5, help="logins on each (default: %(default)s)")
    runs = max(1, parser.parse_args().runs)
    with open_session() as first, open_session() as second:
        theirs = peer.start(first)
        figures = measure(theirs, product.start(second), runs)
        print(f"LTSP {peer.version(theirs)} and ltspd, one client tree, {runs} logins on each")
    return show(figures)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
