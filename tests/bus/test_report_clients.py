"""ReportClients: only for the gateway's user, plain values of the right types, and every refusal audited."""

import os
from typing import Any

import pytest
from dbus_next import Variant

from ltspd.api.gateway import PROBLEM_MOST, PROBLEMS_MOST, REPORTS_MOST
from ltspd.api.service import Service
from ltspd.dbus import connection
from ltspd.dbus.connection import BusError, Connection
from tests.worlds.bus import ask
from tests.worlds.bus_fakes import FakePolkit, FakeServer

MAC = "52:54:00:00:00:01"


def entry(**values: Any) -> dict[str, Variant]:
    return {
        key: Variant("t" if isinstance(value, int) else "s", value)
        for key, value in {"Mac": MAC, **values}.items()
    }


async def report(bus: Connection, *entries: dict[str, Variant]) -> None:
    await ask(bus, "Gateway", "ReportClients", "aa{sv}", list(entries))


async def test_reports_come_as_plain_values(service: Service, client: Connection, server: FakeServer) -> None:
    await report(client, entry(Stage="root", LastSeen=5, Later=7), entry())
    assert server.calls == [("clients", ({"Mac": MAC, "Stage": "root", "LastSeen": 5}, {"Mac": MAC}))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"Mac": Variant("ay", b"x")}, {"Mac": Variant("s", MAC), "LastSeen": Variant("s", "now")},
        {"Mac": Variant("s", MAC), "LastSeen": Variant("x", -1)},
        {"Mac": Variant("s", MAC), "Error": Variant("v", Variant("s", ""))},
    ],
)  # fmt: skip
async def test_other_types_are_refused(
    service: Service, client: Connection, server: FakeServer, wrong: dict[str, Variant]
) -> None:
    with pytest.raises(BusError, match="InvalidOption"):
        await report(client, entry(), wrong)
    assert server.calls == []


async def test_calls_are_bounded(service: Service, client: Connection, server: FakeServer) -> None:
    await report(client, *([entry()] * REPORTS_MOST))
    with pytest.raises(BusError, match="LimitsExceeded"):
        await report(client, *([entry()] * (REPORTS_MOST + 1)))
    assert len(server.calls) == 1


async def test_problems_are_bounded_and_can_be_shown(
    service: Service, client: Connection, server: FakeServer
) -> None:
    await ask(client, "Gateway", "ReportProblems", "as", ["a" * PROBLEM_MOST, "x\ny"] * (PROBLEMS_MOST // 2))
    assert server.problems_of_gateway == [("a" * PROBLEM_MOST, "'x\\ny'") * (PROBLEMS_MOST // 2)]
    for wrong in (["a"] * (PROBLEMS_MOST + 1), ["a" * (PROBLEM_MOST + 1)]):
        with pytest.raises(BusError, match="LimitsExceeded"):
            await ask(client, "Gateway", "ReportProblems", "as", wrong)
    assert len(server.problems_of_gateway) == 1


async def test_nobody_else_may_report_whatever_polkit_says(
    strict: Service, client: Connection, server: FakeServer, authority: FakePolkit,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with pytest.raises(BusError, match="NotAuthorized"):
        await ask(client, "Gateway", "ReportProblems", "as", ["all is lost"])
    assert server.problems_of_gateway == []
    caplog.clear()
    with pytest.raises(BusError, match="NotAuthorized"):
        await report(client, entry())
    assert server.calls == []
    assert authority.asked == []
    (record,) = [vars(each) for each in caplog.records if each.name == "ltspd.audit"]
    assert (record["LTSPD_RESULT"], record["LTSPD_UID"]) == ("denied", str(os.geteuid()))
    assert record["LTSPD_METHOD"] == "Gateway.ReportClients"


async def test_the_gateways_user_may(
    bus_address: str, client: Connection, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bus = await connection.connect(bus_address)
    service = Service(bus, server, trusted=frozenset(), users={"gateway": frozenset({os.geteuid()})})
    await service.start()
    server.service = service
    try:
        await report(client, entry())
        with pytest.raises(BusError, match="NotAuthorized"):
            await ask(client, "Manager", "Reload")
    finally:
        await service.stop()
    assert server.calls == [("clients", ({"Mac": MAC},))]
    # What is allowed here comes all the time, and nobody decided it: no line for it.
    assert [vars(each)["LTSPD_METHOD"] for each in caplog.records if each.name == "ltspd.audit"] == [
        "Manager.Reload"
    ]
