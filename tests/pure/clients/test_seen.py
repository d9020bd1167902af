"""What the listener heard, as the daemon takes it: shown until a machine reports itself, and bounded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ltspd.clients import seen
from ltspd.clients.fields import ClientStage
from ltspd.clients.seen import ONLY_HEARD_MOST, REMEMBERED, SECOND, STEPS_MOST
from ltspd.model.client import ClientState, Stage

MAC = "52:54:00:00:00:01"
NOW = 1_700_000_000 * SECOND
HEARD: Mapping[str, Any] = {
    "Mac": MAC,
    "Link": "lan0",
    "Architecture": 7,
    "Vendor": "PXEClient",
    "Stage": "offer",
    "Server": "10.0.0.1",
    "File": "ltsp/snponly.efi",
    "Lease": "",
    "Expires": 0,
    "LastSeen": NOW,
    "Steps": [
        f"{NOW} discover - - PXEClient:7 2 {NOW}",
        f"{NOW} offer 10.0.0.1 10.0.0.20 ltsp/snponly.efi 1 {NOW}",
    ],
}
SERVER: Mapping[str, Any] = {
    "Link": "lan0",
    "Address": "10.0.0.9",
    "Mac": MAC,
    "Gives": True,
    "LastSeen": NOW,
}


def merged(before: Mapping[str, ClientState], now: int = NOW, **values: Any) -> ClientState:
    found, refused = seen.merge(before, [{**HEARD, **values}], now)
    assert refused == 0
    return found[MAC]


def test_no_stage_has_two_meanings() -> None:
    assert not set(Stage) & set(ClientStage)


def test_a_machine_is_a_client_from_its_first_packet() -> None:
    client = merged({})
    assert (client.stage, client.last_seen, client.address) == ("offer", NOW, "")
    assert (client.seen.architecture, client.seen.file) == (7, "ltsp/snponly.efi")
    assert [(each.word, each.times) for each in client.seen.steps] == [("discover", 2), ("offer", 1)]
    leased = merged({MAC: client}, Stage="lease", Lease="10.0.0.20", LastSeen=NOW + 1, now=NOW + 2)
    assert leased.address == "10.0.0.20"


def test_what_a_machine_reports_later_counts_and_its_next_boot_again() -> None:
    root = ClientState(MAC, "pc1", "10.0.0.30", stage="root", last_seen=NOW + 5, boot="b", key="k")
    kept = merged({MAC: root}, Lease="10.0.0.20")
    assert (kept.stage, kept.address, kept.seen.lease) == ("root", "10.0.0.30", "10.0.0.20")
    failed = replace(root, stage="failed", error="no root")
    again = merged({MAC: failed}, Stage="discover", LastSeen=NOW + 9, now=NOW + 9)
    assert (again.stage, again.error, again.key, again.address) == ("discover", "", "k", "10.0.0.30")


def test_who_was_off_and_starts_is_given_no_order_for_its_last_boot() -> None:
    off = ClientState(MAC, "pc1", stage=ClientStage.OFF, boot="5f", last_seen=NOW - SECOND)
    assert merged({MAC: off}).boot == ""
    # Anybody can say that of a machine that runs.
    assert merged({MAC: replace(off, stage=ClientStage.LOGIN)}).boot == "5f"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Mac": "52:54:00:00:00:0g"}, {"Mac": "ff:ff:ff:ff:ff:ff"}, {"Link": "a b"}, {"Stage": "login"},
        {"Vendor": "x"}, {"Server": "1.2.3"}, {"Lease": "224.0.0.1"}, {"File": "a b"}, {"File": "x" * 129},
        {"Architecture": 70000}, {"Steps": ["x"]}, {"Steps": [f"{NOW} dance - - - 1 {NOW}"]},
        {"Steps": [f"{NOW} offer 300.1.1.1 - - 1 {NOW}"]}, {"Steps": HEARD["Steps"] * STEPS_MOST},
        {"Steps": [f"{NOW} offer - - \x1b[2J 1 {NOW}"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_cant_be_right_changes_nothing(wrong: Mapping[str, Any]) -> None:
    assert seen.merge({}, [{**HEARD, **wrong}], NOW) == ({}, 1)


@pytest.mark.parametrize(
    "wrong",
    [{"Link": ""}, {"Address": ""}, {"Address": "255.255.255.255"}, {"Mac": "x"}, {"File": "\n"}],
    ids=str,
)
def test_a_server_that_cant_be_right_is_none(wrong: Mapping[str, Any]) -> None:
    assert seen.server(SERVER, NOW) is not None
    assert seen.server({**SERVER, **wrong}, NOW) is None


def test_machines_that_are_only_heard_are_forgotten_and_others_stay() -> None:
    reported = ClientState("02:00:00:00:00:01", "pc1", stage="login", last_seen=1)
    macs = (f"02:01:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(ONLY_HEARD_MOST + 50))
    found, _ = seen.merge({reported.mac: reported}, [{**HEARD, "Mac": each} for each in macs], NOW)
    assert len(found) == ONLY_HEARD_MOST + 1
    later = NOW + 2 * REMEMBERED
    late, _ = seen.merge(found, [{**HEARD, "LastSeen": later}], later)
    assert set(late) == {reported.mac, MAC}


def test_no_time_is_in_the_future() -> None:
    client = merged({}, LastSeen=NOW * 2)
    assert client.last_seen == NOW
