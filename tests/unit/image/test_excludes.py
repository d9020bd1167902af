"""The exclude language: what our matcher leaves out is what mksquashfs leaves out."""

import os
from pathlib import Path

import pytest

from ltspd.image.look.scan import scan
from ltspd.image.pack import squashfs
from ltspd.image.source import excludes
from tests.worlds.image_trees import names, unpack, write

NAMES = (
    b"etc/.java/prefs",
    b"etc/.pwd.lock",
    b"etc/.git/config",
    b"@home/ann",
    b".snapshots/1/x",
    b"var/.snapshots/.x",
    b"etc/java",
    b"tmp/x",
    b"tmp/.x",
    b"tmp/sub/.deep",
    b"var/log/syslog",
    b"var/log/syslog.1",
    b"var/log/apt/term.log",
    b"etc/udev/rules.d/70-persistent-net.rules",
    b"etc/udev/rules.d/700-persistent-net.rules",
    b"etc/passwd",
    b"etc/passwd-",
    b"etc/passwd~",
    b"etc/passwd.d/x",
    b"a[b]c",
    b"abc",
    b"a b ",
    b" lead",
    b"#hash",
    b"back\\slash",
    b"star*",
    b"starlet",
    b"line\nbreak",
    b"line break",
    b"lineXbreak",
    b"tab\tname",
    b"caf\xc3\xa9",
    b"bad\xff\xfebytes",
    b"paren(x|y)!",
    b"!bang",
    b"... dots",
    b"deep/er/core",
    b"core",
    b"n" * 255,
)
LANGUAGE = (
    ("etc/.!(java)",),
    ("tmp/*",),
    ("tmp/*", "tmp/.*"),
    ("var/log/*/*", "var/log/*.[1-9]"),
    ("etc/udev/rules.d/??-persistent-*.rules",),
    ("etc/passwd[-+~.]*",),
    ("a[b]c",),
    ("a\\[b\\]c",),
    ("star\\*",),
    ("... core",),
    ("@(tmp|var)/+(x|y|z|log)",),
    ("[!a-m]*",),
    ("etc", "var/log"),
    ("nothing/matches",),
    ("line?break",),
    ("@*/*", ".snapshots/*", "*/.snapshots/.*"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in NAMES:
        write(root, os.fsdecode(name), b"x")
    return root


async def _packed(root: Path, tmp_path: Path, patterns: tuple[str, ...]) -> set[bytes]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    await squashfs.pack(root, tmp_path / "out", scratch, patterns, level=1)
    return names(unpack(tmp_path / "out", tmp_path / "unpacked"))


@pytest.mark.parametrize("patterns", LANGUAGE, ids=" ".join)
async def test_matcher_agrees_with_mksquashfs(tree: Path, tmp_path: Path, patterns: tuple[str, ...]) -> None:
    packed = await _packed(tree, tmp_path, patterns)
    matcher = excludes.compile_patterns(patterns)
    expected = set()
    for name in names(tree):
        here: excludes.Matcher | None = matcher
        for part in name.split(b"/"):
            here = here.enter(part) if here is not None else None
        if here is not None:
            expected.add(name)
    assert packed == expected
    assert scan(tree, patterns, b"").files == len(expected)


async def test_literal_excludes_exactly_that_name_whatever_its_bytes(tree: Path, tmp_path: Path) -> None:
    doomed = {name for name in NAMES if b"/" not in name and name not in (b"abc", b"lineXbreak", b"core")}
    packed = await _packed(tree, tmp_path, tuple(excludes.literal(name) for name in sorted(doomed)))
    assert packed == names(tree) - doomed


@pytest.mark.parametrize("name", [name for name in NAMES if b"/" not in name])
def test_matcher_takes_literals_literally(name: bytes) -> None:
    matcher = excludes.compile_patterns([excludes.literal(name)])
    assert [each for each in NAMES if matcher.enter(each) is None] == [name]


def test_omitting_works_by_equal_lines_but_never_reveals_secrets() -> None:
    chosen = excludes.effective(None, ["opt/big"], ["home/*", "etc/ssh/ssh_host_*"])
    assert "opt/big" in chosen
    assert "home/*" not in chosen
    assert "home/.*" in chosen
    assert "etc/ssh/ssh_host_*" in chosen


def test_a_list_of_the_administrator_replaces_ours_but_not_the_secrets() -> None:
    chosen = excludes.effective("# mine\nvar/games/*\n\n", [], [])
    assert chosen[0] == "var/games/*"
    assert set(chosen[1:]) == {*excludes.SENSITIVE, *excludes.COPIES}


def test_lines_to_omit_are_told_apart_by_what_they_can_do() -> None:
    omit = ["home/*", "etc/ssh/ssh_host_*", "root/*", "timeshift/*", "etc/tool/token"]
    assert excludes.unknown(None, omit) == ("etc/tool/token",)
    assert excludes.never(omit) == ("etc/ssh/ssh_host_*", "root/*")
    assert not {"home/*", "timeshift/*"} & set(excludes.effective(None, [], omit))
