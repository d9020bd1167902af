"""Kea of Debian's next releases with our configuration, and with the leases of a Kea before it."""

from pathlib import Path

import pytest

from tests.lab import answers, releases, rooms
from tests.lab.dhcp import DISCOVER, Machine

CONF = f"""[server]
DHCP_SERVER=kea
DHCP_HOST_a="52:54:00:0d:00:7f 192.168.67.30 pc1"
DHCP_DENY=52:54:11:*
{answers.OWN_WAYS}
"""
ADDRESS = "192.168.67.1/24"


@pytest.mark.parametrize("release", [releases.TESTING, releases.UNSTABLE])
def test_the_next_kea_answers_as_todays_and_knows_its_leases(release: str, tmp_path: Path) -> None:
    stays = Machine(0, mac="52:54:00:0d:ff:01")
    with rooms.room() as room:
        netns = room.server(ADDRESS)
        with rooms.serving(netns, releases.DEBIAN_12, tmp_path, CONF):
            address = room.cable.lease(stays).address
        found = {}
        with rooms.serving(netns, release, tmp_path, CONF):
            for number, (kind, known) in enumerate(answers.KINDS.items()):
                prefix = known.mac if known.mac.endswith(":") else "52:54:00:0d:"
                mac = f"{prefix}00:{number:02x}"
                answer = room.cable.lease(Machine(known.architecture, known.vendor, known.features, mac))
                assert answer.address != address
                found[kind] = answers.Told.by(answer)
            assert room.cable.lease(stays).address == address
            assert room.cable.lease(Machine(0, mac="52:54:00:0d:00:7f")).address == "192.168.67.30"
            ours = room.cable.send(DISCOVER, Machine(0, mac="52:54:11:00:00:01"))
            last = room.cable.send(DISCOVER, stays)
            assert ours not in [of for of, _ in room.cable.heard(last)]
    assert found == {kind: answers.right(kind, "192.168.67.1") for kind in answers.KINDS}
