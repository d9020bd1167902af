"""A client that runs takes the server's accounts: the real script, the real gateway, real signatures."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltspd.clients.documents import numbered
from ltspd.clients.table import Orders
from ltspd.config.parse import parse
from ltspd.config.settings import render_settings
from ltspd.model.account import Account, Group
from ltspd.system.files import digest
from tests.worlds.gateways import Gateway, listed, running, served_folder, until
from tests.worlds.running import NEEDS_NAMESPACES, Running, Server

pytestmark = NEEDS_NAMESPACES

ANNA = Account("anna", 1001, 1001, "Anna Ä", "/home/anna", "/bin/bash")
BOB = Account("bob", 1002, 1002, "", "/home/bob", "/bin/sh")
GROUPS = (Group("anna", 1001, ()), Group("bob", 1002, ()))


class World:
    """A gateway, what signs for it, and a client."""

    def __init__(self, tmp_path: Path, gateway: Gateway, conf: str) -> None:
        self.gateway = gateway
        self.server = Server(gateway.folder, tmp_path / "keys")
        self.number = 1
        first = self.server.document((ANNA,), GROUPS[:1], self.number)
        self.client = Running(tmp_path / "client", gateway.port, self.server.signers, first, conf)
        self.tell("accounts", first)
        self.process = self.client.start()

    def tell(self, name: str, data: bytes, key: Path | None = None) -> None:
        """Publish a document and answer the clients that wait."""
        self.server.publish(name, data, key)
        files = {each: each for each in (name, f"{name}.sig")}
        table = listed(self.gateway.folder, self.gateway.port, **files)
        orders = Orders(f"r{digest(data)[:8]}{self.number}", documents={name: digest(data)})
        self.gateway.hang_up(replace(table, networks=("127.0.0.0/8",), orders=orders))

    def give(self, *accounts: Account, groups: tuple[Group, ...] = GROUPS) -> None:
        self.number += 1
        self.tell("accounts", self.server.document(accounts, groups, self.number))

    def log_in(self, uid: int, here: bool = True) -> None:
        file = self.client.root / f"run/systemd/users/{uid}"
        file.touch() if here else file.unlink()

    def has(self, path: str, line: str, count: int = 1) -> None:
        until(lambda: self.client.lines(path).count(line) == count)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[World] = []
    with served_folder() as folder, running(folder, limits__EACH_BURST=1000.0) as gateway:

        def new(conf: str = "") -> World:
            made.append(World(tmp_path, gateway, conf))
            return made[-1]

        try:
            yield new
        finally:
            for each in made:
                os.killpg(each.process.pid, signal.SIGTERM)
                each.process.wait()


SHADOW = "{}:*:19000:0:99999:7::{}:"


def test_accounts_come_change_and_go_while_the_client_runs(make: Any) -> None:
    world: World = make()
    client = world.client
    assert "anna:x:1001:1001:Anna Ä:/home/anna:/bin/bash" in client.lines("etc/passwd")
    # Made on the client meanwhile; it stays.
    with (client.root / "etc/passwd").open("a") as file:
        file.write("made:x:1700:1700::/home/made:/bin/sh\n")
    world.give(
        ANNA, BOB, groups=(*GROUPS, Group("sudo", 44, ("bob",)), Group("class", 2000, ("anna", "bob")))
    )
    world.has("etc/passwd", "bob:x:1002:1002::/home/bob:/bin/sh")
    assert client.lines("etc/shadow")[-1] == SHADOW.format("bob", "")
    assert {"sudo:x:27:local,bob", "class:x:2000:anna,bob", "bob:x:1002:"} <= set(client.lines("etc/group"))
    assert client.lines("run/initramfs/ltsp/login/accounts") == ["anna:1001", "bob:1002"]
    assert "made:x:1700:1700::/home/made:/bin/sh" in client.lines("etc/passwd")
    assert "local:secret:19000:0:99999:7:::" in client.lines("etc/shadow")
    assert (client.root / "etc/shadow").stat().st_mode & 0o777 == 0o640

    world.give(ANNA, replace(BOB, closed_from=1))
    world.has("etc/shadow", SHADOW.format("bob", "1"))
    assert {"sudo:x:27:local", "local:x:1005:"} <= set(client.lines("etc/group"))
    assert not [line for line in client.lines("etc/group") if line.startswith("class:")]

    world.give(ANNA)
    world.has("etc/passwd", "bob:x:1002:1002::/home/bob:/bin/sh", 0)
    assert [line.split(":")[0] for line in client.lines("etc/shadow")] == ["root", "local", "anna"]
    assert client.lines("run/initramfs/ltsp/login/accounts") == ["anna:1001"]
    # Another one with Bob's number has to wait for the next boot, Bob himself has not.
    world.give(ANNA, replace(BOB, name="carl"), replace(BOB, uid=1003))
    world.has("etc/passwd", "bob:x:1003:1002::/home/bob:/bin/sh")
    assert "carl" not in client.text("etc/passwd")
    waits = "account carl is left out until this client restarts: its number 1002 was bob"
    until(lambda: waits in client.text("said"))
    world.give(ANNA, BOB)
    world.has("etc/passwd", "bob:x:1002:1002::/home/bob:/bin/sh")
    assert client.text("calls") == ""


def test_who_is_logged_in_stays_until_the_session_ends_and_nobody_else_comes_as_him(make: Any) -> None:
    world: World = make()
    client = world.client
    world.log_in(1001)
    world.give(BOB, groups=GROUPS[1:])
    world.has("etc/shadow", SHADOW.format("anna", "1"))
    assert "anna:x:1001:1001:Anna Ä:/home/anna:/bin/bash" in client.lines("etc/passwd")
    assert "anna:x:1001:" in client.lines("etc/group")
    assert client.lines("run/initramfs/ltsp/login/accounts") == ["anna:1001", "bob:1002"]
    until(lambda: client.lines("calls") == ["systemctl --no-block start ltsp-gone@1001.service"])
    # The session ends; logind's file may still be there.
    client.gone(1001)
    assert "anna" not in client.text("etc/passwd") + client.text("etc/shadow") + client.text("etc/group")
    assert client.lines("run/initramfs/ltsp/login/accounts") == ["bob:1002"]


def test_sessions_of_closed_and_removed_accounts_end_where_ltsp_conf_says_so(make: Any) -> None:
    world: World = make("[clients]\nEND_SESSIONS=1\n")
    world.give(ANNA, BOB)
    world.has("etc/passwd", "bob:x:1002:1002::/home/bob:/bin/sh")
    for uid in (1001, 1002, 1005):
        world.log_in(uid)
    world.give(replace(ANNA, closed_from=1))
    call = "busctl --quiet call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager"
    ended = [f"{call} TerminateUser u {uid}" for uid in (1002, 1001)]
    until(lambda: ended == [line for line in world.client.lines("calls") if line.startswith("busctl")])
    assert "bob:x:1002:1002::/home/bob:/bin/sh" in world.client.lines("etc/passwd")


def test_nobody_but_the_server_says_who_has_an_account_and_nothing_old_counts(
    make: Any, tmp_path: Path
) -> None:
    world: World = make()
    client = world.client
    eve = replace(BOB, name="eve", uid=1003)
    old = world.server.document((ANNA, eve), GROUPS, 2)
    other = Server(tmp_path, tmp_path / "other")
    world.number = 5
    # Signed by another key.
    world.tell("accounts", world.server.document((eve,), GROUPS, 6), other.key)
    until(lambda: "is not signed by the server" in client.text("said"))
    world.number = 7
    world.give(ANNA, BOB)
    world.has("etc/passwd", "bob:x:1002:1002::/home/bob:/bin/sh")
    # Signed once, and played back; another document of the server under this name.
    world.tell("accounts", old)
    until(lambda: client.text("said").count("are not newer") == 1)
    world.number = 9
    world.tell("accounts", numbered("settings", b"passwd:eve:x:1003:1003::/:/bin/sh\n", b"", 99))
    until(lambda: client.text("said").count("are not newer") == 2)
    world.number = 100
    world.give(ANNA, BOB, replace(BOB, name="fred", uid=1004))
    world.has("etc/passwd", "fred:x:1004:1002::/home/bob:/bin/sh")
    assert "eve" not in client.text("etc/passwd")


def test_settings_that_can_count_at_once_and_the_server_hears_of_the_others(make: Any) -> None:
    booted = "[clients]\nHOSTS_a='10.0.0.8 old'\nMASK_SYSTEM_SERVICES=a\nHOSTNAME=pc\n"
    world: World = make(booted)
    client = world.client
    reporter = client.store / "report"
    reporter.write_text(f"echo report $1 >>{client.root}/calls\n")
    assert "10.0.0.8 old" in client.lines("etc/hosts")
    text = f"{booted}MASK_SYSTEM_SERVICES='a\nb'\nHOSTS_b='10.0.0.9 nas'\nEND_SESSIONS=1\nFSTAB_x=tmpfs\n"
    world.tell("settings", numbered("settings", render_settings(parse(text)), b"", 7))
    world.has("etc/hosts", "10.0.0.9 nas")
    assert "10.0.0.8 old" in client.lines("etc/hosts")
    world.has("calls", "report again")
    assert client.lines("run/initramfs/ltsp/news/pending") == ["FSTAB_x MASK_SYSTEM_SERVICES"]
    # Nothing waits any more.
    world.tell("settings", numbered("settings", render_settings(parse(booted)), b"", 8))
    world.has("calls", "report again", 2)
    assert client.lines("run/initramfs/ltsp/news/pending") == [""]
    assert "10.0.0.9 nas" not in client.lines("etc/hosts")


def test_with_code_all_settings_wait_for_the_next_boot(make: Any) -> None:
    booted = "[clients]\nHOSTS_a='10.0.0.8 old'\n"
    world: World = make(booted)
    client = world.client
    (client.store / "report").write_text(f"echo report $1 >>{client.root}/calls\n")
    text = f"{booted}HOSTS_b='10.0.0.9 nas'\ntouch {client.root}/ran\nHOSTS_c=$(touch {client.root}/ran)\n"
    world.tell("settings", numbered("settings", render_settings(parse(text)), b"", 7))
    world.has("calls", "report again")
    assert client.lines("run/initramfs/ltsp/news/pending") == ["CODE"]
    assert "10.0.0.9 nas" not in client.lines("etc/hosts")
    world.tell("settings", numbered("settings", render_settings(parse(booted)), b"", 8))
    world.has("calls", "report again", 2)
    assert client.lines("run/initramfs/ltsp/news/pending") == [""]
    assert not (client.root / "ran").exists()


def test_an_image_without_ssh_keygen_says_so_once(tmp_path: Path) -> None:
    with served_folder() as folder:
        server = Server(folder, tmp_path / "keys")
        client = Running(tmp_path / "client", 1, server.signers, server.document((), (), 1))
        script = client.store / "live/live.sh"
        script.write_text(script.read_text().replace("keygen=/usr/bin/ssh-keygen", "keygen=/none"))
        assert client.start().wait() == 0
        (line,) = client.lines("said")
        assert line.startswith("<5>This image has no ssh-keygen")
