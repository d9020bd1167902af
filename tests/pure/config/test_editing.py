"""ltsp.conf as a text that is read, checked and replaced: nothing gets lost, nobody reads more."""

import os
from pathlib import Path

import pytest

from ltspd.config import file
from ltspd.config.file import NO_FILE, ConfFile
from ltspd.errors import ConfigChanged, ConfigError, ToolFailed
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.paths import Paths

GOOD = "[server]\nHTTP_PORT=8080\n"
BETTER = "[server]\nHTTP_PORT=8081\n"
BROKEN = "[server]\nHTTP_PORT=not-a-number\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(root=tmp_path)
    paths.etc.mkdir(parents=True)
    paths.conf.write_text(GOOD)
    return paths


def mode(place: Path) -> int:
    return place.stat().st_mode & 0o777


def test_a_saved_text_is_in_force_and_the_one_before_is_kept(paths: Paths) -> None:
    conf = ConfFile(paths)
    conf.read()
    text, tag = conf.text()
    assert (text, tag) == (GOOD, conf.tag)
    new = conf.save(BETTER, tag)
    assert conf.read()[0].settings[HTTP_PORT] == 8081
    assert conf.text() == (BETTER, new)
    assert (conf.tag, new != tag) == (new, True)
    assert conf.text(former=True)[0] == GOOD


def test_going_back_makes_the_other_one_the_former(paths: Paths) -> None:
    conf = ConfFile(paths)
    conf.save(BETTER, conf.text()[1])
    conf.save(conf.text(former=True)[0], conf.text()[1])
    conf.read()
    assert (conf.text()[0], conf.text(former=True)[0]) == (GOOD, BETTER)


def test_a_change_by_an_editor_keeps_the_one_before_too(paths: Paths) -> None:
    conf = ConfFile(paths)
    conf.read()
    paths.conf.write_text(BROKEN)
    conf.read()
    paths.conf.write_text(BETTER)
    conf.read()
    assert conf.text(former=True)[0] == GOOD
    assert mode(paths.state / "ltsp.conf.former") == 0o600


def test_what_a_save_replaces_is_kept_even_if_it_was_never_in_force(paths: Paths) -> None:
    conf = ConfFile(paths)
    conf.read()
    paths.conf.write_text(BROKEN)
    conf.save(BETTER, conf.text()[1])
    conf.read()
    assert conf.text(former=True)[0] == BROKEN


def test_without_a_change_there_is_no_former_one(paths: Paths) -> None:
    conf = ConfFile(paths)
    conf.read()
    tag = conf.text()[1]
    assert conf.save(GOOD, tag) == tag
    assert conf.text(former=True) == ("", NO_FILE)


@pytest.mark.parametrize("change", [BETTER, None])
def test_somebody_elses_change_is_not_overwritten(paths: Paths, change: str | None) -> None:
    conf = ConfFile(paths)
    _, tag = conf.text()
    paths.conf.unlink()
    if change is not None:
        paths.conf.write_text(change)
    with pytest.raises(ConfigChanged, match="somebody else"):
        conf.save("[server]\nHTTP_PORT=8082\n", tag)
    assert conf.text()[0] == (change or "")


def test_a_file_that_came_meanwhile_is_not_overwritten(paths: Paths) -> None:
    paths.conf.unlink()
    conf = ConfFile(paths)
    _, tag = conf.text()
    paths.conf.write_text(GOOD)
    with pytest.raises(ConfigChanged):
        conf.save(BETTER, tag)


def test_a_text_with_mistakes_is_not_saved(paths: Paths) -> None:
    conf = ConfFile(paths)
    with pytest.raises(ConfigError, match=r"ltsp\.conf:2: error: HTTP_PORT"):
        conf.save(BROKEN, conf.text()[1])
    assert conf.text()[0] == GOOD


@pytest.mark.parametrize("before", [0o600, 0o640, 0o644])
def test_who_may_read_the_file_stays(paths: Paths, before: int) -> None:
    paths.conf.chmod(before)
    conf = ConfFile(paths)
    conf.save(BETTER, conf.text()[1])
    assert mode(paths.conf) == before


@pytest.mark.parametrize(("text", "expected"), [(BETTER, 0o644), ('[clients]\nPASSWORDS_x="a/b"\n', 0o600)])
def test_a_first_file_is_for_root_alone_if_it_holds_a_secret(paths: Paths, text: str, expected: int) -> None:
    paths.conf.unlink()
    conf = ConfFile(paths)
    conf.save(text, conf.text()[1])
    assert mode(paths.conf) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_owner_is_not_taken_from_the_file(paths: Paths) -> None:
    os.chown(paths.conf, 65534, 65534)
    conf = ConfFile(paths)
    with pytest.raises(ToolFailed, match="belongs to user 65534"):
        conf.save(BETTER, conf.text()[1])
    assert conf.text()[0] == GOOD


def test_a_link_to_the_file_stays_one(paths: Paths) -> None:
    real = paths.etc / "site.conf"
    paths.conf.rename(real)
    paths.conf.symlink_to("site.conf")
    conf = ConfFile(paths)
    conf.save(BETTER, conf.text()[1])
    assert (paths.conf.is_symlink(), real.read_text()) == (True, BETTER)


@pytest.mark.parametrize(("data", "why"), [(b"A=1\nB=\xff\n", r":2: .*UTF-8"), (b"A=\0\n", "zero byte")])
def test_what_is_no_text_is_said_so(paths: Paths, data: bytes, why: str) -> None:
    paths.conf.write_bytes(data)
    with pytest.raises(ConfigError, match=why):
        ConfFile(paths).text()


def test_a_text_is_checked_and_nothing_changes(paths: Paths) -> None:
    (found,) = file.check(BROKEN)
    assert (found.line, found.severity) == (2, "error")
    assert file.check(GOOD) == ()
    with pytest.raises(ConfigError, match="characters"):
        file.check("#" * (file.LARGEST + 1))
