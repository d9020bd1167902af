"""Where a machine's boot stopped, and what it means: each case from the steps that were heard."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from ltspd.clients.seen import SECOND
from ltspd.doctor.client import Surroundings, about, unknown
from ltspd.model.client import ClientState, Seen, Step, Word
from ltspd.model.finding import Finding, Severity
from ltspd.model.network import DhcpRole, Network, ServedLink

NOW = 1_700_000_000 * SECOND
LATER = NOW + 3600 * SECOND
MAC, OURS, RIVAL, PROGRAM = "52:54:00:00:00:01", "192.168.67.1", "192.168.67.9", "ltsp/snponly.efi"
REAL = ServedLink(
    "lan0",
    IPv4Interface("192.168.67.1/24"),
    DhcpRole.REAL,
    IPv4Address("192.168.67.20"),
    IPv4Address("192.168.67.29"),
)
PROXY = replace(REAL, role=DhcpRole.PROXY, first=None, last=None)
AROUND = Surroundings(
    Network((REAL,)),
    frozenset({OURS}),
    files=frozenset({PROGRAM}),
    bootable=frozenset({0, 7, 9}),
    images=("bookworm",),
)
ASKED = Step(NOW, Word.DISCOVER, text="PXEClient:7", last=NOW)
OFFERED = Step(NOW, Word.OFFER, OURS, "192.168.67.20", PROGRAM, last=NOW)
TOOK = Step(NOW, Word.REQUEST, OURS, "192.168.67.20", last=NOW)
LEASED = Step(NOW, Word.LEASE, OURS, "192.168.67.20", PROGRAM, last=NOW)
FETCHED = Step(NOW, Word.FETCH, OURS, text=PROGRAM, last=NOW)
IPXE = Step(NOW, Word.DISCOVER, text="iPXE:7", last=NOW)


def client(stage: str, *steps: Step, architecture: int = 7, **values: Any) -> ClientState:
    file = next((each.text for each in reversed(steps) if each.word in (Word.OFFER, Word.LEASE)), "")
    server = next((each.server for each in reversed(steps) if each.word in (Word.OFFER, Word.LEASE)), "")
    seen = Seen(MAC, "lan0", architecture, "PXEClient", stage, server, file, at=NOW, steps=steps)
    return ClientState(MAC, stage=stage, last_seen=NOW, seen=seen, **values)


def last(case: ClientState, around: Surroundings = AROUND) -> Finding:
    found = about(case, around, LATER)
    assert [each.severity for each in found[:-1]] == [Severity.INFO] * (len(found) - 1)
    return found[-1]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Network((REAL,), denied=("52:54:00:*",)), "denies its MAC"),
        (Network((REAL,), allowed=("02:*",)), "allows others only"),
        (Network(()), "lan0 is not served"),
        (Network((REAL,)), "a firewall drops UDP port 67"),
    ],
)
def test_a_discover_without_an_answer(network: Network, said: str) -> None:
    found = last(client("discover", ASKED), replace(AROUND, network=network))
    assert said in found.cause
    assert found.step


def test_no_address_is_left() -> None:
    found = last(client("discover", ASKED), replace(AROUND, leases=10))
    assert "all 10 addresses of 192.168.67.20-192.168.67.29 are given" in found.cause


def test_firmware_that_nothing_is_installed_for() -> None:
    proxied = replace(AROUND, network=Network((PROXY,)))
    assert (
        "no boot program for UEFI, ARM 64 bits"
        in last(client("discover", ASKED, architecture=11), proxied).cause
    )
    given = LEASED._replace(text="")
    assert "no boot program for" in last(client("lease", ASKED, given, architecture=11)).cause


@pytest.mark.parametrize(
    ("stage", "steps", "said"),
    [
        ("offer", (OFFERED, TOOK._replace(server=RIVAL)), f"another DHCP server answered it: {RIVAL}"),
        ("offer", (OFFERED, OFFERED._replace(server=RIVAL)), RIVAL),
        ("offer", (OFFERED,), "did not take the offer"),
        ("lease", (OFFERED, TOOK, LEASED._replace(server=RIVAL)), RIVAL),
        ("lease", (OFFERED, TOOK, LEASED), f"was told to fetch {PROGRAM} and has not asked"),
        ("lease", (OFFERED._replace(text=""), LEASED._replace(text="")), "was told nothing to boot"),
        ("tftp", (LEASED, FETCHED._replace(text="pxelinux.0")), "there is no such file"),
        ("tftp", (LEASED, FETCHED._replace(times=6)), "asked 6 times"),
        ("tftp", (LEASED, FETCHED), "that did not run"),
        ("tftp", (LEASED, FETCHED, IPXE), "iPXE runs"),
    ],
)
def test_where_it_stopped(stage: str, steps: tuple[Step, ...], said: str) -> None:
    found = last(client(stage, ASKED, *steps))
    assert said in found.cause
    assert (found.severity, bool(found.step)) == (Severity.ERROR, True)


@pytest.mark.parametrize(
    ("stage", "steps"),
    [("tftp", (LEASED, FETCHED)), ("lease", (LEASED._replace(text="http://192.168.67.1/ltsp/snponly.efi"),))],
)
def test_where_secure_boot_is_likely_its_way_is_named(stage: str, steps: tuple[Step, ...]) -> None:
    assert "BOOT_WAY=shim" in last(client(stage, ASKED, *steps)).step
    # There is none for ARM.
    told = last(client(stage, ASKED, *steps, architecture=11)).step
    assert "BOOT_WAY" not in told
    assert "Secure Boot off" in told


def test_nobody_gives_addresses_beside_us() -> None:
    found = last(
        client("offer", ASKED, OFFERED._replace(address="")), replace(AROUND, network=Network((PROXY,)))
    )
    assert "nobody was heard to give it an address" in found.cause


def test_what_it_reported_itself_counts_most() -> None:
    assert "no root: server is away" in last(client("failed", ASKED, error="no root: server is away")).cause
    assert last(client("login", ASKED)).severity is Severity.INFO
    assert "root (nfs) was not mounted" in last(client("network", ASKED, transport="nfs")).cause
    assert "image test desk" in last(client("root", ASKED, image="desk")).step


def test_a_machine_that_does_something_now_is_left_alone() -> None:
    assert "under way" in about(client("tftp", ASKED), AROUND, NOW + SECOND)[-1].cause


def test_each_step_is_told_and_earlier_attempts_are_not() -> None:
    old = FETCHED._replace(at=NOW - 3600 * SECOND, last=NOW - 3600 * SECOND)
    found = about(client("tftp", old, ASKED, OFFERED, TOOK, LEASED, FETCHED._replace(times=2)), AROUND, LATER)
    told = [each.cause for each in found[:-1]]
    assert len(told) == 5
    for text, part in zip(
        told, ("firmware (UEFI)", "this server offered", "took", "gave", "(2 times)"), strict=True
    ):
        assert part in text


def test_a_machine_that_was_never_heard() -> None:
    (found,) = unknown(MAC, AROUND.network)
    assert "it listens on lan0" in found.cause


def test_boots_that_failed_are_told() -> None:
    case = client("tftp", ASKED, LEASED, FETCHED, way="shim", failed=2)
    *told, _ = about(case, AROUND, LATER)
    assert told[-1].cause == "its last boots, 2 in a row, have failed with the boot program of BOOT_WAY=shim."


def test_a_machine_that_was_not_answered_because_serving_is_off() -> None:
    off = replace(AROUND, network=Network((REAL,), serving=False))
    found = last(client("discover", ASKED), off)
    assert (found.cause, found.step) == ("serving is off, so it was not answered.", "'ltspctl serve on'.")
    # What runs goes on.
    assert last(client("login", ASKED), off).severity is Severity.INFO
