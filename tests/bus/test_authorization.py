"""Who may do what: polkit's answer, its absence, a caller that leaves while the dialog is open."""

import asyncio
import os
import pwd
import shutil

import pytest
from dbus_next import MessageFlag

from ltspd.api import polkit
from ltspd.api.noun import BUILD_IMAGE, CONFIGURE, CONTROL_CLIENT, REVERT_IMAGE
from ltspd.api.service import Service
from ltspd.dbus import connection
from ltspd.dbus.connection import BusError, Connection
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from tests.patience import PATIENCE
from tests.worlds.bus import ask, get_all
from tests.worlds.bus_fakes import FakePolkit, FakeServer

INTERACTIVE = int(MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION)
IMAGE = object_path("image", "x86_64")


async def test_polkit_is_asked_about_the_sender_with_the_image_named(
    strict: Service, client: Connection, server: FakeServer, authority: FakePolkit
) -> None:
    authority.allow = {BUILD_IMAGE, REVERT_IMAGE}
    server.go.set()
    await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    await ask(client, "Image", "Revert", "s", "g1", path=IMAGE, flags=INTERACTIVE)
    assert authority.asked == [
        (client.unique_name, BUILD_IMAGE, {"image": "x86_64"}, 0),
        (client.unique_name, REVERT_IMAGE, {"image": "x86_64", "generation": "g1"}, 1),
    ]
    assert server.calls == [
        ("build", "x86_64", {}, os.geteuid()),
        ("revert", "x86_64", "g1"),
    ]


@pytest.mark.parametrize(
    ("word", "action", "details"),
    [
        ("/vm/lab.qcow2", CONFIGURE, {"image": "lab", "source": "/vm/lab.qcow2"}),
        ("/srv/ltsp/lab", CONFIGURE, {"image": "lab", "source": "/srv/ltsp/lab"}),
        ("lab,partition=2", BUILD_IMAGE, {"image": "lab"}),
        ("/,,/boot,subdir=boot", BUILD_IMAGE, {"image": "/"}),
    ],
)
async def test_who_may_build_may_not_bring_in_any_file_of_the_server(
    strict: Service,
    client: Connection,
    server: FakeServer,
    authority: FakePolkit,
    word: str,
    action: str,
    details: dict[str, str],
) -> None:
    authority.allow = {BUILD_IMAGE} - {action}
    with pytest.raises(BusError, match="NotAuthorized"):
        await ask(client, "Manager", "BuildImage", "sa{sv}", word, {})
    assert authority.asked == [(client.unique_name, action, details, 0)]
    assert server.calls == []


async def test_what_polkit_refuses_is_not_done(
    strict: Service,
    client: Connection,
    server: FakeServer,
    authority: FakePolkit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(BusError, match=r"NotAuthorized.*password"):
        await ask(client, "Manager", "Reload")
    with pytest.raises(BusError, match=r"NotAuthorized.*refused"):
        await ask(client, "Manager", "Reload", flags=INTERACTIVE)
    assert server.calls == []
    (_, record) = [each for each in caplog.records if each.name == "ltspd.audit"]
    assert vars(record)["LTSPD_ACTION"] == CONFIGURE
    assert vars(record)["LTSPD_UID"] == str(os.geteuid())
    assert vars(record)["LTSPD_SENDER"] == client.unique_name
    assert vars(record)["LTSPD_RESULT"] == "denied"
    assert vars(record)["LTSPD_REASON"].endswith("you are not authorized (polkit refused).")
    assert vars(record)["LTSPD_METHOD"] == "Manager.Reload"
    assert vars(record)["LTSPD_USER"] == pwd.getpwuid(os.geteuid()).pw_name
    assert vars(record)["LTSPD_SUBJECT"] == "-"


async def test_an_allowed_action_that_fails_leaves_a_second_line(
    service: Service, client: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(BusError, match="InUse"):
        await ask(client, "Image", "Remove", "s", "g2", path=IMAGE)
    records = [vars(each) for each in caplog.records if each.name == "ltspd.audit"]
    assert [each["LTSPD_RESULT"] for each in records] == ["allowed", "failed"]
    assert records[1]["LTSPD_REASON"] == "g2 is current."
    assert {each["LTSPD_SUBJECT"] for each in records} == {"generation 'g2', image 'x86_64'"}
    assert {each["LTSPD_UID"] for each in records} == {str(os.geteuid())}


async def test_every_allowed_action_leaves_one_audit_line(
    service: Service, client: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await ask(client, "Manager", "Reload")
    await ask(client, "Image", "Remove", "s", "g1", path=IMAGE)
    await ask(client, "Image", "Keep", "sb", "g2", True, path=IMAGE)
    lines = [each.getMessage() for each in caplog.records if each.name == "ltspd.audit"]
    assert len(lines) == 3
    assert "generation 'g1', image 'x86_64'" in lines[1]
    assert "generation 'g2', image 'x86_64'" in lines[2]


async def test_reading_needs_nothing(strict: Service, client: Connection, authority: FakePolkit) -> None:
    await ask(client, "Manager", "GetImage", "s", "x86_64")
    await get_all(client, "Manager")
    assert authority.asked == []


async def test_without_polkit_only_trusted_users(
    strict: Service, client: Connection, server: FakeServer
) -> None:
    with pytest.raises(BusError, match=r"NotAuthorized.*only root.*absent"):
        await ask(client, "Manager", "Reload")
    assert server.calls == []


async def test_root_and_our_own_user_are_trusted_by_default(
    service: Service, client: Connection, server: FakeServer, authority: FakePolkit
) -> None:
    await ask(client, "Manager", "Reload")
    assert server.calls == [("reload",)]
    assert authority.asked == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_somebody_else_is_not(service: Service, bus_address: str, server: FakeServer) -> None:
    if not (shutil.which("setpriv") and shutil.which("busctl")):
        pytest.skip("setpriv or busctl is not installed")
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        "busctl", f"--address={bus_address}", "call", STEM, ROOT_PATH, interface("Manager"), "Reload",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert "only root may do this" in stderr.decode()
    assert server.calls == []


async def test_cancel_needs_the_action_that_started_the_job(
    strict: Service, client: Connection, server: FakeServer, authority: FakePolkit
) -> None:
    authority.allow = {BUILD_IMAGE}
    (path,) = await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    await ask(client, "Job", "Cancel", path=path)
    assert authority.asked[-1][1] == BUILD_IMAGE
    assert authority.asked[-1][2]["image"] == "x86_64"
    assert server.calls[-1][0] == "cancel"


async def test_an_object_that_went_while_the_dialog_was_open(
    strict: Service, client: Connection, server: FakeServer, authority: FakePolkit
) -> None:
    authority.allow = {BUILD_IMAGE}
    authority.hold = asyncio.Event()
    pending = asyncio.create_task(ask(client, "Image", "Build", "a{sv}", {}, path=IMAGE))
    await _asked(authority)
    server.set(images=())
    authority.hold.set()
    with pytest.raises(BusError, match="UnknownObject"):
        await pending
    assert server.calls == []


async def test_a_caller_that_vanishes_takes_its_dialog_along(
    strict: Service, bus_address: str, server: FakeServer, authority: FakePolkit
) -> None:
    authority.allow = {CONFIGURE}
    authority.hold = asyncio.Event()
    caller = await connection.connect(bus_address)
    pending = asyncio.create_task(ask(caller, "Manager", "Reload", flags=INTERACTIVE))
    await _asked(authority)
    await caller.close()
    with pytest.raises(BusError):
        await pending
    async with asyncio.timeout(PATIENCE):
        while not authority.cancelled:  # noqa: ASYNC110 (the message arrives on the other connection)
            await asyncio.sleep(0.01)
    authority.hold.set()
    await asyncio.sleep(0.05)
    assert server.calls == []


async def test_what_is_authorized_goes_on_when_the_caller_vanishes(
    service: Service, bus_address: str, client: Connection, server: FakeServer
) -> None:
    caller = await connection.connect(bus_address)
    (path,) = await ask(caller, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    await caller.close()
    assert (await get_all(client, "Job", path))["State"] == "running"
    server.go.set()


async def test_a_polkit_that_never_answers(
    strict: Service,
    client: Connection,
    server: FakeServer,
    authority: FakePolkit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polkit, "CHECK_TIMEOUT", 0.2)
    authority.hold = asyncio.Event()
    with pytest.raises(BusError, match=r"NotAuthorized.*could not decide"):
        await ask(client, "Manager", "Reload")
    # Before a dialog it is asked whether it lives: a person may take minutes, polkit may not.
    authority.dead = True
    with pytest.raises(BusError, match=r"NotAuthorized.*could not decide"):
        await ask(client, "Manager", "Reload", flags=INTERACTIVE)
    assert len(authority.asked) == 1
    assert server.calls == []
    authority.hold.set()


async def _asked(authority: FakePolkit) -> None:
    async with asyncio.timeout(PATIENCE):
        while not authority.asked:  # noqa: ASYNC110 (the message arrives on the other connection)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("method", "body"), [("Approve", ("s", "SHA256:x")), ("Forget", ())])
async def test_who_may_switch_a_room_off_may_not_say_who_a_client_is(
    strict: Service,
    client: Connection,
    server: FakeServer,
    authority: FakePolkit,
    method: str,
    body: tuple[str, ...],
) -> None:
    """A rule sees what is asked for by the verb, and there is no room that it could allow."""
    path = object_path("client", "52:54:00:00:00:01")
    with pytest.raises(BusError, match="NotAuthorized"):
        await ask(client, "Client", method, *body, path=path)
    assert server.calls == []
    authority.allow = {CONTROL_CLIENT}
    await ask(client, "Client", method, *body, path=path)
    told = {"client": "pc01", "mac": "52:54:00:00:00:01", "verb": method.lower()}
    assert authority.asked == [(client.unique_name, CONTROL_CLIENT, told, 0)] * 2
    assert server.calls == [(method.lower(), "52:54:00:00:00:01", *body[1:])]
