"""Whose key counts: the first one that a machine keeps, else the present one or what is approved."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients import enrolment
from ltspd.clients.enrolment import (
    ADDRESS_MOST,
    MOST,
    PROBLEMS_MOST,
    Registry,
    approve,
    dump,
    fingerprint,
    forget,
    load,
)
from ltspd.clients.fields import is_sound
from ltspd.model.client import ClientState, Enrol, Identity

MAC = "52:54:00:00:00:01"
BEGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
MINE, OTHER = f"{BEGIN}{'A' * 43}", f"{BEGIN}{'B' * 43}"


class World:
    """A registry and its clients, which report one after the other."""

    def __init__(self, policy: Enrol = Enrol.AUTO) -> None:
        self.policy = policy
        self.known: Registry = {}
        self.clients: Mapping[str, ClientState] = {}
        self.now = 0

    def report(
        self, key: str = "", kept: str = "1", stage: str = "root", mac: str = MAC, at: str = ""
    ) -> Identity:
        self.now += 1
        client = ClientState(
            mac, "pc01", at or "10.0.0.20", stage=stage, last_seen=self.now, key=key, kept=kept
        )
        return self.settle(client)

    def settle(self, client: ClientState) -> Identity:
        clients = {**self.clients, client.mac: client}
        self.known, self.clients = enrolment.settle(self.known, clients, [client.mac], self.policy)
        return self.clients[client.mac].identity

    def keys(self) -> dict[str, str]:
        return {mac: each.key for mac, each in self.known.items()}

    def told(self) -> str:
        return "\n".join(map(str, enrolment.problems(self.known, self.clients.values())))


def test_the_first_kept_key_of_a_machine_counts_and_another_one_does_not() -> None:
    world = World()
    assert world.report(MINE) is Identity.KEPT
    for kept in ("1", "0"):
        assert world.report(OTHER, kept, at="10.0.0.99") is Identity.REFUSED
        assert world.keys() == {MAC: MINE}
        assert (world.known[MAC].address, world.known[MAC].hostname) == ("10.0.0.20", "pc01")
    assert fingerprint(OTHER) in world.told()
    assert fingerprint(MINE) in world.told()
    assert f"ltspctl client approve {MAC}" in world.told()
    assert "10.0.0.99" in world.told()
    assert world.report(MINE) is Identity.KEPT
    assert world.told() == ""


def test_a_kept_key_outlives_boots_and_is_known_before_the_machine_reports() -> None:
    world = World()
    world.report(MINE)
    assert [world.report(stage=stage) for stage in ("off", "network", "root")] == [Identity.KEPT] * 3
    assert world.keys() == {MAC: MINE}
    (client,) = enrolment.remembered(world.known).values()
    assert (client.mac, client.hostname, client.identity) == (MAC, "pc01", Identity.KEPT)


def test_a_boot_long_key_counts_until_its_boot_ends() -> None:
    world = World()
    assert world.report(MINE, "0") is Identity.BOOT
    assert world.report(MINE, "0", stage="login") is Identity.BOOT
    assert world.report(OTHER, "0") is Identity.BOOT
    assert world.keys() == {MAC: OTHER}
    assert world.report(OTHER, "0", stage="off") is Identity.NONE
    assert world.keys() == {}
    world.report(MINE, "0")
    assert world.report(stage="network") is Identity.NONE, "the next boot has begun"
    assert world.keys() == {} == enrolment.remembered(world.known)


def test_a_machine_may_begin_to_keep_its_key_but_not_stop_to() -> None:
    world = World()
    world.report(MINE, "0")
    assert world.report(OTHER) is Identity.KEPT
    assert world.report(OTHER, "0") is Identity.KEPT
    assert world.known[MAC].kept


def test_with_ask_an_administrator_approves_each_key() -> None:
    world = World(Enrol.ASK)
    assert world.report(MINE) is Identity.PENDING
    assert world.keys() == {}
    assert f"ltspctl client approve {MAC}" in world.told()
    world.known = approve(world.known, world.clients[MAC])
    assert world.settle(world.clients[MAC]) is Identity.KEPT
    assert world.known[MAC].approved
    assert world.told() == ""
    assert world.report(OTHER) is Identity.REFUSED
    world.known = approve(world.known, world.clients[MAC])
    assert world.report(OTHER) is Identity.KEPT
    assert world.keys() == {MAC: OTHER}


def test_with_ask_a_boot_long_key_is_approved_for_one_boot() -> None:
    world = World(Enrol.ASK)
    world.report(MINE, "0")
    world.known = approve(world.known, world.clients[MAC])
    assert world.report(MINE, "0", stage="login") is Identity.BOOT
    world.report(stage="network")
    assert world.report(OTHER, "0") is Identity.PENDING


def test_with_off_nobody_has_an_identity_and_nothing_is_learnt() -> None:
    world = World(Enrol.OFF)
    assert world.report(MINE) is Identity.NONE
    assert world.keys() == {}
    assert world.told() == ""


def test_after_forget_the_next_key_is_the_first() -> None:
    world = World()
    world.report(MINE)
    world.known = forget(world.known, MAC)
    assert world.report(OTHER) is Identity.KEPT
    assert forget(world.known, "52:54:00:00:00:02") == world.known


def test_a_flood_takes_no_place_of_a_known_machine_and_is_told() -> None:
    world = World()
    world.report(MINE)
    entry = world.known[MAC]
    crowd = {
        f"52:54:00:01:{each >> 8:02x}:{each & 255:02x}": replace(entry, address="10.9.9.9")
        for each in range(MOST - 1)
    }
    world.known = {**world.known, **{mac: replace(entry, mac=mac) for mac, entry in crowd.items()}}
    assert world.report(OTHER, mac="52:54:00:00:00:02") is Identity.PENDING
    assert len(world.known) == MOST
    assert world.keys()[MAC] == MINE
    assert "ltspctl client forget" in world.told()
    assert world.report(MINE) is Identity.KEPT


def test_boot_long_keys_make_room_for_new_machines() -> None:
    world = World()
    world.report(MINE)
    world.report(MINE, "0", mac="52:54:00:00:00:03")
    crowd = {
        f"52:54:00:01:{each >> 8:02x}:{each & 255:02x}": replace(world.known[MAC], address="10.9.9.9")
        for each in range(MOST - 2)
    }
    world.known = {**world.known, **{mac: replace(entry, mac=mac) for mac, entry in crowd.items()}}
    assert world.report(OTHER, mac="52:54:00:00:00:02") is Identity.KEPT
    assert "52:54:00:00:00:03" not in world.known
    assert len(world.known) == MOST


def test_many_refused_keys_are_few_lines() -> None:
    clients = [
        ClientState(f"52:54:00:00:00:{each:02x}", last_seen=each, key=MINE, identity=Identity.PENDING)
        for each in range(PROBLEMS_MOST + 5)
    ]
    lines = enrolment.problems({}, clients)
    assert len(lines) == PROBLEMS_MOST + 1
    assert "5 more" in str(lines[-1])


def test_a_machine_without_an_address_keeps_the_one_that_it_had() -> None:
    world = World()
    world.report(MINE)
    world.settle(replace(world.clients[MAC], address=""))
    assert world.known[MAC].address == "10.0.0.20"


# ---- the file --------------------------------------------------------------------------------


def test_the_file_holds_all_and_is_the_same_for_the_same() -> None:
    world = World()
    world.report(MINE)
    world.report(OTHER, "0", mac="52:54:00:00:00:02")
    assert load(dump(world.known)) == world.known
    assert dump(dict(reversed([*world.known.items()]))) == dump(world.known)


def test_a_later_version_may_say_more() -> None:
    world = World()
    world.report(MINE)
    more = (
        dump(world.known)
        .replace(b'"kept"', b'"tpm": {"a": 1}, "kept"')
        .replace(b'"version": 1', b'"version": 2')
    )
    assert load(more) == world.known


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"clients": []}', b'{"clients": {"x": {}}}', b"\xff", b'{"clients": {"%s": 1}}',
        b'{"clients": {"52:54:00:00:00:01": {"key": "", "kept": true, "since": 1}}}',
        b'{"clients": {"52:54:00:00:00:01": {"key": "ssh-rsa AAAA", "kept": true, "since": 1}}}',
        b'{"clients": {"52:54:00:00:00:01": {"key": 5, "kept": true, "since": 1}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_an_error_and_not_an_empty_list(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no list|can't be right|Expecting|decode"):
        load(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        load(data)
    except ValueError:
        pass


# ---- keys ------------------------------------------------------------------------------------


def test_keys_are_openssh_lines_without_anything_else() -> None:
    assert is_sound("key", MINE)
    assert is_sound("key", "")
    assert is_sound("kept", "0")
    wrong = (
        f"{MINE} comment", f"{MINE}\n", f" {MINE}", MINE[:-1], f"{MINE}A", f'command="x" {MINE}',
        MINE.replace("IAA", "IQA"), MINE.replace("ssh-ed25519", "ssh-rsa"), f"{MINE[:-1]}=", f"{MINE[:-1]}é",
    )  # fmt: skip
    assert [each for each in wrong if is_sound("key", each)] == []
    assert not any(is_sound("kept", each) for each in ("2", "yes", "00", "1\n"))


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "key"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file], check=True)
    except FileNotFoundError:
        pytest.skip("needs ssh-keygen")
    line = file.with_suffix(".pub").read_text().strip()
    assert is_sound("key", line)
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", file], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    assert fingerprint(line) == shown.split()[1]


def test_one_address_brings_only_so_many_kept_keys() -> None:
    world = World()

    def mac(number: int) -> str:
        return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"

    for number in range(ADDRESS_MOST):
        assert world.report(MINE, mac=mac(number)) is Identity.KEPT
    assert world.report(MINE, mac=mac(500)) is Identity.PENDING
    # A key for one boot, which would become a kept one, is no way around that.
    assert world.report(MINE, "0", mac=mac(501)) is Identity.BOOT
    assert world.report(MINE, mac=mac(501)) is Identity.BOOT
    assert world.report(MINE, mac=mac(0)) is Identity.KEPT
    assert world.report(MINE, mac=mac(502), at="10.0.0.21") is Identity.KEPT
    world.known = approve(world.known, world.clients[mac(500)])
    assert world.report(MINE, mac=mac(500)) is Identity.KEPT
    assert f"client approve {mac(500)}" not in world.told()
