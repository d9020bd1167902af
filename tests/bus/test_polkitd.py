"""The policy file and the details, against the real polkitd on the private bus (its own mount namespace)."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltspd.api import polkit
from ltspd.dbus.connection import Connection, call, daemon_call
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.bus import ask
from tests.worlds.bus_fakes import FakeServer

POLKITD = Path("/usr/lib/polkit-1/polkitd")
POLICY = REPOSITORY / "polkit" / f"{STEM}.policy"
NOBODY = 65534
# A site's rule: nobody may build x86_64, and nothing else.
RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.ltsp.Server1.build-image" && action.lookup("image") == "x86_64"
        && subject.user == "nobody") return polkit.Result.YES;
});
"""
# The rule of docs/control.md, for a user that is here.
PAGE = (REPOSITORY / "docs/control.md").read_text()
TEACHER = PAGE.partition("```js\n")[2].partition("```")[0].replace('"ada"', '"nobody"')
START = """
mount --bind "$1" /usr/share/polkit-1/actions
mount --bind "$2" /etc/polkit-1/rules.d
exec "$3" --no-debug
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0
    or not POLKITD.exists()
    or not Path("/etc/polkit-1/rules.d").is_dir()
    or not all(map(shutil.which, ("unshare", "setpriv", "busctl"))),
    reason="needs root, polkitd, unshare, setpriv and busctl",
)


@pytest.fixture
async def polkitd(
    tmp_path_factory: pytest.TempPathFactory, bus_address: str, client: Connection
) -> AsyncIterator[None]:
    actions, rules = tmp_path_factory.mktemp("actions"), tmp_path_factory.mktemp("rules")
    shutil.copy(POLICY, actions)
    (rules / "50-site.rules").write_text(RULE)
    (rules / "60-teacher.rules").write_text(TEACHER)
    for folder in (actions, rules):
        folder.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "--propagation", "private",
        "sh", "-euc", START, "sh", str(actions), str(rules), str(POLKITD),
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not (await daemon_call(client, "NameHasOwner", "s", [polkit.NAME]))[0]:
                assert process.returncode is None, "polkitd did not start"
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def nobody_calls(
    address: str, member: str, *arguments: str, path: str = ROOT_PATH, noun: str = "Manager"
) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        "busctl", f"--address={address}", "call", STEM, path, interface(noun), member, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


@pytest.mark.usefixtures("polkitd", "service")
async def test_a_site_rule_decides_by_the_name_of_the_image(bus_address: str, server: FakeServer) -> None:
    server.go.set()
    status, text = await nobody_calls(bus_address, "BuildImage", "sa{sv}", "x86_64", "0")
    assert (status, text[:24]) == (0, 'o "/org/ltsp/Server1/job')
    assert server.calls == [("build", "x86_64", {}, NOBODY)]
    status, text = await nobody_calls(bus_address, "BuildImage", "sa{sv}", "other", "0")
    assert status == 1
    assert "build-image: you are not authorized (a password is needed, and no agent" in text
    status, text = await nobody_calls(bus_address, "Reload")
    assert status == 1
    assert "configure: you are not authorized (a password is needed, and no agent" in text
    assert len(server.calls) == 1


@pytest.mark.usefixtures("polkitd", "service")
async def test_nobody_reads_or_changes_ltsp_conf_without_being_allowed_to(
    bus_address: str, server: FakeServer
) -> None:
    for call_ in (
        ("ReadConfig", "a{sv}", "0"),
        ("SaveConfig", "ss", "A=1", "11-2-16"),
        ("CheckText", "s", ""),
    ):
        status, text = await nobody_calls(bus_address, *call_)
        assert (status, "edit-config: you are not authorized" in text) == (1, True), text
    assert server.calls == []


@pytest.mark.usefixtures("polkitd", "service")
@pytest.mark.parametrize(
    ("verb", "name", "allowed"),
    [
        ("reboot", "lab1", True),
        ("wake", "room:lab1", True),
        ("logout", "pc01", True),
        # pc02 is in no room; hall is another one, and pc01 is in both.
        ("logout", "pc02", False),
        ("reboot", "hall", False),
        ("reboot", "*", False),
    ],
)
async def test_the_rule_of_the_page_makes_a_teacher_master_of_one_room(
    bus_address: str, server: FakeServer, verb: str, name: str, allowed: bool
) -> None:
    order = ("OrderClients", "sasa{sv}", verb, "1", name, "0")
    status, text = await nobody_calls(bus_address, *order)
    assert (status == 0, bool(server.calls)) == (allowed, allowed), text
    assert allowed or "control-client: you are not authorized" in text
    # To approve a client's key is no matter of a room.
    path = object_path("client", "52:54:00:00:00:01")
    status, text = await nobody_calls(bus_address, "Forget", path=path, noun="Client")
    assert status == 1
    assert "control-client: you are not authorized" in text


@pytest.mark.usefixtures("polkitd", "service")
async def test_a_teacher_may_ask_what_is_allowed_before_it_is_tried(
    bus_address: str, server: FakeServer
) -> None:
    pc01, pc02 = (object_path("client", f"52:54:00:00:00:0{number}") for number in (1, 2))
    order = ("Order", "2", "s", "reboot", "a{sv}", "0")
    calls = ("4", pc01, *order, pc02, *order, pc01, "Forget", "0", ROOT_PATH, "Reload", "0")
    status, text = await nobody_calls(bus_address, "MayCall", "a(osav)", *calls)
    assert (status, text.strip()) == (0, "ab 4 true false false false")
    assert server.calls == []


@pytest.mark.usefixtures("polkitd", "strict")
async def test_polkitd_knows_every_action_and_always_allows_root(
    client: Connection, server: FakeServer
) -> None:
    await ask(client, "Manager", "Reload")
    assert server.calls == [("reload",)]
    (known,) = await call(client, polkit.NAME, polkit.PATH, polkit.INTERFACE, "EnumerateActions", "s", [""])
    # Implicit authorizations as polkit numbers them: 2 auth_admin, 4 auth_admin_keep.
    defaults = {action[0]: tuple(action[6:9]) for action in known}
    verbs = ("build-image", "revert-image", "configure", "control-client", "edit-config")
    assert defaults == {f"{STEM}.{verb}": (2, 2, 4) for verb in verbs}
