"""How a client boots over HTTP in a crowd, beside the same boot alone; they take turns."""

import argparse
import sys
from statistics import median

from bench import product
from bench.boot import Boot
from bench.figures import Figure, show
from tests.lab.crowd import Plan, crowd
from tests.lab.server import Server
from tests.lab.session import open_session

# The bar: the boot in a crowd over the boot alone. The crowd takes processors from the emulated client.
SLOWER_MOST = 1.2
RESIDENT_MOST = 100.0


def plan(server: Server) -> Plan:
    """Return the crowd: clients that hardly read ask for the image, the room asks for kernels."""
    home = f"/srv/ltsp/images/{product.IMAGE}"
    layer = server.run(f"head -c 64 {home}/current/layers").strip()
    generation = server.run(f"readlink {home}/current").strip()
    base = f"/ltsp/images/{product.IMAGE}"
    return Plan(f"{base}/layers/{layer}.squashfs", f"{base}/{generation}/vmlinuz")


def measure(server: Server, runs: int) -> tuple[Figure, ...]:
    """Boot in turns; return the figures."""
    product.build(server)
    wanted = plan(server)
    alone: list[Boot] = []
    among: list[Boot] = []
    resident: list[float] = []
    whole = cut = 0
    for number in range(runs):
        alone.append(product.boot_by(server, "http"))
        with crowd(server, wanted) as seen:
            server.wait_for(lambda: seen()["tried"] >= wanted.idle + wanted.slow and seen()["whole"])
            among.append(product.boot_by(server, "http"))
            resident.append(product.resident(server)["ltspd-gateway.service"])
            counts = seen()
            whole, cut = whole + counts["whole"], cut + counts["cut"]
        print(f"run {number + 1}: alone {alone[-1].words()}; in a crowd {among[-1].words()}", file=sys.stderr)
    quick, slow = ([each.login for each in boots] for boots in (alone, among))
    return (
        Figure(
            "PXE to login over HTTP in a crowd, over the same alone",
            median(slow) / median(quick),
            SLOWER_MOST,
            note=f"{median(slow):.1f} s over {median(quick):.1f} s; {wanted.idle} idle, {wanted.slow} slow, "
            f"a room of {wanted.room}",
        ),
        Figure(
            "resident size of the gateway in a crowd", max(resident), RESIDENT_MOST, " MB", digits=1,
        ),
        Figure("files that were cut", cut, 0, note=f"{whole} came whole", digits=0),
    )  # fmt: skip


def main() -> int:
    """Measure and print; return 1 if a figure missed its bar."""
    parser = argparse.ArgumentParser(
        prog="bench/hostile", description="Boot over HTTP alone and among thousands of connections."
    )
    parser.add_argument("--runs", type=int, default=3, help="boots of each (default: %(default)s)")
    runs = max(1, parser.parse_args().runs)
    with open_session() as session:
        figures = measure(product.start(session), runs)
    return show(figures)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
