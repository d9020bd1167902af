"""The figures of bench/room: what misses its bar, and what could not be measured."""

from pathlib import Path

from bench.boot import Boot
from bench.figures import Figure
from bench.recording import Recorded
from bench.room_files import Outcome
from bench.room_report import HURRIED, THEIRS, Run, figures


def run(root: str, clients: int, last: float, processors: float, failures: int = 0) -> Run:
    came = [Outcome(login=last - number, last=last - number) for number in range(clients - failures)]
    lost = [Outcome(failed="after 3.0 s: tftp to port 69: silent") for _ in range(failures)]
    return Run(
        root=root,
        clients=clients,
        think=1.0,
        outcomes=(*came, *lost),
        carried=40_000_000 * clients,
        processors=processors * clients,
        units={"nfs.service": processors * clients / 2, "http.service": processors * clients / 4},
        memory=0,
        resent=0,
        simulator=1.0,
        idle=0.5,
    )


def recorded(login: float, received: int, memory: int) -> Recorded:
    return Recorded(Boot(5.0, 5.0 + login / 10, login, received, memory), Path(), 0.0, login)


RECORDED = {
    THEIRS: recorded(80.0, 70_000_000, 200_000_000),
    "nfs": recorded(20.0, 40_000_000, 100_000_000),
    HURRIED: recorded(60.0, 70_000_000, 200_000_000),
}


def shown(runs: list[Run], wrong: dict[str, str] | None = None) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(runs, RECORDED, wrong or {})}


def test_a_room_is_compared_with_its_like() -> None:
    found = shown(
        [
            *(run(THEIRS, 30, 90.0, 1.0), run("nfs", 30, 45.0, 0.5)),
            *(run(THEIRS, 100, 200.0, 1.0, failures=3), run("nfs", 100, 60.0, 0.25)),
        ]
    )
    few = found["time to the last login, 30 clients, nfs, ltspd/LTSP"]
    many = found["time to the last login, 100 clients, nfs, ltspd/LTSP"]
    assert (few.value, few.bar) == (0.5, None)
    assert (many.value, many.bar, many.missed) == (0.3, 0.35, False)
    spent = found["server's processor seconds a client, 100 clients, nfs, ltspd/LTSP"]
    assert (spent.value, spent.bar) == (0.25, 0.3)
    assert found["failures of 100 clients, nfs"].note == "LTSP 3"
    words = found["LTSP, 100 clients, last login"].note
    assert "3 failed (3: tftp to port 69: silent)" in words
    assert "40.0 MB" in words
    assert "(nfs.service 500 ms, http.service 250 ms)" in words


def test_a_failure_of_250_clients_is_a_miss() -> None:
    assert shown([run("nfs", 250, 90.0, 0.5, failures=1)])["failures of 250 clients, nfs"].missed
    assert not shown([run("nfs", 250, 90.0, 0.5)])["failures of 250 clients, nfs"].missed


def test_a_room_of_which_nobody_came_is_not_measured() -> None:
    found = shown([run(THEIRS, 100, 200.0, 1.0, failures=100), run("nfs", 100, 60.0, 0.25)])
    assert found["time to the last login, 100 clients, nfs, ltspd/LTSP"].value is None
    assert shown([], {"nfs 100": "RuntimeError: no"})["nfs 100"].missed


def test_single_clients_are_compared_without_what_only_waits() -> None:
    found = shown([])
    assert found["PXE to login, ltspd/LTSP"].value == 0.25
    assert found["PXE to login, over LTSP without what only waits, ltspd/LTSP"].value == 20 / 60
    assert found["memory used at the login prompt, ltspd/LTSP"].value == 0.5
    assert found["server bytes until login, ltspd/LTSP"].missed
