"""The program: sets up both servers, has them measured, prints the figures."""

import argparse
import os
import sys
import time

from bench import peer, product
from bench.measure import measure
from bench.report import figures
from tests.lab.session import open_session

# The trees of both images, and what clients may fetch until their login, ltspd over LTSP.
KERNELS = {"cloud": product.TREE, "general": "ltsp-general"}
BYTES_MOST = {"cloud": 0.45, "general": 0.35}


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar or could not be measured."""
    parser = argparse.ArgumentParser(
        prog="bench/netboot",
        description="Boot LTSP and ltspd from the same client tree and print how they compare.",
    )
    parser.add_argument("--runs", type=int, default=3, help="boots and builds of each (default: %(default)s)")
    parser.add_argument(
        "--kernel",
        choices=KERNELS,
        default="cloud",
        help="Debian's kernel for clouds, or its general one with the firmware of network cards",
    )
    options = parser.parse_args()
    runs, tree = max(1, options.runs), KERNELS[options.kernel]
    began = time.monotonic()
    with open_session() as first:
        theirs = peer.start(first, tree)
        # A session's logs are named after the second it was opened in.
        time.sleep(1)
        with open_session() as second:
            seen = measure(theirs, product.start(second, tree, testing=True), runs, tree)
            version = peer.version(theirs)
    minutes = (time.monotonic() - began) / 60
    load = f"load {os.getloadavg()[2]:.1f} on {os.cpu_count()} processors"
    said = f"{runs} run(s) of each in {minutes:.0f} min, {load}"
    print(f"LTSP {version} and ltspd, one client tree ({tree}), {said}")
    missed = False
    for figure in figures(seen, BYTES_MOST[options.kernel]):
        print(figure.line())
        missed |= figure.missed
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
