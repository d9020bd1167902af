"""The real daemon under its unit, with a real image on the lab's server: memory, start, command."""

from collections.abc import Iterator
from statistics import median

from bench import product
from bench.figures import Figure
from bench.timed import timed
from tests.lab.server import Server

STARTS, COMMANDS = 5, 21
# Random bytes above the base, more than a third of its size: then the daemon folds (image/fold.py).
_ENOUGH = 80 << 20
_NOTHING = "/usr/bin/python3 -I -c pass"


def figures(server: Server) -> Iterator[Figure]:
    """Yield the figures of a server that was just set up; it has an image afterwards."""
    yield _start(server)
    yield _command(server)
    yield _resident(server)


def _start(server: Server) -> Figure:
    took = []
    for _ in range(STARTS):
        server.run("systemctl stop ltspd")
        took.append(timed(server, "systemctl start ltspd", 30)[0])
    note = f"median of {STARTS}, worst {max(took):.2f} s; until it answers on the bus"
    return Figure("daemon start", median(took), 1, " s", note, 2)


def _command(server: Server) -> Figure:
    """Time the command and a Python that does nothing in turns; the half counts in which that was quicker."""
    rounds = [(timed(server, _NOTHING, 30), timed(server, "ltspctl status", 30)) for _ in range(COMMANDS)]
    quiet = sorted(rounds)[: COMMANDS // 2 + 1]
    nothing, ours = ([each[side] for each in quiet] for side in (0, 1))
    note = (
        f"median of {len(ours)} in the quieter half of {COMMANDS}, "
        f"of all {median(each[1][0] for each in rounds) * 1000:.0f} ms; "
        f"of processors {median(cpu for _, cpu in ours) * 1000:.0f} ms; "
        f"a Python that does nothing {median(wall for wall, _ in nothing) * 1000:.0f} ms"
    )
    took = median(wall for wall, _ in ours) * 1000
    return Figure("ltspctl status, from its start to its end", took, 150, " ms", note, 0)


def _resident(server: Server) -> Figure:
    """Build, build again after a change, and fold; the largest of what stays resident counts."""
    seen = {"started": _megabytes(server)}
    product.build(server)
    seen["built"] = _megabytes(server)
    _change(server, 1 << 20)
    seen["built again"] = _megabytes(server)
    _change(server, _ENOUGH)
    server.wait_for("ltspctl job list | grep -q 'fold.*done'", 120)
    seen["folded"] = _megabytes(server)
    note = ", ".join(f"{when} {size:.1f}" for when, size in seen.items())
    note += f"; at its largest {product.most_resident(server):.1f} MB"
    return Figure("daemon with a real image", max(seen.values()), 60, " MB", note, 1)


def _change(server: Server, size: int) -> None:
    server.run(f"head -c {size} /dev/urandom >/srv/ltsp/{product.IMAGE}/opt/added")
    server.run(f"ltspctl image build {product.IMAGE}", timeout=300)


def _megabytes(server: Server) -> float:
    server.run("ltspctl reload")  # a pass ends after everything that the job woke
    return product.resident(server)[product.UNIT]
