"""The client's module with what the product makes for the server: sshd and its PAM stack."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.model.facts import Facts
from ltspd.outputs import login
from tests import REPOSITORY
from tests.pam.machines import LOGIN, PASSWORD, PORT, SERVER, School
from tests.worlds.planning import conf, link, world

pytestmark = pytest.mark.lab
NEW = "Brighter-9-Candles"
_KEY = "ssh-keygen -q -t ed25519 -N '' -f /tmp/key; cat /tmp/key.pub"


@pytest.fixture
def product(school: School, tmp_path: Path) -> Iterator[School]:
    """Have the product's own sshd and PAM stack judge, and the tests' own ones again afterwards."""
    known = frozenset(login.PROGRAMS) if school.release == "trixie" else frozenset({login.SSHD})
    facts = Facts(links=(link("eth0", f"{SERVER}/24"),), programs=known)
    (file,) = login.render(world(conf(f"[server]\nLOGIN_PORT={PORT}\n"), facts)).files
    keys = "/var/lib/ltspd/keys"
    school.serve_no_more()
    school.server.run(f"mkdir -p {keys}; cp /etc/ssh/ltspd_key {keys}/login")
    school.server.put(file.path, file.data)
    school.server.put("/etc/pam.d/ltspd-login", (REPOSITORY / "pam.d/ltspd-login").read_bytes())
    script = (REPOSITORY / "login/login-account").read_bytes()
    school.server.put("/usr/lib/ltspd/login-account", script, 0o755)
    module = tmp_path / "pam_new_password.so"
    subprocess.run(["make", "-s", "-C", REPOSITORY, f"LIB={tmp_path}", module], check=True)
    school.server.put("/usr/lib/ltspd/pam_new_password.so", module.read_bytes())
    # The tree has the module that judges new words, but not its dictionary.
    school.server.put("/etc/security/pwquality.conf", "dictcheck=0\n")
    school.server.run(f"/usr/local/sbin/ltspd-login -f {file.path}")
    yield school
    school.serve_no_more()
    school.ask()
    school.serve()


def test_server_and_client_understand_each_other(product: School) -> None:
    uid = product.person("ines")
    product.log()
    steps = ("authenticate", "acct_mgmt", "open_session", "close_session")
    seen = product.call("ines", PASSWORD, steps=steps)
    assert (seen["codes"], seen["said"]) == ([0] * 4, [["hidden", "Password: "]])
    told = f"ltspd-passwd: ines:x:{uid}:{uid}::/home/ines:/bin/bash ltspd-groups: ines:{uid}"
    assert " ".join(product.log()) == f"up ines {uid} 0 {told} connected {uid}"
    product.leave("ines")
    # Nothing in the client knows her.
    uid = product.person("jana", listed=False)
    assert product.call("jana", PASSWORD, steps=steps)["codes"] == [0] * 4
    assert product.client.run("id -u jana").strip() == str(uid)
    product.leave("jana")
    # What she may change of herself makes no line of its own.
    product.server.run(r"usermod -c 'J\nltspd-groups\0072 sudo\007227' jana")
    product.log()
    assert product.call("jana", PASSWORD)["codes"] == [0]
    assert "ltspd-groups: sudo:27" not in " ".join(product.log())
    # A key that the server lets in for AUTOLOGIN is no proof of who somebody is.
    product.server.put("/var/lib/ltspd/outputs/login/keys/ines", product.client.run(_KEY))
    config = product.client.get(f"{LOGIN}/ssh_config")
    with_key = "Host *\nPubkeyAuthentication yes\nPreferredAuthentications publickey\nIdentityFile /tmp/key\n"
    product.client.put(f"{LOGIN}/ssh_config", with_key + config)
    by_key = "ssh -F /run/ltsp/login/ssh_config -l ines -s ltsp-login sftp </dev/null"
    product.client.run(by_key)
    assert product.call("ines", "wrong")["codes"] == [7]
    product.client.put(f"{LOGIN}/ssh_config", config)
    # Who may not log in there, although the password is right.
    product.server.run("usermod -s /usr/sbin/nologin ines")
    seen = product.call("ines", PASSWORD)
    assert seen["codes"] == [6]
    assert "the shell of this account is not in /etc/shells" in seen["said"][-1][1]
    assert product.call("ines", "wrong")["codes"] == [7]
    # A new password, because the server wants one, and because the person does.
    product.server.run("usermod -s /bin/bash ines; chage -d 0 ines")
    assert product.call("ines", PASSWORD, PASSWORD, NEW, NEW)["codes"] == [0]
    changing = ("chauthtok",)
    seen = product.call("ines", NEW, NEW, "tiny", NEW, NEW, steps=changing)
    assert seen["codes"] == [20]
    assert ["info", "BAD PASSWORD: The password is shorter than 8 characters"] in seen["said"]
    assert product.call("ines", "wrong", steps=changing)["codes"] == [7]
    assert product.call("ines", NEW, NEW, PASSWORD, PASSWORD, steps=changing)["codes"] == [0]
    assert product.call("ines", PASSWORD)["codes"] == [0]
    assert product.call("ines", NEW)["codes"] == [7]
