"""dbus/org.ltsp.Server1.conf on a bus that denies as the system bus does: who may own the name, and call."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator

import pytest

from ltspd.api.service import Service
from ltspd.dbus import connection
from ltspd.names import ROOT_PATH, STEM, interface
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.bus import private_bus
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import begin, end

POLICY = REPOSITORY / "dbus" / f"{STEM}.conf"
# The defaults that every distribution's system.conf has.
SYSTEM_LIKE = f"""
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>{POLICY}</include>
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("setpriv", "busctl"))),
    reason="needs root, setpriv and busctl",
)


@pytest.fixture
async def address(tmp_path_factory: pytest.TempPathFactory, server: FakeServer) -> AsyncIterator[str]:
    with private_bus(tmp_path_factory.mktemp("system"), SYSTEM_LIKE) as address:
        service = Service(await connection.connect(address), server)
        try:
            await service.start()
            server.service = service
            yield address
        finally:
            await server.jobs.stop()
            await service.stop()


async def nobody(address: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        "busctl", f"--address={address}", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


async def test_everyone_reads_and_only_root_owns(address: str) -> None:
    manager = interface("Manager")
    status, text = await nobody(address, "call", STEM, ROOT_PATH, manager, "GetImage", "s", "x86_64")
    assert (status, text) == (0, 'o "/org/ltsp/Server1/image/x86_5f64"\n')
    status, text = await nobody(address, "get-property", STEM, ROOT_PATH, manager, "State")
    assert (status, text) == (0, 's "in-sync"\n')
    status, text = await nobody(address, "introspect", STEM, ROOT_PATH + "/image/x86_5f64")
    assert status == 0
    status, text = await nobody(address, "call", STEM, ROOT_PATH, manager, "Reload")
    assert status == 1
    assert "only root" in text, "the call reaches us, and we refuse it"
    status, text = await nobody(
        address, "call", STEM, ROOT_PATH, interface("Gateway"), "ReportClients", "aa{sv}", "0"
    )
    assert status == 1
    assert "Access denied" in text, "the bus keeps it from us"
    bus = "org.freedesktop.DBus"
    status, text = await nobody(
        address, "call", bus, "/org/freedesktop/DBus", bus, "RequestName", "su", f"{STEM}", "2"
    )
    assert status == 1
    assert "Access denied" in text


async def test_signals_arrive(address: str, server: FakeServer) -> None:
    """A build that is followed to its end, as on the real system bus."""
    server.go.set()
    ran = await end(await begin(address, "image", "build", "x86_64"))
    assert (ran.status, "done in" in ran.out) == (0, True)
