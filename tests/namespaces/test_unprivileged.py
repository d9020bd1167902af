"""Somebody without rights: changes are refused, or allowed by a rule, and audited; nothing read is secret."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ltspd.api.contract import NOUNS
from ltspd.api.noun import Method
from tests.lab import product
from tests.lab.product import settled
from tests.lab.server import Server
from tests.lab.units import cursor, said, show

pytestmark = pytest.mark.lab

RULES = "/etc/polkit-1/rules.d/50-teachers.rules"
PUPIL, TEACHER = "flood-pupil", "flood-teacher"
SECRETS = ("verysecret", "$6$salt$hash")
RULE = f"""polkit.addRule(function(action, subject) {{
    if (action.id.indexOf("org.ltsp.Server1.") == 0 && subject.user == "{TEACHER}") return polkit.Result.YES;
}});
"""
# Calls every method once, with arguments that do no harm; prints the error's name of each, or "done".
EVERY_METHOD = """import json, sys
sys.path.insert(0, "/usr/lib/ltspd")
from ltspd.api.contract import NOUNS
from ltspd.api.noun import arguments, signature
from ltspd.dbus.caller import CallError, Client
client, found = Client(), {}
(objects,) = client.call("/org/ltsp/Server1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
values = {"s": "none", "a{sv}": {}, "b": False, "u": 0, "t": 0, "as": [], "a(osav)": []}
# polkit is told of the first two, so they are looked at before anybody is asked. The last changes nothing.
values |= {"verb": "reboot", "clients": ["*"], "on": True}
for noun, method in ((noun, method) for noun in NOUNS for method in noun.methods):
    interface, member = noun.name, method.name
    paths = sorted(path for path, have in objects.items() if interface in have)
    if interface.endswith(".Image"):
        paths = [path for path in paths if path.endswith("/bookworm")]
    if interface.endswith(".Manager"):
        paths = ["/org/ltsp/Server1"]
    if not paths:
        continue
    body = [values.get(each.name, values[each.signature]) for each in arguments(method.inputs)]
    try:
        client.call(paths[0], interface, member, signature(method.inputs), body, timeout=600)
        found[interface + "." + member] = "done"
    except CallError as error:
        found[interface + "." + member] = error.name
print(json.dumps(found))
"""
# Prints everything that can be read.
EVERYTHING = """import sys
sys.path.insert(0, "/usr/lib/ltspd")
from ltspd.dbus.caller import Client
client = Client()
(objects,) = client.call("/org/ltsp/Server1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
for path, interfaces in {**objects, "/org/ltsp/Server1": {"org.ltsp.Server1.Manager": {}}}.items():
    print(path, client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect"))
    for name in interfaces:
        print(client.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", [name]))
"""
# Sends thousands of calls without waiting, from several connections that vanish, then huge ones.
FLOOD = """import os, random, socket, sys, time
sys.path.insert(0, "/usr/lib/ltspd")
from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client
STEM, ROOT, MANAGER = "org.ltsp.Server1", "/org/ltsp/Server1", "org.ltsp.Server1.Manager"
properties = ("org.freedesktop.DBus.Properties", "GetAll", "s", [MANAGER])
def flood(count, what, flags=1):
    client = Client()
    for at in range(0, count, 500):
        calls = [wire.call(n + 1000, STEM, ROOT, *what, flags) for n in range(at, at + 500)]
        client._socket.settimeout(600)
        client._socket.sendall(b"".join(calls))
    client.close()
flood(20000, properties)
flood(20000, ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", []))
for _ in range(10):
    flood(500, (MANAGER, "Reload", "", []))
    flood(500, (MANAGER, "BuildImage", "sa{sv}", ["bookworm", {}]))
watchers = [Client() for _ in range(100)]
for watcher in watchers:
    watcher.subscribe("type='signal',sender='org.ltsp.Server1'")
client = Client()
for size in (1100000, 5000000, 20000000):
    try:
        client.call(ROOT, MANAGER, "GetImage", "s", ["x" * size], timeout=600)
        raise SystemExit("it was taken")
    except CallError as error:
        assert "LimitsExceeded" in error.name, error
print(client.call(ROOT, *properties, timeout=600)[0]["Version"])
"""

METHODS = {
    f"{noun.name}.{each.name}": each for noun in NOUNS for each in noun.methods if isinstance(each, Method)
}


@pytest.fixture(scope="module")
def people(server: Server) -> Iterator[None]:
    """Have two ordinary people on the server; a rule lets one of them do everything."""
    try:
        server.run(f"useradd {PUPIL} && useradd {TEACHER}")
        server.write(RULES, RULE)
        for name, text in (("methods", EVERY_METHOD), ("everything", EVERYTHING), ("flood", FLOOD)):
            server.write(f"/run/{name}.py", text)
        product.build(server, "bookworm")
        yield
    finally:
        server.run(
            f"userdel {PUPIL}; userdel {TEACHER}; rm -f {RULES} /run/methods.py /run/flood.py", check=False
        )


def run_as(server: Server, user: str, program: str, timeout: float = 180) -> str:
    return server.run(f"runuser -u {user} -- python3 /run/{program}.py", timeout=timeout)


def audited(server: Server, user: str, began: str) -> list[dict[str, Any]]:
    """Return the audit lines about somebody since a cursor of the journal."""
    uid = server.run(f"id -u {user}").strip()
    # journalctl leaves the first line out if it is told to match and the cursor's own line doesn't.
    lines = server.run(f"journalctl -q --no-pager -o json --after-cursor='{began}'").splitlines()
    return [line for line in map(json.loads, lines) if line.get("LTSPD_UID") == uid]


@pytest.mark.usefixtures("people")
def test_every_change_is_refused_without_a_rule_and_audited(server: Server) -> None:
    settled(server)
    began = cursor(server)
    answers = json.loads(run_as(server, PUPIL, "methods"))
    changing = {name for name, method in METHODS.items() if method.action is not None or method.only}
    assert len(answers.keys() & changing) >= 12
    for name, answer in answers.items():
        if name in changing:
            assert answer == "org.ltsp.Server1.Error.NotAuthorized", name
        elif name != "org.ltsp.Server1.Manager.MayCall":
            assert answer.removeprefix("org.ltsp.Server1.Error.") in ("NoSuchImage", "NoSuchClient"), name
    assert answers["org.ltsp.Server1.Manager.MayCall"] == "done"
    # What only the gateway may hand over has no action of polkit's.
    asked = {name for name, method in METHODS.items() if method.action is not None}
    # The daemon answers before its journal has the line.
    server.wait_for(lambda: len(audited(server, PUPIL, began)) >= len(answers.keys() & asked))
    lines = audited(server, PUPIL, began)
    assert all("denied" in line["LTSPD_RESULT"] for line in lines)


@pytest.mark.usefixtures("people")
def test_every_change_is_allowed_with_a_rule_and_audited(server: Server) -> None:
    settled(server)
    began = cursor(server)
    answers = json.loads(run_as(server, TEACHER, "methods"))
    assert "org.ltsp.Server1.Error.NotAuthorized" not in answers.values()
    assert answers["org.ltsp.Server1.Manager.Reload"] == "done"
    actions = {line["LTSPD_ACTION"] for line in audited(server, TEACHER, began)}
    verbs = {"build-image", "revert-image", "configure"}
    assert actions >= {f"org.ltsp.Server1.{verb}" for verb in verbs}
    server.wait_for("! ltspctl job list --json | grep -q running")
    settled(server)


@pytest.mark.usefixtures("people")
def test_everything_can_be_read_and_none_of_it_is_secret(server: Server) -> None:
    settled(server)
    before = server.path("/etc/ltsp/ltsp.conf").read_text()
    try:
        server.run("usermod --password '$6$salt$hash' " + PUPIL)
        text = before + f"\n[clients]\nPASSWORDS_X={PUPIL}/verysecret\nMY_TOKEN=verysecret\n"
        server.write("/etc/ltsp/ltsp.conf", text)
        server.run("ltspctl reload")
        shown = run_as(server, PUPIL, "everything")
        for part in ("bookworm", "lan0", "ltspd-dnsmasq.service", "<interface", "in-sync"):
            assert part in shown
        for secret in SECRETS:
            assert secret not in shown
    finally:
        server.write("/etc/ltsp/ltsp.conf", before)
        server.run("ltspctl reload")


@pytest.mark.usefixtures("people")
def test_a_flood_from_somebody_ends_nothing_and_leaves_no_memory_behind(server: Server) -> None:
    settled(server)
    pid, began = show(server, "MainPID"), cursor(server)
    resident = f"awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status"
    before = int(server.run(resident))
    server.run(f"systemd-run --quiet --collect --unit=flood -p User={PUPIL} python3 /run/flood.py")
    others = 0
    while server.run("systemctl is-active flood || :").strip() == "active":
        server.run("ltspctl status")
        others += 1
    assert others >= 1
    assert "Traceback" not in said(server, began, "flood")
    assert product.status(server)["Version"] in said(server, began, "flood").splitlines()
    assert show(server, "MainPID") == pid
    log = said(server, began)
    assert "Traceback" not in log
    # kB. Generous: without bounds it would be hundreds of megabytes.
    assert int(server.run(resident)) - before < 80_000
    settled(server)
