"""Lease files of three servers: what one reads of another's, and what it makes of its own."""

import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.leases.__main__ import CONFIGURATION, FILES, take_over
from ltspd.leases.formats import Lease, add, merge, parse

NOW = 1_796_000_000
ENDS = NOW + 600
CONF = '{"Dhcp4": {"subnet4": [{"id": 7, "subnet": "192.168.67.0/24"}]}}'
HEADER = (
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context"
)


def lease(number: int, ends: int = ENDS) -> Lease:
    return Lease(IPv4Address(f"192.168.67.{number}"), f"52:54:00:00:00:{number:02x}", ends)


@pytest.mark.parametrize("kind", FILES)
def test_what_is_added_to_a_file_is_read_from_it(kind: str) -> None:
    leases = [lease(20), lease(21, ENDS + 5)]
    text = add(kind, "", leases, CONF)
    assert list(parse(kind, text)) == leases
    assert list(parse(kind, add(kind, text, [lease(22)], CONF))) == [*leases, lease(22)]
    # Of an address that somebody else has now, the new word counts.
    other = Lease(lease(20).address, "52:54:00:00:00:99", ENDS + 9)
    assert {each.address: each for each in parse(kind, add(kind, text, [other], CONF))}[
        other.address
    ] == other


def test_servers_files_as_they_write_them() -> None:
    dnsmasq = f"{ENDS} 52:54:00:00:00:14 192.168.67.20 pc1 ff:00\n{ENDS} x y\nduid 00:01\n"
    kea = f"{HEADER},pool_id\n192.168.67.20,52:54:00:00:00:14,,600,{ENDS},7,0,0,pc1,0,,0\n"
    isc = (
        "# The format\nlease 192.168.67.20 {\n"
        "  starts 1 2026/11/30 02:37:47;\n  ends 1 2026/11/30 10:37:47;\n"
        '  binding state active;\n  hardware ethernet 52:54:00:00:00:14;\n  client-hostname "}\n";\n}\n'
    )
    assert list(parse("dnsmasq", dnsmasq)) == [lease(20)]
    assert list(parse("kea", kea)) == [lease(20)]
    assert list(parse("isc", isc)) == [lease(20, 1796035067)]


def test_a_lease_that_was_given_back_does_not_count() -> None:
    kea = [
        f"192.168.67.20,52:54:00:00:00:14,,{life},{ENDS},7,0,0,,{state},"
        for life, state in ((600, 0), (0, 0))
    ]
    isc = add("isc", "", [lease(20)], CONF)
    files = {
        "kea": parse("kea", "\n".join([HEADER, *kea, ""])),
        "isc": parse("isc", isc + isc.replace("state active", "state free")),
    }
    assert merge(files, "dnsmasq", NOW) == ()


def test_of_two_files_the_later_lease_counts_and_what_is_over_does_not() -> None:
    files = {
        "kea": [lease(20), lease(22)],
        "isc": [lease(20, ENDS + 1), lease(21, NOW)],
        "dnsmasq": [lease(22)],
    }
    assert merge(files, "dnsmasq", NOW) == (lease(20, ENDS + 1), lease(22))
    assert merge(files, "isc", NOW) == (lease(22),)


def test_own_leases_keep_what_only_their_server_knows(tmp_path: Path) -> None:
    dnsmasq, _, kea = FILES["dnsmasq"][0], *FILES["kea"][1:]
    for each in (dnsmasq, kea, CONFIGURATION):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
    own = f"{ENDS} 52:54:00:00:00:14 192.168.67.20 pc1 01:52\n"
    (tmp_path / dnsmasq).write_text(own)
    (tmp_path / kea).write_text(add("kea", "", [lease(21), lease(22)], CONF))
    take_over("dnsmasq", tmp_path, NOW)
    assert (tmp_path / dnsmasq).read_text().splitlines()[0] == own.rstrip()
    assert len((tmp_path / dnsmasq).read_text().splitlines()) == 3
    # And back: Kea's own are one row for each address, in the file that kea-lfc reads.
    (tmp_path / CONFIGURATION).write_text(CONF)
    take_over("kea", tmp_path, NOW)
    assert not (tmp_path / kea).exists()
    rows = (tmp_path / FILES["kea"][0]).read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["192.168.67.21", "192.168.67.22", "192.168.67.20"]


@given(st.sampled_from(list(FILES)), st.text(), st.text())
def test_no_file_is_so_broken_that_a_server_would_not_start(kind: str, begin: str, end: str) -> None:
    good = add(kind, "", [lease(20)], CONF)
    for text in (begin, begin + good + end, good + begin):
        found = merge({kind: parse(kind, text)}, "other", NOW)
        add(kind, text, found, CONF)


@pytest.mark.parametrize("made", ["pipe", "link", "endless"])
def test_what_another_servers_user_may_have_put_there_holds_nobody_up(tmp_path: Path, made: str) -> None:
    place = tmp_path / FILES["isc"][0]
    place.parent.mkdir(parents=True)
    match made:
        case "pipe":
            os.mkfifo(place)
        case "link":
            place.symlink_to("/dev/zero")
        case "endless":
            text = add("isc", "", [lease(20)], "")
            place.write_text(text + add("kea", "", [lease(21)], CONF))
            kea = tmp_path / FILES["kea"][-1]
            kea.parent.mkdir(parents=True)
            row = f"192.168.67.22,52:54:00:00:00:22,,600,{'9' * 20},7,0,0,,0,"
            kea.write_text(f"{HEADER}\n{row}\n")
    take_over("dnsmasq", tmp_path, NOW)
    expected = [lease(20)] if made == "endless" else []
    assert list(parse("dnsmasq", (tmp_path / FILES["dnsmasq"][0]).read_text())) == expected
