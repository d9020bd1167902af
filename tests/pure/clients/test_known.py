"""What clients report, as the daemon takes it: bounded, checked against what exists, forgotten in time."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients import known as clients
from ltspd.clients.fields import FIELDS, ON_THE_BUS, SENTENCE_MOST, SENTENCES, is_sound
from ltspd.clients.known import BOOTING, FAILING, FRESH, MOST, PROBLEMS_MOST, SECOND
from ltspd.model.client import ClientState
from ltspd.model.image import Generation, Image
from ltspd.observe.connections import connected
from ltspd.paths import Paths

MAC = "52:54:00:00:00:01"
NOW = 1_700_000_000 * SECOND
KNOWN = {"desk": frozenset({"g1", "g2"})}
BOOTED: Mapping[str, Any] = {
    "Mac": MAC, "Address": "10.0.0.20", "Hostname": "pc1", "Image": "desk", "Generation": "g1",
    "Transport": "nfs", "Stage": "root", "LastSeen": NOW,
}  # fmt: skip


def merged(*reports: Mapping[str, Any], now: int = NOW) -> Mapping[str, ClientState]:
    found: clients.Clients = {}
    for report in reports:
        found, refused = clients.merge(found, [report], KNOWN, now)
        assert refused == 0
    return found


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def image(*generations: str) -> Image:
    of = tuple(Generation(name, "desk", 0.0, "/", "amd64", "6.1", (), 1, 1, 1, 1, "") for name in generations)
    return Image("desk", of, generations[-1])


def test_a_report_becomes_a_client_and_a_later_one_changes_what_it_says() -> None:
    (client,) = merged(BOOTED).values()
    assert client == ClientState(
        MAC,
        "pc1",
        "10.0.0.20",
        "desk",
        "g1",
        "root",
        NOW,
        transport="nfs",
        error="",
        reached=(("root", NOW),),
    )
    (later,) = merged(BOOTED, {"Mac": MAC, "Stage": "login", "LastSeen": NOW + 9}, now=NOW + 9).values()
    assert (later.stage, later.hostname, later.last_seen) == ("login", "pc1", NOW + 9)


def test_stages_that_followed_each_other_at_once_are_all_known() -> None:
    stages = {"network": NOW, "root": NOW + 1, "login": NOW + 2}
    report = {**BOOTED, "Stage": "login", "Stages": stages, "LastSeen": NOW + 2}
    assert merged(report, now=NOW + 2)[MAC].reached == tuple(stages.items())
    # A gateway that was restarted knows only what came since.
    off = {**BOOTED, "Stage": "off", "Stages": {"off": NOW + 9}, "LastSeen": NOW + 9}
    assert merged(report, off, now=NOW + 9)[MAC].reached == (*stages.items(), ("off", NOW + 9))
    assert clients.merge({}, [{**BOOTED, "Stages": {"tftp": 1}}], KNOWN, NOW) == ({}, 1)


def test_an_older_report_says_nothing_and_a_clock_cant_run_ahead() -> None:
    assert merged(BOOTED, {"Mac": MAC, "Stage": "off", "LastSeen": NOW - 1})[MAC].stage == "root"
    assert merged({**BOOTED, "LastSeen": NOW * 2})[MAC].last_seen == NOW


def test_only_images_that_are_here() -> None:
    (client,) = merged({**BOOTED, "Image": "other"}).values()
    assert (client.image, client.generation) == ("", "")


def test_a_reason_belongs_to_a_failure() -> None:
    failed = {**BOOTED, "Stage": "failed", "Error": "no layers."}
    assert merged(failed)[MAC].error == "no layers."
    assert merged(failed, {**BOOTED, "LastSeen": NOW + 1, "Stage": "network"}, now=NOW + 1)[MAC].error == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"Mac": ""}, {"Mac": "52:54:00:00:00:0G"}, {"Mac": "ff:ff:ff:ff:ff:ff"}, {"Mac": 7},
        {"Mac": "00:00:00:00:00:00"}, {"Mac": MAC.upper().replace("54", "AB")}, {"Mac": MAC + "\n"},
        {"Address": "10.0.0.256"}, {"Address": "::1"}, {"Address": "224.0.0.1"}, {"Address": "10.0.0.1\n"},
        {"Hostname": "a b"}, {"Hostname": "-a"}, {"Hostname": "a" * 65}, {"Hostname": "a\n"},
        {"Image": "../x"}, {"Image": "a/b"}, {"Generation": ".g"}, {"Stage": "up"}, {"Transport": "smb"},
        {"Error": "a\nb"}, {"Error": "\x1b[2J"}, {"Error": "\u202eabc"}, {"Error": "x" * (SENTENCE_MOST + 1)},
        {"LastSeen": "now"},
    ],
)  # fmt: skip
def test_what_cant_be_right_is_refused_and_does_no_harm_to_the_others(wrong: Mapping[str, Any]) -> None:
    other = {**BOOTED, "Mac": mac(9)}
    found, refused = clients.merge({}, [{**BOOTED, **wrong}, other], KNOWN, NOW)
    assert refused == 1
    assert list(found) == [mac(9)]


# Text of any kind, and text that begins as each field's own values do.
STARTS = ("", "pci:", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", "NAME", "52:54:00:00:00:0", "10.0.0.")


@pytest.mark.parametrize("field", FIELDS)
@given(start=st.sampled_from(STARTS), text=st.text() | st.text(string.printable))
def test_sound_text_is_harmless(field: str, start: str, text: str) -> None:
    text = start + text
    if is_sound(field, text):
        assert text.isprintable()
        assert len(text) <= (SENTENCE_MOST if field != "pending" else 600)
        # Sentences are for people; all other values mean nothing to a shell, HTML or a path.
        allowed = {"key": " /", "pending": " "}.get(field, "")
        assert field in SENTENCES or not set(text) & (set("/ \"'`$\\<>&;|") - set(allowed))


def test_the_oldest_are_forgotten() -> None:
    reports = [{**BOOTED, "Mac": mac(at), "LastSeen": NOW - at} for at in range(MOST + 5)]
    found, _ = clients.merge({}, reports, KNOWN, NOW)
    assert len(found) == MOST
    assert mac(0) in found
    assert mac(MOST + 4) not in found
    # A new one drives out the oldest, not itself.
    found, _ = clients.merge(found, [{**BOOTED, "Mac": mac(9999)}], KNOWN, NOW)
    assert len(found) == MOST
    assert mac(9999) in found


def test_keys_of_the_bus_are_the_fields() -> None:
    reported = {"Error", "Key", "Kept", "Boot", "Pending", "Card", "Initrd"}
    assert set(ON_THE_BUS.values()) | {"LastSeen"} == set(BOOTED) | reported


@pytest.mark.parametrize(
    ("changes", "age", "expected"),
    [
        ({}, 0, {"g1"}),
        ({"Stage": "network"}, BOOTING - 1, {"g1"}),
        ({}, BOOTING, set()),
        ({"Stage": "login"}, 0, set()),
        ({"Stage": "failed"}, 0, set()),
        ({"Generation": "g2"}, 0, {"g2"}),
        ({"Transport": "http", "Stage": "network"}, 0, {"g1"}),
        ({"Transport": "http"}, 0, set()),
    ],
)
def test_a_generation_that_is_being_booted_is_in_use(
    changes: Mapping[str, Any], age: int, expected: set[str]
) -> None:
    found = merged({**BOOTED, **changes}).values()
    assert clients.generations_in_use(image("g1", "g2"), found, NOW + age) == expected
    assert clients.generations_in_use(image("g3"), found, NOW) == frozenset()


def test_clients_that_cant_boot_are_problems_for_a_day() -> None:
    found = merged({**BOOTED, "Stage": "failed", "Error": "no root."}).values()
    (problem,) = clients.problems(found, NOW)
    assert str(problem) == f"client pc1: failed to boot: no root. 'ltspctl client show {MAC}' tells more."
    assert clients.problems(found, NOW + FAILING) == ()
    assert clients.problems(merged(BOOTED).values(), NOW) == ()


def test_clients_that_run_short_of_something_are_problems_until_they_say_that_it_is_over() -> None:
    short = {**BOOTED, "Stage": "login", "Error": "its RAM is full."}
    (problem,) = clients.problems(merged(short).values(), NOW)
    assert str(problem) == f"client pc1: is up, but: its RAM is full. 'ltspctl client show {MAC}' tells more."
    assert clients.problems(merged(short, {**short, "Error": ""}).values(), NOW) == ()
    assert clients.problems(merged(short, {**short, "Stage": "off"}).values(), NOW) == ()


def test_many_that_cant_boot_dont_fill_the_screen() -> None:
    failed = [{**BOOTED, "Mac": mac(at), "Hostname": "", "Stage": "failed"} for at in range(30)]
    lines = [str(each) for each in clients.problems(merged(*failed).values(), NOW)]
    assert len(lines) == PROBLEMS_MOST + 1
    assert lines[0].startswith(f"client {mac(0)}: failed to boot: it gave no reason.")
    assert lines[-1].startswith("clients: 20 more")


def test_a_connection_says_that_a_client_is_there() -> None:
    found = merged({**BOOTED, "Stage": "login"})
    here = frozenset({"10.0.0.20"})
    assert clients.connected(found, here, NOW + FRESH)[MAC].last_seen == NOW
    assert clients.connected(found, here, NOW + FRESH + 1)[MAC].last_seen == NOW + FRESH + 1
    assert clients.connected(found, frozenset(), NOW + 2 * FRESH)[MAC].last_seen == NOW


def test_connections_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    # 10.0.0.1:2049 <- 10.0.0.20 established, and listening; 10.0.0.1:22 <- 10.0.0.21.
    (net / "tcp").write_text(
        head
        + "   0: 0100000A:0801 1400000A:D2F0 01 00000000:00000000\n"
        + "   1: 00000000:0801 00000000:0000 0A 00000000:00000000\n"
        + "   2: 0100000A:0016 1500000A:D2F0 01 00000000:00000000\n"
    )
    # nfs-ganesha listens for IPv6 and has its IPv4 clients there, mapped; another one has real IPv6.
    (net / "tcp6").write_text(
        head
        + "   0: 0000000000000000FFFF00000100000A:0801 0000000000000000FFFF00001600000A:0301 01 0:0\n"
        + "   1: 000080FE00000000FF005450FEFFB1AE:2A39 000080FE00000000FF005450FEFFB1AF:0301 01 0:0\n"
    )
    assert connected(Paths(tmp_path)) == {"10.0.0.20", "10.0.0.22"}
    assert connected(Paths(tmp_path / "nowhere")) == frozenset()
