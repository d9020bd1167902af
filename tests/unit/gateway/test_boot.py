"""The gateway's script for one client: by its own settings, and whatever it says, without harm to others."""

import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ltspd.clients.table import Order, Orders, Table, dump, load
from ltspd.config.parse import parse
from ltspd.menu.choice import rules
from ltspd.menu.ipxe import Scripts
from ltspd.model.menu import Entry, Lock, MenuChoice, Offer, RootTransport
from tests import REPOSITORY
from tests.worlds.gateways import PYTHONS, Gateway, ask, listed, memory, request, running, served_folder

CONF = """
[clients]
KERNEL_PARAMETERS="quiet name=$HOSTNAME"
[52:54:00:*]
KERNEL_PARAMETERS="room=1 mac=$MAC_ADDRESS"
[10.9.*]
DEFAULT_IMAGE=b
[pc*]
ROOT_TRANSPORT=http
"""
OFFER = Offer((Entry("a", "1"), Entry("b", "2")), RootTransport.NFS, rules(parse(CONF)))


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as path:
        yield path


def table(gateway: Gateway, offer: Offer | None = OFFER, connections: int = 1000) -> Table:
    return replace(listed(gateway.folder, gateway.port), offer=offer, connections=connections)


def booted(gateway: Gateway, **query: str) -> tuple[int, str]:
    status, _, body = ask(gateway.port, request(f"/ltsp/boot?{urlencode(query)}"))
    return status, body.decode()


@pytest.mark.parametrize("python", PYTHONS)
def test_a_client_gets_the_script_of_its_own_choice(python: str, folder: Path) -> None:
    with running(folder, python) as gateway:
        gateway.hang_up(table(gateway))
        scripts = Scripts(OFFER, gateway.port)
        for query, choice in (
            ({}, MenuChoice("a", RootTransport.NFS, "quiet name=", 5000)),
            ({"hostname": "x1"}, MenuChoice("a", RootTransport.NFS, "quiet name=x1", 5000)),
            (
                {"mac": "52:54:00:00:00:01", "ip": "10.9.0.3", "hostname": "pc1"},
                MenuChoice("b", RootTransport.HTTP, "room=1 mac=52:54:00:00:00:01", 5000),
            ),
        ):
            assert booted(gateway, **query) == (200, scripts.script(choice))
        # As iPXE writes it, which leaves colons as they are.
        raw = ask(gateway.port, request("/ltsp/boot?mac=52:54:00:00:00:01&ip=10.0.0.1&hostname="))
        assert b"set parameters room=1 mac=52:54:00:00:00:01\n" in raw[2]


@pytest.mark.parametrize(
    "wrong",
    [
        "x\nreboot", "a b", "x\rgoto failed", "${net0/mac}", "x||reboot", "#", "%0a", "\0", "é", "x" * 300,
        "../..", "\\", '"; reboot', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)  # fmt: skip
def test_nothing_that_a_client_says_becomes_a_line_or_a_word(shared: Gateway, wrong: str) -> None:
    honest = booted(shared)
    assert booted(shared, mac=wrong, ip=wrong, hostname=wrong, later=wrong) == honest
    assert honest[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/ltsp/boot", "/ltsp/boot?", "/ltsp/boot?mac", "/ltsp/boot?mac=1&mac=2&&&==",
     "/ltsp/boot?%ff=%ff&mac=%ff%00"],
)  # fmt: skip
def test_any_query_gets_the_script_for_everybody(shared: Gateway, path: str) -> None:
    assert ask(shared.port, request(path))[2].decode() == booted(shared)[1]


def test_what_is_too_long_is_refused(shared: Gateway) -> None:
    assert ask(shared.port, request("/ltsp/boot?hostname=" + "x" * 5000))[0] in (400, 414)
    assert booted(shared)[0] == 200


@pytest.fixture(scope="module")
def shared() -> Iterator[Gateway]:
    with served_folder() as folder, running(folder) as gateway:
        gateway.hang_up(table(gateway))
        yield gateway


def test_without_an_offer_the_script_by_tftp_goes_on(folder: Path) -> None:
    with running(folder) as gateway:
        assert booted(gateway)[0] == 404, "the table of an older daemon"
        gateway.hang_up(table(gateway, Offer((), RootTransport.NFS)))
        assert booted(gateway)[0] == 404, "no image yet: the script by TFTP says so"
        gateway.hang_up(table(gateway))
        assert booted(gateway)[0] == 200


def test_thousands_of_sections_take_little_memory_while_nobody_boots(folder: Path) -> None:
    sections = (f"[52:54:00:00:{n >> 8:02x}:{n & 255:02x}]\nKERNEL_PARAMETERS=x={n}\n" for n in range(2000))
    offer = replace(OFFER, rules=rules(parse("".join(sections))))
    with running(folder, boot__KEEP_SECONDS=0.2) as gateway:
        before = memory(gateway)
        gateway.hang_up(table(gateway, offer))
        assert memory(gateway) - before < 1 << 20
        for _ in range(3):
            assert "set parameters x=1999\n" in booted(gateway, mac="52:54:00:00:07:cf")[1]
            # After that it has forgotten, and makes it again.
            time.sleep(0.4)
        assert "Traceback" not in gateway.log.read_text()


def test_a_room_behind_one_address_boots_at_once_but_not_for_ever(folder: Path) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, connections=40))
        statuses = [booted(gateway)[0] for _ in range(120)]
        assert statuses[:40] == [200] * 40
        assert 429 in statuses
        assert ask(gateway.port, request("/ltsp/vmlinuz"))[0] == 200


# Of the word "secret", by grub-mkpasswd-pbkdf2 -c 1000 -l 16 -s 8.
HASH = "grub.pbkdf2.sha512.1000.9EB00A670394F4DB.E6D2691536BE685818AD8A45EA9DC2EC"
LOCKED = replace(OFFER, lock=Lock(("b", "local"), pbkdf2=HASH))


def unlocked(gateway: Gateway, start: str, password: str | None = None) -> tuple[int, dict[str, str], str]:
    """Ask as iPXE does, which sends the password only once it was told to."""
    word = b64encode(f"admin:{password}".encode()).decode()
    given = {} if password is None else {"Authorization": f"Basic {word}"}
    status, headers, body = ask(gateway.port, request(f"/ltsp/boot?start={start}", **given))
    return status, headers, body.decode()


def test_a_locked_line_begins_with_the_password_alone(folder: Path) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, LOCKED))
        plain = booted(gateway)[1]
        assert HASH not in plain
        assert "\ngoto start\n" not in plain.split("\n:start")[0]
        for start in ("image_b", "local"):
            status, headers, _ = unlocked(gateway, start)
            assert (status, headers["www-authenticate"]) == (401, 'Basic realm="menu"')
            status, _, script = unlocked(gateway, start, "secret")
            assert status == 200
            # All else is as without it.
            assert script.replace(f"\ngoto {start}\n\n:start\n", "\n\n:start\n") == plain
        assert unlocked(gateway, "image_b", "Secret")[0] == 401
        assert "wrong password for image_b" in gateway.log.read_text()
        for start in ("image_a", "nothing", "restart", "x%0agoto%20shell"):
            assert unlocked(gateway, start, "secret")[0] == 403
        assert "secret" not in gateway.log.read_text()


def test_passwords_are_not_tried_often(folder: Path) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, LOCKED))
        assert [unlocked(gateway, "local", f"{n}")[0] for n in range(5)] == [401] * 5
        assert unlocked(gateway, "local", "secret")[0] == 429
        # Who boots is not concerned.
        assert booted(gateway)[0] == 200


@pytest.mark.parametrize("header", ["Basic", "Basic %", "Digest x", "Basic \xff", "Basic Og==", "x" * 5000])
def test_what_is_no_password_is_refused(folder: Path, header: str) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, LOCKED))
        raw = request("/ltsp/boot?start=local", Authorization=header)
        assert ask(gateway.port, raw)[0] in (400, 401)
        assert unlocked(gateway, "local", "secret")[0] == 200
        assert "Traceback" not in gateway.log.read_text()


def test_without_a_hash_nothing_is_opened(folder: Path) -> None:
    with running(folder) as gateway:
        gateway.hang_up(table(gateway, replace(OFFER, lock=Lock(("b",)))))
        assert unlocked(gateway, "image_b", "")[0] == 403


def test_tables_of_daemons_before_and_after_an_upgrade() -> None:
    new = Table(("10.0.0.1",), 80, {"/ltsp/x": "/x"}, ("10.0.0.0/8",), 1, 9, OFFER)
    assert load(dump(new)) == new
    assert load(dump(replace(new, offer=LOCKED))).offer == LOCKED
    old = b'{"addresses": ["10.0.0.1"], "port": 80, "files": {}, "later": {"any": "thing"}}'
    assert load(old) == Table(("10.0.0.1",), 80, {})
    newer = replace(new, orders=Orders("r", {"52:54:00:00:00:01": Order("1", "restart")}))
    data = (
        dump(newer)
        .replace(b'"revision":', b'"later": 1, "revision":')
        .replace(b'"kernel":', b'"later": 1, "kernel":')
    )
    assert data.count(b"later") == 3
    assert load(data) == newer
    # What an older gateway reads, with the meaning that it had.
    assert b'"files": {\n  "/ltsp/x": "/x"\n }' in dump(new)


@pytest.mark.parametrize(
    "wrong",
    [b'"offer": {"entries": 1}', b'"offer": {"entries": [], "transport": "ftp", "rules": ""}',
     b'"orders": []', b'"offer": {"entries": [{"x": 1}], "transport": "nfs", "rules": ""}', b'"offer": []x',
     b'"offer": {"entries": [], "transport": "nfs"}'],
)  # fmt: skip
def test_what_is_no_table_is_refused_as_a_whole(wrong: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever json, IPv4Network or this module says
        load(b'{"addresses": [], "port": 80, "files": {}, ' + wrong + b"}")


# Python 3.12 and later without OpenSSL, which is what the gateway's modules are imported with.
LATER = f"""
import sys
sys.modules["_hashlib"] = None
import hashlib
hashlib.__dict__.pop("pbkdf2_hmac", None)
import ltspd.gateway.__main__
from ltspd.menu.lock import is_right
from ltspd.model.menu import Lock
sys.exit(not is_right(Lock(pbkdf2="{HASH}"), "secret"))
"""


def test_later_pythons_begin_without_openssl_and_judge_passwords() -> None:
    assert subprocess.run([sys.executable, "-c", LATER], cwd=REPOSITORY, check=False).returncode == 0
