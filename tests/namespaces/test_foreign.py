"""Other people's DHCP servers with the lines that we print for them: what each kind of machine is told."""

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.model.network import Link, LinkKind
from ltspd.outputs import foreign
from tests.lab import answers, releases, rooms
from tests.lab.rooms import DNSMASQ, ISC, KEA
from tests.worlds.planning import programs, world

OURS, THEIRS = "192.168.67.9", "192.168.67.1/24"
SERVERS = [
    (DNSMASQ, releases.DEBIAN_12),
    (DNSMASQ, releases.DEBIAN_13),
    (KEA, releases.DEBIAN_12),
    (KEA, releases.DEBIAN_13),
    (ISC, releases.DEBIAN_12),
]


def lines(server: str) -> str:
    """Return what we print for a server, with our own address on the link."""
    config = load({"/etc/ltsp/ltsp.conf": f"[server]\nDHCP_LINKS=lan0=foreign\n{answers.OWN_WAYS}"})
    link = Link("lan0", 2, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface(f"{OURS}/24"),))
    facts = Facts(
        links=(link,),
        programs=programs("dnsmasq"),
        boot_programs=answers.BOOT_PROGRAMS,
        ways=answers.FOUND,
    )
    return foreign.lines(world(config, facts))["lan0"][server]


@pytest.mark.parametrize(("server", "release"), SERVERS, ids=["-".join(each) for each in SERVERS])
def test_machines_are_sent_to_us(server: str, release: str, tmp_path: Path) -> None:
    conf = f"[server]\nDHCP_SERVER={server}\n"
    data = rooms.theirs(server, lines(server), THEIRS)
    found = {}
    with (
        rooms.room() as room,
        rooms.serving(room.server(THEIRS), release, tmp_path, conf, THEIRS, data),
    ):
        for number, (kind, known) in enumerate(answers.KINDS.items()):
            mac = (
                f"{known.mac[:12]}00:{number:02x}"
                if known.mac.endswith(":")
                else f"52:54:00:0d:00:{number:02x}"
            )
            answer = room.cable.lease(replace(known, mac=mac))
            if kind in answers.FILES:
                assert answer.next_server == OURS, kind
            found[kind] = answers.Told.by(answer)
    assert found == {kind: answers.right(kind, OURS, foreign=True) for kind in answers.KINDS}
