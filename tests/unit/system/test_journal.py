"""Logging never waits: what a journal that takes nothing can't have is kept, then counted, and told later."""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.system import journal
from ltspd.system.journal import JournalHandler
from tests.patience import PATIENCE


def parse(data: bytes) -> dict[str, str]:
    """Return the fields of a datagram of the journal's native protocol."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[key.decode()] = value.decode()
        data = rest
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(PATIENCE)
        yield sock


def log_to(path: Path, waiting: int = 100) -> tuple[logging.Logger, JournalHandler]:
    handler = JournalHandler("ltspd", str(path), waiting)
    log = logging.Logger("ltspd.test", logging.INFO)
    log.addHandler(handler)
    return log, handler


def test_a_line_has_its_fields(tmp_path: Path, journald: socket.socket) -> None:
    log, handler = log_to(tmp_path / "socket")
    log.warning("one\ntwo %d", 3, extra={"LTSPD_JOB": "ab", "other": "no"})
    found = parse(journald.recv(100_000))
    assert found["MESSAGE"] == "one\ntwo 3"
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"], found["LTSPD_JOB"]) == ("4", "ltspd", "ab")
    assert found["CODE_FILE"] == __file__
    assert "other" not in {key.lower() for key in found}
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("odd \udcff")
    found = parse(journald.recv(100_000))
    assert found["PRIORITY"] == "3"
    assert found["MESSAGE"].startswith("odd ?\nTraceback")
    handler.close()


def test_a_journal_that_takes_nothing_stops_nobody_and_hears_of_the_loss(
    tmp_path: Path, journald: socket.socket
) -> None:
    log, handler = log_to(tmp_path / "socket", waiting=50)
    for number in range(5000):
        log.info("line %d %s", number, "x" * 1000)
    texts: list[str] = []
    while not texts or texts[-1] != "line after":
        if len(texts) % 10 == 0:
            log.info("line after")
        texts.append(parse(journald.recv(100_000))["MESSAGE"])
    lost = sum(int(each.split()[0]) for each in texts if "were lost" in each)
    came = sum(" xxx" in each for each in texts)
    assert 0 < came < 1000
    # One of the lines behind may have been lost, too.
    assert 0 <= lost + came - 5000 <= 1 + len(texts) // 10
    handler.close()


def test_the_end_waits_a_moment_and_no_longer(tmp_path: Path, journald: socket.socket) -> None:
    log, handler = log_to(tmp_path / "socket")
    log.info("last words")
    handler.close()
    assert parse(journald.recv(100_000))["MESSAGE"] == "last words"
    nowhere, handler = log_to(tmp_path / "nobody")
    nowhere.info("to nobody")
    began = time.monotonic()
    handler.close()
    assert time.monotonic() - began < PATIENCE


def test_the_last_words_of_a_program_arrive(tmp_path: Path, journald: socket.socket) -> None:
    program = (
        "import logging, sys; from ltspd.system.journal import JournalHandler;"
        "logging.basicConfig(handlers=[JournalHandler('x', sys.argv[1])]); logging.error('why'); sys.exit(1)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "socket")]
    done = subprocess.run(argv, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert "why" in parse(journald.recv(100_000))["MESSAGE"]


def test_a_journal_that_comes_back_gets_what_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAUSE", 0.01)
    log, handler = log_to(tmp_path / "socket")
    log.info("early")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(PATIENCE)
        assert parse(sock.recv(100_000))["MESSAGE"] == "early"
    handler.close()


def test_a_record_that_makes_no_sense_raises_nothing(
    tmp_path: Path, journald: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    log, handler = log_to(tmp_path / "socket")
    log.info("%d", "no number")
    log.info("next")
    assert parse(journald.recv(100_000))["MESSAGE"] == "next"
    assert "no number" in capsys.readouterr().err
    handler.close()
