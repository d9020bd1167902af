"""`./check`: parts run side by side, each says its own, one line counts all, and Ctrl-C ends every one."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import parts
from tests.lab.parts import Part
from tests.patience import PATIENCE

REPORT = """<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>
<testcase name="c"><skipped/></testcase><testcase name="d"><error/></testcase><testcase name="e"/>
</testsuite></testsuites>"""


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep logs in a folder of the test's own."""
    monkeypatch.setattr(parts, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(parts, "REPOSITORY", tmp_path)
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def interrupted() -> Iterator[None]:
    """Have signals raise KeyboardInterrupt, as the program has them."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def sh(name: str, script: str, cores: int = 1) -> Part:
    return Part(name, (("sh", "-c", script),), cores)


def appears(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_everything_but_the_long_ones_is_run_longest_first() -> None:
    names = parts.chosen([])
    assert {*parts.TOOLS, *parts.SPREAD, "netboot"} <= set(names)
    assert not set(parts.NAMED) & set(names)
    seconds = [parts.SECONDS.get(name, 60) for name in names]
    assert seconds == sorted(seconds, reverse=True)
    assert names[0] == "netboot"
    assert parts.chosen(["bus", "next", "bus"]) == ["next", "bus"]
    with pytest.raises(ValueError, match="no part nowhere"):
        parts.chosen(["nowhere"])


def test_tests_are_spread_over_the_cores_only_if_nothing_else_takes_them() -> None:
    assert [each.cores for each in parts.parts_of(["unit", "bus", "lint"], 2)] == [2, 2, 1]
    assert [each.cores for each in parts.parts_of(["netboot", "unit", "bus"], 2)] == [1, 1, 1]


def test_parts_run_side_by_side_and_what_they_say_does_not_mix(logs: Path) -> None:
    # Each of the two waits for the other one; the third begins when a core is free.
    meet = "echo {0} 1; touch {0}; until [ -e {1} ]; do sleep 0.02; done; echo {0} 2"
    ran = [sh("a", meet.format("a", "b")), sh("b", meet.format("b", "a")), sh("c", "[ -e a ] && exit 3")]
    parts.run(ran, 2)
    assert [each.status for each in ran] == [0, 0, 3]
    assert [(logs / f"{name}.log").read_text() for name in "ab"] == ["a 1\na 2\n", "b 1\nb 2\n"]
    assert ran[2].counts == Counter(error=1)


def test_a_part_that_takes_all_cores_runs_alone(tmp_path: Path) -> None:
    alone = "mkdir one || exit 1; sleep 0.1; rmdir one"
    ran = [sh("a", alone, 8), sh("b", alone, 8)]
    parts.run(ran, 2)
    assert [each.status for each in ran] == [0, 0]


def test_a_command_runs_only_if_the_one_before_ended_well(logs: Path) -> None:
    part = Part("a", (("false",), ("echo", "no")))
    parts.run([part], 1)
    assert part.status == 1
    assert (logs / "a.log").read_text() == ""


def test_ctrl_c_ends_every_part_with_all_of_its_processes(
    tmp_path: Path, interrupted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One puts its things away, one hears nothing but SIGKILL, and one has not begun.
    tidy = "trap 'touch tidied; exit 1' INT; touch tidy; while :; do sleep 0.02; done"
    deaf = "trap '' INT TERM; (while :; do touch alive; sleep 0.02; done) & touch deaf; wait"

    def press() -> None:
        appears(tmp_path / "tidy")
        appears(tmp_path / "deaf")
        os.kill(os.getpid(), signal.SIGTERM)

    presser = threading.Thread(target=press)
    presser.start()
    monkeypatch.setattr(parts, "PATIENCE", 1.0)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(KeyboardInterrupt):
        parts.run([sh("a", tidy), sh("b", deaf), sh("c", "touch begun")], 2)
    presser.join()
    assert (tmp_path / "tidied").exists()
    assert not (tmp_path / "begun").exists()
    (tmp_path / "alive").unlink(missing_ok=True)
    time.sleep(0.1)
    assert not (tmp_path / "alive").exists()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked


def test_one_line_counts_all_as_pytest_does(logs: Path) -> None:
    (logs / "x.xml").write_text(REPORT)
    found = parts.counts(logs / "x.xml")
    assert parts.summary(found, 3.0) == "1 failed, 2 passed, 1 skipped, 1 error in 3.00s"
    assert parts.summary(Counter(passed=3), 3723.5) == "3 passed in 3723.50s (1:02:03)"
    (logs / "x.xml").write_text(REPORT[:90])
    assert not parts.counts(logs / "x.xml"), "a report without an end is none"


def test_what_failed_is_shown_from_where_pytest_tells_it(logs: Path) -> None:
    part = Part("x", ())
    part.log.write_text("....F\n=== FAILURES ===\nwhy\n")
    assert [*parts.findings(part)][1] == "=== FAILURES ===\nwhy"
    part.log.write_text("a tool's words\n")
    assert [*parts.findings(part)][1] == "a tool's words"


@pytest.mark.parametrize(
    ("second", "status", "told"), [("assert True", 0, "UNSTEADY: 1 failed"), ("assert False", 1, "")]
)
def test_a_failure_is_tried_once_more_and_named(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], second: str, status: int, told: str
) -> None:
    script = f"""from pathlib import Path
def test_steady(): pass
def test_unsteady():
    seen = Path({str(tmp_path / "seen")!r})
    if seen.exists():
        {second}
    else:
        seen.touch()
        assert False, "not yet"
"""
    (tmp_path / "test_it.py").write_text(script)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        f"cache_dir={tmp_path}/cache",
        f"{tmp_path}/test_it.py",
    ]
    part = Part("x", ((*command, f"--junit-xml={logs}/x.xml"),))
    parts.run([part], 1)
    assert (part.status, part.counts) == (1, Counter(passed=1, failed=1))
    parts.once_more(part)
    assert part.status == status
    assert part.counts == (Counter(passed=1, failed=1) if status else Counter(passed=2))
    said = capsys.readouterr().out
    assert "not yet" in said, "what failed first is shown in any case"
    assert told in said
    assert bool(told) == ("UNSTEADY" in said)
