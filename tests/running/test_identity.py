"""A machine that keeps its key is known again, and opens the account that ltsp.conf names, and no other."""

import subprocess
from pathlib import Path

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.net import SERVER_ADDRESS
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f6:21"
# As a client asks, with its own key, which is all that it has.
BY_KEY = (
    "-o Port=10822 -o IdentityFile=/run/ltsp/login/key -o BatchMode=yes -o StrictHostKeyChecking=no "
    "-o UserKnownHostsFile=/dev/null -o PreferredAuthentications=publickey"
)


def boot(server: Server, name: str, *extra: str) -> Client:
    client = power_on(server.session, server.lan, "bios", mac=MAC, name=name, extra=extra)
    try:
        client.login_prompt()
        client.shell(
            "until systemctl is-active --quiet ltsp-report && [ -e /run/ltsp/login/kept ]; do sleep 1; done"
        )
        product.wait_for_stage(server, MAC, "login")
    except BaseException:
        client.off()
        raise
    return client


def identity(server: Server) -> tuple[str, str]:
    known = product.client(server, MAC)
    return str(known["Identity"]), str(known["Key"])


def becomes(server: Server, wanted: str, key: str) -> None:
    """Wait until the server judges a machine so: its key comes when it is made."""
    server.wait_for(lambda: identity(server) == (wanted, key))


def own_key(client: Client) -> str:
    """Return the fingerprint of the key that a client has, by its own ssh-keygen."""
    assert client.shell("stat -L -c '%a %U' /run/ltsp/login/key").strip() == "600 root"
    return client.shell("ssh-keygen -l -f /run/ltsp/login/key").split()[1]


def opens(client: Client, name: str) -> bool:
    sftp = f"sftp -q -b - {BY_KEY} {name}@{SERVER_ADDRESS}"
    script = f"echo pwd | {sftp} >/dev/null 2>&1 && echo yes || echo no"
    return client.shell(script).strip() == "yes"


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """Make a small disk with an empty file system as Windows and cameras write it; others have ext4."""
    image = tmp_path / "keys.raw"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.vfat", "-n", "LTSP-KEYS", image], stdout=subprocess.DEVNULL, check=True)
    return f"if=virtio,format=raw,file={image}"


def test_a_machine_that_keeps_its_key_is_known_again_and_another_one_is_not_taken_for_it(
    server: Server, images: tuple[str, ...], disk: str
) -> None:
    del images
    server.run("id bert 2>/dev/null || useradd --create-home bert")
    auto = {MAC: {"HOSTNAME": "kiosk", "AUTOLOGIN": "alice"}}
    with product.configured(server, auto):
        try:
            client = boot(server, "keeps-1", "-drive", disk)
            try:
                key = own_key(client)
                becomes(server, "kept", key)
                server.wait_for(f"grep -q {MAC} /var/lib/ltspd/outputs/login/keys/alice")
                assert client.shell("findmnt -n -S LABEL=LTSP-KEYS || echo none").strip() == "none"
                assert opens(client, "alice")
                assert [opens(client, name) for name in ("root", "bert")] == [False, False]
                alice = f"{BY_KEY} alice@{SERVER_ADDRESS}"
                for words in (f"{alice} id", f"-tt {alice} id", f"-W {SERVER_ADDRESS}:80 {alice}"):
                    said = client.shell(f"echo 'GET / HTTP/1.0' | ssh {words} 2>&1 || echo refused")
                    assert "uid=" not in said
                    assert "HTTP/" not in said.replace("GET / HTTP/1.0", "")
                product.configure(server, {MAC: {"AUTOLOGIN": ""}})
                server.wait_for("! test -e /var/lib/ltspd/outputs/login/keys/alice")
                assert not opens(client, "alice")
                product.configure(server, auto)
            finally:
                client.off()

            client = boot(server, "keeps-2", "-drive", disk)
            try:
                assert own_key(client) == key
                becomes(server, "kept", key)
                assert opens(client, "alice")
            finally:
                client.off()

            thief = boot(server, "thief")
            try:
                other = own_key(thief)
                becomes(server, "refused", other)
                assert f"ltspctl client approve {MAC}" in "\n".join(product.status(server)["Problems"])
                assert not opens(thief, "alice")
                server.run(f"ltspctl client approve {MAC}")
                assert identity(server) == ("boot", other)
                server.wait_for(lambda: opens(thief, "alice"))
                server.run(f"ltspctl client forget {MAC}")
                server.wait_for("! test -e /var/lib/ltspd/outputs/login/keys/alice")
                assert not opens(thief, "alice")
            finally:
                thief.off()
        finally:
            product.forget_clients(server)
