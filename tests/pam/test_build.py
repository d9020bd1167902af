"""The modules as they are built: for each architecture, any C library since 2.31, and hardened."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import REPOSITORY

# Machine names of the ELF format.
ARCHES = {"x86_64": "Advanced Micro Devices X86-64", "i686": "Intel 80386", "aarch64": "AArch64"}
OLDEST = (2, 31)


def read(module: Path, *options: str) -> str:
    return subprocess.run(
        ["readelf", "-W", *options, module], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("arch", ARCHES)
def test_a_module_runs_with_any_c_library_since_2_31(modules: Path, arch: str) -> None:
    module = modules / f"{arch}.so"
    assert ARCHES[arch] in read(module, "--file-header")
    symbols = read(module, "--dyn-syms")
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"@GLIBC_([0-9.]+)", symbols)}
    assert versions
    assert max(versions) <= OLDEST
    assert "GLIBC_ABI" not in read(module, "--version-info")
    # Of libpam it takes nothing that is newer, and of others nothing at all.
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", read(module, "--dynamic")))
    assert needed - {"ld-linux-aarch64.so.1", "ld-linux.so.2"} == {"libpam.so.0", "libc.so.6"}
    assert "__stack_chk_fail" in symbols
    assert "BIND_NOW" in read(module, "--dynamic")
    assert "GNU_RELRO" in read(module, "--program-headers")
    assert "RWE" not in read(module, "--program-headers")


def test_no_function_is_used_that_newer_headers_replace() -> None:
    # With those of Debian 13, each of these needs a C library of 2.38.
    for source in (REPOSITORY / "pam").glob("*.c"):
        assert re.findall(r"\b\w*(?:scanf|strto[a-z]+|ato[il]+)\(", source.read_text()) == []


def test_every_kind_of_call_is_served(modules: Path) -> None:
    calls = ("authenticate", "setcred", "acct_mgmt", "open_session", "close_session", "chauthtok")
    symbols = read(modules / "x86_64.so", "--dyn-syms").splitlines()
    # Nothing else can be seen, so no program's function of the same name takes the place of ours.
    offered = {line.split()[7] for line in symbols if " GLOBAL DEFAULT " in line and " UND " not in line}
    assert offered == {f"pam_sm_{name}" for name in calls}


def test_an_install_without_compilers_says_what_is_missing(tmp_path: Path) -> None:
    command = ["make", "-C", str(REPOSITORY), "install", f"DESTDIR={tmp_path}", "PAM_ARCHES=x86_64 riscv128"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "people can't log in on riscv128 clients" in done.stderr
    assert [each.name for each in (tmp_path / "usr/share/ltspd/client/pam").iterdir()] == ["x86_64.so"]
