"""The server's keys: made once, whole or not at all, and what they sign is checked as clients check it."""

import stat
import subprocess
from pathlib import Path

import pytest

from ltspd.errors import ToolFailed
from ltspd.system import sshkeys


async def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = tmp_path / "keys/login"
    await sshkeys.make(key, "a comment")
    first = key.read_bytes()
    await sshkeys.make(key, "another")
    assert key.read_bytes() == first
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(each.name for each in key.parent.iterdir()) == ["login", "login.pub"]
    assert (tmp_path / "keys/login.pub").read_text() == f"{sshkeys.public(key)} a comment\n"
    assert sshkeys.public(key).startswith("ssh-ed25519 AAAA")


async def test_a_public_half_that_is_lost_is_made_again_from_the_key(tmp_path: Path) -> None:
    key = tmp_path / "login"
    await sshkeys.make(key, "")
    public = sshkeys.public(key)
    key.with_name("login.pub").unlink()
    assert sshkeys.public(key) == ""
    await sshkeys.make(key, "")
    assert sshkeys.public(key) == public


@pytest.mark.parametrize("data", [b"poweroff\n", b""])
async def test_a_signature_holds_for_these_bytes_and_this_namespace(tmp_path: Path, data: bytes) -> None:
    key = tmp_path / "orders"
    await sshkeys.make(key, "")
    (tmp_path / "signature").write_bytes(await sshkeys.sign(key, "ltspd", data))
    (tmp_path / "signers").write_text(f'ltsp-server namespaces="ltspd" {sshkeys.public(key)}\n')

    def verifies(text: bytes, namespace: str = "ltspd") -> bool:
        words = ["-f", "signers", "-I", "ltsp-server", "-n", namespace, "-s", "signature"]
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", *words],
            input=text,
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    assert verifies(data)
    assert not verifies(data + b"x")
    assert not verifies(data, "file")


async def test_a_key_that_is_no_key_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("no key\n")
    with pytest.raises(ToolFailed, match="ssh-keygen"):
        await sshkeys.make(tmp_path / "login", "")
    with pytest.raises(ToolFailed, match="ssh-keygen"):
        await sshkeys.sign(tmp_path / "login", "ltspd", b"x")
    assert (tmp_path / "login").read_text() == "no key\n"
