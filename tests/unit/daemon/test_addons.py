"""What clients get to know the server by, and what is told where that can't be had."""

import os
import subprocess
from pathlib import Path

import pytest

from ltspd.daemon.addons import AddOns
from ltspd.model.desired import AddOn
from ltspd.paths import Paths
from ltspd.system import sshkeys

PRIVATE = b"PRIVATE KEY"


def extracted(archive: bytes, target: Path) -> dict[str, str]:
    target.mkdir()
    words = ["cpio", "--extract", "--quiet", "--make-directories", "ltsp/login/*"]
    subprocess.run(words, input=archive, cwd=target, check=True)
    return {path.name: path.read_text() for path in target.glob("ltsp/login/*")}


async def test_clients_get_the_public_halves_and_the_port(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "root")
    archive = (await AddOns(paths).make(AddOn(login_port=4711), ""))["ltsp.img"]
    assert extracted(archive, tmp_path / "on") == {
        "known_hosts": f"ltsp-login {sshkeys.public(paths.keys / 'login')}\n",
        "allowed_signers": f'ltsp-server namespaces="ltspd" {sshkeys.public(paths.keys / "orders")}\n',
        "port": "4711\n",
    }
    for key in ("login", "orders"):
        first, *body, last = (paths.keys / key).read_bytes().splitlines()
        assert PRIVATE in first
        assert PRIVATE in last
        assert len(body) > 3
        assert not any(line in archive for line in body)
    # What the first lines of features say goes with them.
    assert b"live_features='20-hosts 85-live'" in archive
    off = (await AddOns(paths).make(AddOn(), ""))["ltsp.img"]
    assert extracted(off, tmp_path / "off").keys() == {"known_hosts", "allowed_signers"}


async def test_clients_get_the_public_keys_of_the_servers_own_sshd(tmp_path: Path) -> None:
    place = tmp_path / "root/etc/ssh"
    place.mkdir(parents=True)
    (place / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA1 root@server\n")
    (place / "ssh_host_rsa_key.pub").write_text("ssh-rsa AAAA2 root@server\n")
    (place / "ssh_host_rsa_key").write_text("secret\n")
    (place / "ssh_host_dsa_key.pub").write_text("\n")
    archive = (await AddOns(Paths(tmp_path / "root")).make(AddOn(), ""))["ltsp.img"]
    files = extracted(archive, tmp_path / "files")
    assert files["session_hosts"] == "server ssh-ed25519 AAAA1\nserver ssh-rsa AAAA2\n"
    assert b"secret" not in archive


async def test_without_ssh_keygen_the_add_on_is_made_and_a_problem_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    add_ons = AddOns(Paths(tmp_path / "root"))
    archive = (await add_ons.make(AddOn(), ""))["ltsp.img"]
    monkeypatch.setenv("PATH", path)
    assert extracted(archive, tmp_path / "without") == {}
    (problem,) = add_ons.problems
    assert "openssh-client" in str(problem)
    await add_ons.make(AddOn(), "")
    assert add_ons.problems == ()
