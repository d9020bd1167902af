"""A packet filter's rules, put into force and undone by the real nft in a network of the test's own."""

import subprocess
from collections.abc import Iterator

import pytest

from ltspd.apply import Applier
from ltspd.model.output import Command, File, Output, OutputState
from ltspd.paths import Paths
from tests.worlds.applying import FakeSystemd, apply, fresh

pytestmark = pytest.mark.lab

PATH = "/var/lib/ltspd/outputs/rules.nft"
TABLE = "inet ltspd_test"
# nft takes a file as a whole or not at all; the first two lines make it replace what is there.
RULES = """table inet ltspd_test
delete table inet ltspd_test
table inet ltspd_test {
    chain after {
        type nat hook postrouting priority srcnat
        oifname "NAME" masquerade
    }
}
"""


@pytest.fixture
def network() -> Iterator[str]:
    name = "ltspd-activation"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def rules(network: str, name: str, *, wanted: bool = True) -> Output:
    nft = ("ip", "netns", "exec", network, "nft")
    undo = f"add table {TABLE}; delete table {TABLE}"
    return Output(
        "rules",
        (File(PATH, RULES.replace("NAME", name).encode()),),
        activation=Command((*nft, "-f", "{}"), (*nft, undo)),
        check=(*nft, "--check", "-f", "{}"),
        wanted=wanted,
    )


def in_force(network: str) -> str:
    argv = ["ip", "netns", "exec", network, "nft", "list", "ruleset"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


async def test_rules_are_in_force_while_they_are_wanted(network: str, paths: Paths) -> None:
    systemd = FakeSystemd()
    applier = fresh(paths, systemd)
    assert (await apply(applier, rules(network, "up0"))).state is OutputState.IN_SYNC
    assert 'oifname "up0" masquerade' in in_force(network)
    assert (await apply(applier, rules(network, "up1"))).state is OutputState.IN_SYNC
    assert in_force(network).count("masquerade") == in_force(network).count("up1") == 1

    refused = await apply(applier, rules(network, 'up2" and so on'))
    assert refused.state is OutputState.FAILED
    assert "syntax error" in refused.message
    assert 'oifname "up1" masquerade' in in_force(network)

    # As after a reboot: a new daemon, and nothing in force.
    forget(network)
    again = fresh(paths, systemd)
    assert (await apply(again, rules(network, "up1"))).state is OutputState.IN_SYNC
    assert 'oifname "up1" masquerade' in in_force(network)
    assert (await apply(again, rules(network, "up1", wanted=False))).state is OutputState.DISABLED
    assert in_force(network) == ""


@pytest.mark.parametrize("there", [True, False])
async def test_a_release_that_knows_nothing_of_them_undoes_them(
    network: str, paths: Paths, there: bool
) -> None:
    systemd = FakeSystemd()
    await apply(fresh(paths, systemd), rules(network, "up0"))
    if not there:
        forget(network)
    later: Applier = fresh(paths, systemd)
    await later.apply([])
    assert (later.left, in_force(network), paths.at(PATH).exists()) == ((), "", False)


def forget(network: str) -> None:
    subprocess.run(["ip", "netns", "exec", network, "nft", "flush", "ruleset"], check=True)
