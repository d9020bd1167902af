"""The service on a real bus: objects, properties, signals, errors, the end."""

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from dbus_next import Message, MessageFlag, Variant

from ltspd.api.contract import contract, tree
from ltspd.api.service import Service
from ltspd.api.standard import STANDARD
from ltspd.dbus import connection
from ltspd.dbus.connection import BusError, Connection
from ltspd.errors import ToolFailed
from ltspd.model.network import LinkState
from ltspd.model.state import ConfigFinding, ServerState
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from tests.bus.documents import declared, parse
from tests.patience import PATIENCE
from tests.worlds.bus import Signals, ask, end_bus, get_all, start_bus
from tests.worlds.bus_fakes import STATE, FakeServer

PROPERTIES = "org.freedesktop.DBus.Properties"
IMAGE = object_path("image", "x86_64")
TEXT, YES = Variant("s", ""), Variant("b", True)
STANDARD_ERROR = "org.freedesktop.DBus.Error."
DBUS_ERROR = "org.freedesktop.DBus.Error"
OUR_ERROR = STEM + ".Error."

pytestmark = pytest.mark.usefixtures("service")


async def test_live_introspection_equals_the_contract(client: Connection) -> None:
    for path, interfaces in tree(STATE).items():
        (document,) = await ask(client, "org.freedesktop.DBus.Introspectable", "Introspect", path=path)
        live = parse(document)
        for name in interfaces:
            assert live[name] == declared(contract()[name])
        manager = {"org.freedesktop.DBus.ObjectManager"} if path == ROOT_PATH else set()
        usual = set(STANDARD) - {"org.freedesktop.DBus.ObjectManager"}
        assert set(live) == set(interfaces) | usual | manager


async def test_a_walk_by_introspection_finds_every_object(client: Connection) -> None:
    found, ahead = set(), ["/"]
    while ahead:
        path = ahead.pop()
        (document,) = await ask(client, "org.freedesktop.DBus.Introspectable", "Introspect", path=path)
        if any(name.startswith(STEM) for name in parse(document)):
            found.add(path)
        children = ElementTree.fromstring(document).findall("node")
        ahead += [path.rstrip("/") + "/" + each.attrib["name"] for each in children]
    assert found == set(tree(STATE))


async def test_managed_objects_are_all_but_the_root(client: Connection) -> None:
    (found,) = await ask(client, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    assert set(found) == set(tree(STATE)) - {ROOT_PATH}
    image = found[IMAGE][interface("Image")]
    assert image["Size"] == Variant("t", 1050)
    first = image["Generations"].value[0]
    assert first["Id"] == Variant("s", "g1")
    assert first["Created"] == Variant("t", 1_700_000_000_500_000)
    assert first["Size"] == Variant("t", 1050)


async def test_get_and_get_all_agree(client: Connection) -> None:
    for name, value in (await get_all(client, "Manager")).items():
        (single,) = await ask(client, PROPERTIES, "Get", "ss", interface("Manager"), name)
        assert single == Variant(contract()[interface("Manager")].by_name[name].signature, value)


@pytest.mark.parametrize(
    ("path", "name", "member", "signature", "body", "error"),
    [
        (ROOT_PATH, PROPERTIES, "Set", "ssv", [interface("Manager"), "State", TEXT], "PropertyReadOnly"),
        (ROOT_PATH, PROPERTIES, "Set", "ssv", [interface("Manager"), "No", TEXT], "UnknownProperty"),
        (ROOT_PATH, PROPERTIES, "Get", "ss", [interface("Manager"), "No"], "UnknownProperty"),
        (ROOT_PATH, PROPERTIES, "Get", "ss", [interface("Image"), "Name"], "UnknownInterface"),
        (ROOT_PATH, PROPERTIES, "GetAll", "s", ["a.b"], "UnknownInterface"),
        (ROOT_PATH, PROPERTIES, "Get", "s", ["a.b"], "InvalidArgs"),
        (ROOT_PATH, interface("Manager"), "No", "", [], "UnknownMethod"),
        (ROOT_PATH, interface("Manager"), "Reload", "s", ["x"], "InvalidArgs"),
        (ROOT_PATH, interface("Image"), "Build", "a{sv}", [{}], "UnknownInterface"),
        (ROOT_PATH + "/image/no", interface("Image"), "Build", "a{sv}", [{}], "UnknownObject"),
        (ROOT_PATH + "/image", PROPERTIES, "GetAll", "s", [""], "UnknownInterface"),
        ("/else", "org.freedesktop.DBus.Peer", "Ping", "", [], "UnknownObject"),
    ],
)  # fmt: skip
async def test_standard_errors(
    client: Connection, path: str, name: str, member: str, signature: str, body: list[object], error: str
) -> None:
    with pytest.raises(BusError) as caught:
        await connection.call(client, STEM, path, name, member, signature, body)
    assert caught.value.name == STANDARD_ERROR + error


async def test_peer(client: Connection) -> None:
    peer = "org.freedesktop.DBus.Peer"
    assert await ask(client, peer, "Ping", path="/org") == []
    (machine,) = await ask(client, peer, "GetMachineId")
    assert len(machine) == 32


async def test_a_call_without_interface_finds_the_method(client: Connection, server: FakeServer) -> None:
    reply = await client.request(Message(destination=STEM, path=ROOT_PATH, member="Reload"), 5)
    assert reply.error_name is None
    assert server.calls == [("reload",)]


async def test_methods_reach_the_server(client: Connection, server: FakeServer) -> None:
    (image,) = await ask(client, "Manager", "GetImage", "s", "x86_64")
    assert image == IMAGE
    await ask(client, "Manager", "Apply", "a{sv}", {"force": Variant("b", True)})
    await ask(client, "Manager", "PackagesChanged")
    await ask(client, "Image", "Remove", "s", "g1", path=IMAGE)
    await ask(client, "Image", "Keep", "sb", "g1", True, path=IMAGE)
    (text,) = await ask(client, "Output", "Preview", path=object_path("output", "dnsmasq"))
    assert text == "--- dnsmasq\n+ a line\n"
    assert server.calls == [
        ("apply", True),
        ("packages",),
        ("remove", "x86_64", "g1"),
        ("keep", "x86_64", "g1", True),
    ]


@pytest.mark.parametrize(
    ("noun", "path", "member", "signature", "body", "error"),
    [
        ("Manager", ROOT_PATH, "GetImage", "s", ["nope"], "NoSuchImage"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["nope", {}], "NoSuchSource"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", [".etc", {}], "InvalidName"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["", {}], "InvalidName"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["x86_64", {"no": YES}], "InvalidOption"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["x86_64", {"background": TEXT}], "InvalidOption"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["x86_64", {"full": TEXT}], "InvalidOption"),
        ("Manager", ROOT_PATH, "BuildImage", "sa{sv}", ["x86_64", {"kernel": YES}], "InvalidOption"),
        ("Image", IMAGE, "Build", "a{sv}", [{"Full": YES}], "InvalidOption"),
        ("Image", IMAGE, "Keep", "sb", ["g9", True], "NoSuchGeneration"),
        ("Manager", ROOT_PATH, "Apply", "a{sv}", [{"force": Variant("u", 1)}], "InvalidOption"),
        ("Image", IMAGE, "Revert", "s", ["g9"], "NoSuchGeneration"),
        ("Image", IMAGE, "Remove", "s", ["g2"], "InUse"),
    ],
)  # fmt: skip
async def test_our_errors(
    client: Connection, noun: str, path: str, member: str, signature: str, body: list[object], error: str
) -> None:
    with pytest.raises(BusError) as caught:
        await ask(client, noun, member, signature, *body, path=path)
    assert caught.value.name == OUR_ERROR + error
    assert caught.value.message.endswith((".", "yet", "current"))


async def test_an_unforeseen_error_shows_no_traceback(
    client: Connection, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.crash = ValueError("secret detail")
    with pytest.raises(BusError) as caught:
        await ask(client, "Manager", "Apply", "a{sv}", {})
    assert caught.value.name == OUR_ERROR + "Failed"
    assert "secret" not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert "secret detail" in caplog.text


async def test_what_the_system_refuses_is_said_with_its_reason(
    client: Connection, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    for number, name in ((errno.ENOSPC, "NoSpace"), (errno.EROFS, "Failed")):
        server.crash = OSError(number, os.strerror(number), "/run/ltspd/x")
        with pytest.raises(BusError, match="/run/ltspd/x") as caught:
            await ask(client, "Manager", "Apply", "a{sv}", {})
        assert caught.value.name == OUR_ERROR + name
    assert "Traceback" not in caplog.text


async def test_changes_come_as_values_and_only_what_changed(client: Connection, server: FakeServer) -> None:
    signals = await Signals(client).subscribe()
    server.set(state=ServerState.ATTENTION)
    server.set(problems=())
    (signal,) = await signals.until("PropertiesChanged")
    assert signal.path == ROOT_PATH
    name, changed, invalidated = signal.body
    assert name == interface("Manager")
    assert changed == {
        "State": Variant("s", "attention"),
        "Problems": Variant("as", []),
        "Revision": Variant("t", STATE.revision + 2),
    }
    assert invalidated == []


async def test_objects_that_come_and_go_are_announced_from_the_manager(
    client: Connection, server: FakeServer
) -> None:
    signals = await Signals(client).subscribe()
    new = LinkState("eth1", 3, "down", (), STATE.links[0].dhcp)
    server.set(links=(new,))
    (added,) = await signals.until("InterfacesAdded")
    (removed,) = await signals.until("InterfacesRemoved")
    assert (added.path, removed.path) == (ROOT_PATH, ROOT_PATH)
    path, interfaces = added.body
    assert path == object_path("link", "eth1")
    assert interfaces[interface("Link")]["Index"] == Variant("i", 3)
    assert removed.body == [object_path("link", "eth0"), [interface("Link")]]
    with pytest.raises(BusError, match="UnknownObject"):
        await get_all(client, "Link", object_path("link", "eth0"))


async def test_publishing_the_same_state_says_nothing(
    client: Connection, server: FakeServer, service: Service
) -> None:
    signals = await Signals(client).subscribe()
    service.publish(server.state)
    await ask(client, "org.freedesktop.DBus.Peer", "Ping")
    assert signals.heard == [] or all(each.message_type.name != "SIGNAL" for each in signals.heard)


async def test_the_life_of_a_job(client: Connection, server: FakeServer) -> None:
    signals = await Signals(client).subscribe()
    (path,) = await ask(client, "Image", "Build", "a{sv}", {"background": Variant("b", True)}, path=IMAGE)
    job = await get_all(client, "Job", path)  # whoever has the path finds the object
    assert (job["Kind"], job["Subject"], job["State"]) == ("build", "x86_64", "running")
    assert server.calls[0][:3] == ("build", "x86_64", {"background": True})
    server.go.set()
    (finished,) = await signals.until("JobFinished")
    assert finished.path == ROOT_PATH
    assert finished.body == [path, "done"]
    of_job = [each for each in signals.heard if each.member == "PropertiesChanged" and each.path == path]
    assert of_job[-1].body[1]["State"] == Variant("s", "done")
    assert signals.heard.index(of_job[-1]) < signals.heard.index(finished)
    assert (await get_all(client, "Job", path))["Result"] == "g3"


async def test_a_failing_job_says_why(client: Connection, server: FakeServer) -> None:
    server.build_error = ToolFailed("mksquashfs ended with status 1: no space")
    signals = await Signals(client).subscribe()
    (path,) = await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    server.go.set()
    (finished,) = await signals.until("JobFinished")
    assert finished.body[1] == "failed"
    assert (await get_all(client, "Job", path))["Error"] == [
        OUR_ERROR + "ToolFailed",
        server.build_error.message,
    ]


async def test_cancel_and_busy(client: Connection) -> None:
    signals = await Signals(client).subscribe()
    (path,) = await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    with pytest.raises(BusError, match="Busy"):
        await ask(client, "Manager", "BuildImage", "sa{sv}", "x86_64", {})
    await ask(client, "Job", "Cancel", path=path)
    (finished,) = await signals.until("JobFinished")
    assert finished.body == [path, "cancelled"]


async def test_no_reply_when_none_is_wanted(client: Connection, server: FakeServer) -> None:
    signals = Signals(client)
    flags = int(MessageFlag.NO_REPLY_EXPECTED)
    await ask(client, "Manager", "Reload", flags=flags)
    await ask(client, "Manager", "NoSuchMethod", flags=flags)
    async with asyncio.timeout(PATIENCE):
        while not server.calls:  # noqa: ASYNC110 (nothing is sent when it is done)
            await asyncio.sleep(0.01)
    await ask(client, "org.freedesktop.DBus.Peer", "Ping")
    assert server.calls == [("reload",)]
    assert signals.heard == []


async def test_text_that_is_not_unicode_is_shown_with_replacements(
    client: Connection, server: FakeServer
) -> None:
    server.set(problems=("a\udce9b\0c",))
    assert (await get_all(client, "Manager"))["Problems"] == ["a?b�c"]


async def test_a_second_daemon_is_refused(bus_address: str, server: FakeServer) -> None:
    second = Service(await connection.connect(bus_address), server)
    with pytest.raises(connection.NoBus, match="another ltspd"):
        await second.start()
    await second.stop()


async def test_stop_answers_what_is_under_way(
    service: Service, client: Connection, server: FakeServer
) -> None:
    server.slow_apply = 30.0
    pending = asyncio.create_task(ask(client, "Manager", "Apply", "a{sv}", {}))
    await server.applying.wait()
    await service.stop()
    with pytest.raises(BusError, match="Stopping"):
        await pending
    await service.wait()


async def test_the_end_of_the_bus_ends_the_wait(tmp_path: Path, server: FakeServer) -> None:
    process, address = start_bus(tmp_path)
    own = Service(await connection.connect(address), server)
    await own.start()
    end_bus(process)
    with pytest.raises(connection.NoBus):
        async with asyncio.timeout(PATIENCE):
            await own.wait()
    own.publish(replace(server.state, revision=99))
    await asyncio.sleep(0)
    await own.stop()


async def test_call_times_out_and_reports_a_lost_connection(client: Connection, server: FakeServer) -> None:
    server.slow_apply = 1.0
    with pytest.raises(BusError, match="NoReply"):
        await ask(client, "Manager", "Apply", "a{sv}", {}, timeout=0.1)
    pending = asyncio.create_task(ask(client, "Manager", "Apply", "a{sv}", {}, timeout=PATIENCE))
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(BusError, match="Disconnected"):
        await pending
    with pytest.raises(BusError, match="Disconnected"):
        await ask(client, "Manager", "Reload")


async def test_many_large_messages_at_once_do_not_break_the_connection(client: Connection) -> None:
    """Each is larger than what a socket takes at once."""
    for size, error in ((60_000, OUR_ERROR + "NoSuchImage"), (1_100_000, f"{DBUS_ERROR}.LimitsExceeded")):
        pings = [ask(client, "Manager", "GetImage", "s", "x" * size) for _ in range(50)]
        results = await asyncio.gather(*pings, return_exceptions=True)
        assert {each.name for each in results if isinstance(each, BusError)} == {error}
        assert len(results) == 50


async def test_a_reply_that_can_not_be_sent_is_an_error_reply(
    client: Connection, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.applier, "preview", lambda output: 5)
    with pytest.raises(BusError, match="failed unforeseen"):
        await ask(client, "Output", "Preview", path=object_path("output", "dnsmasq"))


async def test_settings_are_explained_and_findings_listed(
    service: Service, client: Connection, server: FakeServer
) -> None:
    server.findings = (ConfigFinding("warning", "/etc/ltsp/ltsp.conf", 3, 0, "odd"),)
    host = {"mac": Variant("s", "52:54:00:00:00:01")}
    ((first, code, second, _),) = await ask(client, "Manager", "ExplainConfig", "a{sv}", host)
    assert {name: each.value for name, each in first.items()} == {
        "Name": "HOSTNAME", "Value": "pc01", "File": "/etc/ltsp/ltsp.conf", "Line": 7, "Withheld": False,
        "Code": False,
    }  # fmt: skip
    assert (code["Value"].value, code["Code"].value) == ("$(cat /lang)", True)
    assert (second["Value"].value, second["Withheld"].value) == ("", True)
    ((found,),) = await ask(client, "Manager", "CheckConfig")
    assert (found["Severity"].value, found["Line"].value, found["Message"].value) == ("warning", 3, "odd")
    with pytest.raises(BusError, match="known options: applet, hostname, ip, mac"):
        await ask(client, "Manager", "ExplainConfig", "a{sv}", {"name": Variant("s", "x")})
    assert server.calls == [("explain", {"mac": "52:54:00:00:00:01"}), ("check",)]
