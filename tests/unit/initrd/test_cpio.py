"""Archives as the kernel and cpio(1) read them."""

import stat
import subprocess
from pathlib import Path

import pytest

from ltspd.initrd import cpio
from ltspd.initrd.addon import make_settings_initrd
from ltspd.initrd.boot import make_identity
from ltspd.model.desired import Homes
from ltspd.model.image import Layer

ENTRIES = (
    cpio.file("bin/tool", b"#!/bin/sh\n", 0o755),
    cpio.symlink("bin/alias", "tool"),
    cpio.directory("empty", 0o700),
    cpio.file("data", bytes(range(256)) * 5),
    cpio.character_device("dev/null", 1, 3, 0o666),
)


def listed(archive: bytes) -> list[str]:
    done = subprocess.run(["cpio", "--list", "--quiet"], input=archive, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


def test_cpio_extracts_what_was_put_in(tmp_path: Path) -> None:
    whole = cpio.archive(entry for entry in ENTRIES if not stat.S_ISCHR(entry.mode))
    subprocess.run(["cpio", "--extract", "--quiet"], input=whole, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "bin/tool").stat().st_mode) == 0o755
    assert (tmp_path / "bin/alias").readlink() == Path("tool")
    assert (tmp_path / "data").read_bytes() == bytes(range(256)) * 5
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


def test_device_nodes_carry_their_numbers() -> None:
    verbose = subprocess.run(
        ["cpio", "--list", "--verbose", "--quiet"],
        input=cpio.archive(ENTRIES),
        capture_output=True,
        check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    line = next(line for line in verbose.stdout.decode().splitlines() if line.endswith("dev/null"))
    assert line.startswith("crw-rw-rw-")
    assert "1,   3" in line


def test_each_directory_comes_once_and_before_its_content() -> None:
    names = listed(cpio.archive([*ENTRIES, cpio.directory("bin"), cpio.file("a/b/c", b"x")]))
    assert len(names) == len(set(names))
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name)


def test_same_entries_give_same_bytes_in_whole_blocks() -> None:
    whole = cpio.archive(ENTRIES)
    assert whole == cpio.archive(ENTRIES)
    assert len(whole) % 512 == 0
    assert whole.startswith(b"070701")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../outside", "a/../../b"])
def test_paths_that_leave_the_archive_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        cpio.archive([cpio.file(path, b"")])


def test_a_second_archive_may_follow_a_compressed_one() -> None:
    for length in range(5):
        assert len(cpio.aligned(b"z" * length)) % 4 == 0
        assert cpio.aligned(b"z" * length).rstrip(b"\0") == b"z" * length


def extracted(archive: bytes, target: Path) -> dict[str, str]:
    subprocess.run(
        ["cpio", "--extract", "--quiet", "--make-directories"], input=archive, cwd=target, check=True
    )
    return {str(p.relative_to(target)): p.read_text() for p in target.rglob("*") if p.is_file()}


def test_identity_lists_layers_base_first(tmp_path: Path) -> None:
    layers = (Layer("aa", 10), Layer("bb", 20))
    files = extracted(make_identity("x86_64", "20250101T000000Z-abc", layers), tmp_path)
    assert files == {"ltsp/image": "x86_64 20250101T000000Z-abc\n", "ltsp/layers": "aa 10\nbb 20\n"}


def test_settings_initrd_has_what_it_is_given(tmp_path: Path) -> None:
    client = {"guest/enter.sh": b"echo in\n", "boot/main.sh": b"echo on\n"}
    archive = make_settings_initrd(b"ltsp_settings() { :; }\n", b"passwd:a\n", b"search a.example\n", client)
    assert archive.startswith(b"070701"), "the first initrd must not be compressed"
    assert extracted(archive, tmp_path) == {
        "ltsp/settings": "ltsp_settings() { :; }\n",
        "ltsp/accounts": "passwd:a\n",
        "ltsp/resolver": "search a.example\n",
        "ltsp/client/main.sh": "echo on\n",
        "ltsp/client/boot/main.sh": "echo on\n",
        "ltsp/client/guest/enter.sh": "echo in\n",
    }


def test_settings_initrd_has_that_by_which_clients_know_the_server(tmp_path: Path) -> None:
    archive = make_settings_initrd(b"", b"", b"", {}, {"known_hosts": b"ltsp-login a\n", "port": b"1\n"})
    files = extracted(archive, tmp_path)
    assert (files["ltsp/login/known_hosts"], files["ltsp/login/port"]) == ("ltsp-login a\n", "1\n")


def test_settings_initrd_has_the_certificate_of_epoptes_if_there_is_one(tmp_path: Path) -> None:
    archive = make_settings_initrd(b"", b"", b"", {}, epoptes=b"-----BEGIN\n")
    assert extracted(archive, tmp_path)["ltsp/epoptes.crt"] == "-----BEGIN\n"


def test_settings_initrd_names_the_homes_that_clients_mount(tmp_path: Path) -> None:
    archive = make_settings_initrd(b"", b"", b"", {}, homes=Homes("/srv/homes", "/home", 2050))
    assert extracted(archive, tmp_path)["ltsp/homes"] == "2050 /srv/homes /home\n"
