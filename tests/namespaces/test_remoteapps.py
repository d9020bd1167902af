"""Programs that a client's people run on the server: by its own sshd, whose key the client knows."""

import shlex
from collections.abc import Iterator

import pytest

from tests import REPOSITORY
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CONFIG = REPOSITORY / "tests/features/remoteapps/expected/run/initramfs/ltsp/remoteapps/ssh_config"
PLACE = "/tmp/remoteapps"


@pytest.fixture
def place(server: Server) -> Iterator[str]:
    """Have the server be its own client, for one person and one home; return where the client's files are."""
    text = CONFIG.read_text().replace("192.168.67.1", "127.0.0.1").replace("/run/ltsp/remoteapps", PLACE)
    server.write(f"{PLACE}/ssh_config", text)
    server.write(f"{PLACE}/run", (REPOSITORY / "client/live/remoteapps.sh").read_text())
    server.run(
        "ssh-keygen -A; systemctl start ssh; useradd --create-home rita; "
        f"sed 's/^/server /' /etc/ssh/ssh_host_ed25519_key.pub >{PLACE}/known_hosts; "
        "cd /home/rita; install -d -m 700 -o rita -g rita .ssh; printf '# unended' >.ssh/authorized_keys; "
        "chown rita: .ssh/authorized_keys"
    )
    yield PLACE
    server.run(f"systemctl stop ssh; pkill -u rita; userdel --remove rita; rm -r {PLACE}", check=False)


def asked(place: str, *words: str) -> str:
    """Return the command by which rita runs a program on the server, and nobody types a password."""
    run = ["env", f"place={place}", "sh", f"{place}/run", *words]
    return f"runuser -u rita -- {shlex.join(run)} </dev/null"


def test_a_program_runs_on_the_server_with_its_words_as_they_were(server: Server, place: str) -> None:
    words = ("a b", "it's", "$HOME", "*", "", "`id`;")
    shown = "".join(f"{each}|" for each in words)
    for _ in range(2):
        assert server.run(asked(place, "printf", "%s|", *words)) == shown
    assert server.run(asked(place, "sh", "-c", 'echo "$USER ${SSH_CONNECTION%% *}"')).split() == [
        "rita",
        "127.0.0.1",
    ]
    first, *keys = server.run("cat /home/rita/.ssh/authorized_keys").splitlines()
    assert first == "# unended"
    assert [each.split(" ")[:2] for each in keys] == [["restrict,X11-forwarding", "ssh-ed25519"]]
    assert server.run("stat -c '%a %U' /home/rita/.ssh/ltspd").split() == ["600", "rita"]


def test_a_server_with_another_key_is_asked_nothing(server: Server, place: str) -> None:
    server.run(
        f"cd {place}; ssh-keygen -q -t ed25519 -N '' -f other && sed 's/^/server /' other.pub >known_hosts"
    )
    with pytest.raises(RuntimeError, match="Host key verification failed"):
        server.run(asked(place, "id"))
