"""Report: what a pass saw and did, as the bus shows it."""

from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from ltspd.api.manager import raise_for
from ltspd.config.configuration import load
from ltspd.daemon import report
from ltspd.errors import OutputEdited, ToolFailed
from ltspd.model.client import Server
from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer, Source, SourceKind
from ltspd.model.job import Job, JobState
from ltspd.model.network import DhcpRole, Link, LinkKind, LinkState
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import Problem, ServerState, State
from ltspd.paths import Paths
from ltspd.plan import plan

GENERATION = Generation(
    id="g1", image="a", created=1.0, source="/srv/ltsp/a", architecture="x86_64", kernel="6.1",
    layers=(Layer("00", 100), Layer("01", 20)), source_bytes=0, source_files=0, kernel_bytes=3,
    initrd_bytes=4, packages_digest="old",
)  # fmt: skip
SOURCE = Source("a", SourceKind.DIRECTORY, "/srv/ltsp/a")


def _output(state: OutputState, message: str = "why") -> OutputStatus:
    return OutputStatus("dhcp", (), "", state, message)


def test_links_with_what_is_answered_on_them() -> None:
    ether = Link(
        "eth0", 2, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface("10.0.0.1/24"),), default_route=True
    )
    lo = Link("lo", 1, "", LinkKind.LOOPBACK, True, addresses=(IPv4Interface("127.0.0.1/8"),))
    lan = replace(
        ether, name="lan0", index=3, default_route=False, addresses=(IPv4Interface("192.168.67.1/24"),)
    )
    down = replace(ether, name="eth1", index=4, up=False)
    wlan = replace(lan, name="wlan0", index=5, kind=LinkKind.WIRELESS)
    facts = Facts(links=(lo, ether, lan, down, wlan))
    shown = report.links(facts, plan(load({}), facts, Paths()))
    assert [(each.name, each.state, each.dhcp) for each in shown] == [
        ("eth0", "routable", DhcpRole.PROXY),
        ("lan0", "up", DhcpRole.REAL),
        ("eth1", "down", DhcpRole.OFF),
        ("wlan0", "up", DhcpRole.OFF),
    ]
    assert shown[0].addresses == ("10.0.0.1/24",)


def test_images_built_and_never_built() -> None:
    facts = Facts(images=(Image("a", (GENERATION,), "g1"),), sources=(replace(SOURCE, name="b"),))
    built, fresh = report.images(facts, ())
    assert (built.name, built.current, built.kernel, built.size) == ("a", "g1", "6.1", 127)
    assert (built.source, built.stale_because) == ("/srv/ltsp/a", "")
    assert (fresh.name, fresh.current, fresh.size, fresh.stale_because) == ("b", "", 0, "never built")


@pytest.mark.parametrize(("digest", "stale"), [("old", False), ("new", True), ("", False)])
def test_an_image_is_stale_when_its_sources_packages_differ(digest: str, stale: bool) -> None:
    facts = Facts(images=(Image("a", (GENERATION,), "g1"),), sources=(SOURCE,), source_packages={"a": digest})
    (shown,) = report.images(facts, ())
    assert bool(shown.stale_because) is stale


def test_a_disk_image_that_changed_is_named_as_the_reason() -> None:
    disk = replace(SOURCE, kind=SourceKind.DISK)
    facts = Facts(images=(Image("a", (GENERATION,), "g1"),), sources=(disk,), source_packages={"a": "new"})
    (shown,) = report.images(facts, ())
    assert shown.stale_because == "the disk image changed since the build"


def test_the_job_of_an_image_is_shown_while_it_runs() -> None:
    job = Job("0a", "build", "a", 0, JobState.RUNNING)
    facts = Facts(sources=(SOURCE,))
    assert report.images(facts, (job,))[0].job == "0a"
    assert report.images(facts, (replace(job, state=JobState.DONE),))[0].job == ""


def test_problems_are_in_order_and_told_once() -> None:
    same = Problem("menu", "twice")
    outputs = [_output(state, state) for state in OutputState]
    lines = report.problems([Problem("ltsp.conf", "line 3")], [same, same], outputs)
    assert lines == ("ltsp.conf: line 3", "menu: twice", "output dhcp: edited", "output dhcp: failed")


def test_errors_of_apply_are_raised_with_each_output() -> None:
    raise_for([_output(OutputState.IN_SYNC), _output(OutputState.DISABLED)])
    with pytest.raises(ToolFailed, match="dhcp: why"):
        raise_for([_output(OutputState.FAILED)])
    with pytest.raises(OutputEdited, match="why"):
        raise_for([_output(OutputState.FAILED), _output(OutputState.EDITED)])


def test_the_line_for_systemctl_status() -> None:
    (image,) = report.images(Facts(images=(Image("a", (GENERATION,), "g1"),)), ())
    links = tuple(
        LinkState(name=name, index=2, state="up", addresses=(), dhcp=role)
        for name, role in (("eth0", DhcpRole.PROXY), ("eth1", DhcpRole.OFF))
    )
    state = State("1", ServerState.IN_SYNC, images=(image,), links=links)
    assert report.status(state) == "in-sync: 1 image(s) on eth0"
    assert report.status(replace(state, images=(), links=())) == "in-sync: 0 image(s) on no interface"
    wrong = replace(state, state=ServerState.ATTENTION, problems=("output dhcp: why", "menu: what"))
    assert report.status(wrong) == "Needs attention: output dhcp: why"


def test_a_link_has_the_other_dhcp_servers_that_were_heard_there() -> None:
    links = (
        LinkState("eth0", 2, "up", ("10.0.0.1/24",), DhcpRole.REAL),
        LinkState("eth1", 3, "up", (), DhcpRole.OFF),
    )
    router = Server("eth0", "10.0.0.254", "52:54:00:00:00:fe", gives=True, heard=7)
    # A machine told that it took the answer of this very server.
    ours = Server("eth0", "10.0.0.1", heard=8)
    # Another machine has this server's address.
    double = Server("eth0", "10.0.0.1", "52:54:00:00:00:fd", heard=9)
    first, second = report.with_servers(links, (router, ours, double))
    assert first.servers == (router._replace(heard=0), double._replace(heard=0))
    assert second == links[1]
    # What was heard again changes nothing.
    assert report.with_servers((first, second), (router._replace(heard=10), double)) == (first, second)
