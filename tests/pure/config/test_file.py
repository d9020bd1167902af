"""ltsp.conf on disk: a mistake keeps the last good settings, also over a restart, and says where it is."""

import os
import threading
from pathlib import Path

import pytest

from ltspd.config.file import ConfFile
from ltspd.jobs.builds import KEEP
from ltspd.model.facts import Facts
from ltspd.model.state import Problem
from ltspd.network.roles import PROXY_DHCP, gives_addresses
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.paths import Paths
from ltspd.plan import plan

GOOD = "[server]\nHTTP_PORT=8080\n"
BETTER = "[server]\nHTTP_PORT=8081\n"
BROKEN = "[server]\nHTTP_PORT=8082\nHTTP_PORT=not-a-number\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(root=tmp_path)
    paths.etc.mkdir(parents=True)
    return paths


def _port(file: ConfFile) -> int:
    return file.read()[0].settings[HTTP_PORT]


def test_no_file_means_defaults(paths: Paths) -> None:
    config, wrong = ConfFile(paths).read()
    assert (config.settings[HTTP_PORT], wrong) == (80, ())


def test_changes_are_seen(paths: Paths) -> None:
    file = ConfFile(paths)
    paths.conf.write_text(GOOD)
    assert _port(file) == 8080
    paths.conf.write_text(BETTER)
    assert _port(file) == 8081
    paths.conf.unlink()
    assert _port(file) == 80


def test_the_same_text_is_not_parsed_again(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    file = ConfFile(paths)
    assert file.read()[0] is file.read()[0]


def test_a_mistake_keeps_the_last_good_settings_and_is_located(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    file = ConfFile(paths)
    file.read()
    paths.conf.write_text(BROKEN)
    config, (problem,) = file.read()
    assert config.settings[HTTP_PORT] == 8080
    assert problem.subject == "ltsp.conf"
    assert "/etc/ltsp/ltsp.conf:3" in problem.message
    assert "HTTP_PORT" in problem.message
    assert problem.message.endswith(". The last good settings stay.")
    paths.conf.write_text(BETTER)
    assert (_port(file), file.read()[1]) == (8081, ())


def test_every_mistake_is_told(paths: Paths) -> None:
    paths.conf.write_text("[server]\nHTTP_PORT=x\nREAL_DHCP=perhaps\n")
    _, wrong = ConfFile(paths).read()
    assert [f":{line}" in problem.message for line, problem in zip((2, 3), wrong, strict=True)] == [True] * 2


def test_the_last_good_settings_outlive_a_restart(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    ConfFile(paths).read()
    paths.conf.write_text(BROKEN)
    config, wrong = ConfFile(paths).read()
    assert config.settings[HTTP_PORT] == 8080
    assert len(wrong) == 1


def test_last_good_settings_of_an_older_version_are_taken_as_far_as_they_can_be_read(paths: Paths) -> None:
    paths.state.mkdir(parents=True)
    kept = f"{GOOD}KEEP_GENERATIONS=none-today\n[pc01]\nT=bogus\nROOT_TRANSPORT=$T\nMENU_TIMEOUT=$T\n"
    (paths.state / "ltsp.conf.good").write_text(kept)
    paths.conf.write_text(BROKEN)
    config, wrong = ConfFile(paths).read()
    assert len(wrong) == 1
    assert (config.settings[HTTP_PORT], config.settings[KEEP]) == (8080, 3)
    assert plan(config, Facts(), paths).menu.hosts == ()


def test_a_first_start_with_a_mistake_uses_defaults_and_gives_nobody_addresses(paths: Paths) -> None:
    paths.conf.write_text(f"{BROKEN}REAL_DHCP=0\n")
    file = ConfFile(paths)
    for _ in range(2):
        config, (problem,) = file.read()
        assert (config.settings[HTTP_PORT], config.settings[PROXY_DHCP]) == (80, True)
        assert not gives_addresses(config.settings)
        assert problem.message.endswith("so defaults are in force, and no addresses are given out.")
    paths.conf.write_text(GOOD)
    config, wrong = file.read()
    assert (config.settings[HTTP_PORT], gives_addresses(config.settings), wrong) == (8080, True, ())


def test_a_first_start_with_a_file_that_cant_be_read_gives_nobody_addresses(paths: Paths) -> None:
    paths.conf.mkdir()
    config, (problem,) = ConfFile(paths).read()
    assert not gives_addresses(config.settings)
    assert "defaults are in force" in problem.message


def test_without_a_file_defaults_are_what_is_wanted(paths: Paths) -> None:
    config, wrong = ConfFile(paths).read()
    assert (gives_addresses(config.settings), wrong) == (True, ())


@pytest.mark.parametrize("line", ["DHCP_LINKS=eth0=sometimes", "REAL_DHCP=perhaps"])
def test_roles_that_only_an_older_version_could_read_give_nobody_addresses(paths: Paths, line: str) -> None:
    paths.state.mkdir(parents=True)
    (paths.state / "ltsp.conf.good").write_text(f"{GOOD}{line}\n")
    paths.conf.write_text(BROKEN)
    config, _ = ConfFile(paths).read()
    assert (config.settings[HTTP_PORT], gives_addresses(config.settings)) == (8080, False)


def test_the_kept_copy_is_private_and_written_only_when_it_differs(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    ConfFile(paths).read()
    kept = paths.state / "ltsp.conf.good"
    before = kept.stat()
    assert before.st_mode & 0o777 == 0o600
    ConfFile(paths).read()
    after = kept.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_cant_be_read_is_a_problem(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    file = ConfFile(paths)
    file.read()
    paths.conf.unlink()
    paths.conf.mkdir()
    config, (problem,) = file.read()
    assert config.settings[HTTP_PORT] == 8080
    assert str(paths.conf) in problem.message
    assert "last good settings stay" in problem.message


def test_a_state_directory_that_cant_be_written_does_not_stop_the_service(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.at("/var/lib").mkdir(parents=True)
    paths.state.write_text("a file where the directory should be")
    paths.conf.write_text(GOOD)
    assert _port(ConfFile(paths)) == 8080
    assert "may not outlive a restart" in caplog.text


def test_bytes_that_are_no_text_do_not_stop_the_service(paths: Paths) -> None:
    paths.conf.write_bytes(GOOD.encode() + b"[clients]\nTIMEZONE='\xff\xfe'\n")
    file = ConfFile(paths)
    assert _port(file) in (80, 8080)
    kept = paths.state / "ltsp.conf.good"
    assert not kept.exists() or kept.read_bytes() == paths.conf.read_bytes()


def test_readers_in_several_threads_agree(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    file = ConfFile(paths)
    file.read()
    lines = "".join(f"[pc{number}]\nKERNEL_PARAMETERS=x{number}\n" for number in range(300))
    paths.conf.write_text(BROKEN + lines)
    found: list[tuple[Problem, ...]] = []
    threads = [threading.Thread(target=lambda: found.append(file.read()[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(each) for each in found] == [1] * 8


def test_nothing_else_is_left_in_the_state_directory(paths: Paths) -> None:
    paths.conf.write_text(GOOD)
    ConfFile(paths).read()
    assert os.listdir(paths.state) == ["ltsp.conf.good"]
