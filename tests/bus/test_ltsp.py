"""LTSP's applets as scripts of LTSP call them: what they ask of the daemon, and what they refuse."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from ltspd.cli.applets import APPLETS, GLOBAL, Usage, leading, read
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import ConfigFinding, Setting
from tests.worlds.bus_fakes import STATE, FakeServer
from tests.worlds.program import Ran, begin, end

Ltsp = Callable[..., Awaitable[Ran]]
IMAGE = APPLETS["image"].options
DNSMASQ = APPLETS["dnsmasq"].options


@pytest.fixture
def ltsp(bus_address: str) -> Ltsp:
    async def run(*arguments: str) -> Ran:
        return await end(await begin(bus_address, *arguments, module="ltspd.cli.ltsp"))

    return run


@pytest.fixture
async def serving(running: FakeServer) -> FakeServer:
    names = sorted({name for each in APPLETS.values() for name in each.outputs})
    running.set(outputs=tuple(OutputStatus(name, (), "", OutputState.IN_SYNC) for name in names))
    return running


def asked(server: FakeServer) -> list[tuple[Any, ...]]:
    """Return what was asked of the daemon, apart from whether ltsp.conf has mistakes."""
    return [each for each in server.calls if each != ("check",)]


# ---- reading, as getopt does ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "given", "words"),
    [
        ("/", {}, ["/"]),
        ("-r /", {"revert": "1"}, ["/"]),
        ("-r0 a b", {"revert": "0"}, ["a", "b"]),
        ("--revert=1 a --backup 1", {"revert": "1", "backup": "1"}, ["a"]),
        ("-rb 1 a", {"backup": "1", "revert": "1"}, ["a"]),
        ("--cleanup 0 /", {"cleanup": "0"}, ["/"]),
        ("-c 0 / --backup=0", {"cleanup": "0", "backup": "0"}, ["/"]),
        ("-b0 -i nice a", {"backup": "0", "ionice": "nice"}, ["a"]),
        ("--ionice= a", {"ionice": ""}, ["a"]),
        ("--ionice idle a", {"ionice": "idle"}, ["a"]),
        ("--clean 1 a", {"cleanup": "1"}, ["a"]),
        ("-mcomp -- -r", {"mksquashfs-params": "comp"}, ["-r"]),
    ],
)
def test_options_are_read_as_ltsp_does(line: str, given: dict[str, str], words: list[str]) -> None:
    assert read(line.split(), IMAGE) == (given, words)


def test_values_hang_on_short_options() -> None:
    found = read(["-d1", "-p0", "--dns-server=0.0.0.0 8.8.8.8"], DNSMASQ)
    assert found == ({"dns": "1", "proxy-dhcp": "0", "dns-server": "0.0.0.0 8.8.8.8"}, [])


@pytest.mark.parametrize("line", ["-x", "--nope", "--revert=2", "-i", "-r5", "--=1"])
def test_what_is_no_option_is_refused(line: str) -> None:
    with pytest.raises(Usage):
        read(line.split(), IMAGE)


def test_an_ambiguous_abbreviation_is_refused() -> None:
    with pytest.raises(Usage, match="several"):
        read(["--dn"], DNSMASQ)


@pytest.mark.parametrize(
    ("line", "count"), [("image /", 0), ("-b /srv/ltsp image", 2), ("-o -m/home image", 2)]
)
def test_options_before_the_applet_are_ltsps_own(line: str, count: int) -> None:
    assert leading(line.split()) == count


def test_no_two_options_of_an_applet_share_a_name() -> None:
    for options in (GLOBAL, *(each.options for each in APPLETS.values())):
        assert len({each.short for each in options}) == len({each.long for each in options}) == len(options)


# ---- doing ------------------------------------------------------------------------------------


async def test_an_image_is_built(ltsp: Ltsp, running: FakeServer) -> None:
    running.go.set()
    ran = await ltsp("image", "x86_64", "--ionice", "nice")
    assert (ran.status, "build of x86_64: done in" in ran.out) == (0, True)
    assert asked(running) == [("build", "x86_64", {"background": True}, os.getuid())]
    assert (await ltsp("image", "-k", "boot/vmlinuz-6.* s/vmlinuz/initrd/", "x86_64")).status == 0
    assert asked(running)[1][2] == {"kernel": "boot/vmlinuz-6.*"}


async def test_images_are_named_as_ltsp_named_them(ltsp: Ltsp, running: FakeServer) -> None:
    running.go.set()
    ran = await ltsp("image", "-i", "", "/srv/ltsp/x86_64", "/srv/ltsp/images/x86_64.img")
    assert ran.status == 0
    assert [call[1] for call in asked(running)] == ["x86_64", "x86_64"]
    assert asked(running)[0][2] == {}
    # The stand-in has no other source; what it was asked for is what counts.
    for word, wanted in (
        ("/", "/"),
        ("/home/x.img", "/home/x.img"),
        ("x.img,partition=2", "x,partition=2"),
        ("/,,/boot,subdir=boot", "/,,/boot,subdir=boot"),
        ("./vm/x.iso", os.path.abspath("vm/x.iso")),
    ):
        assert (await ltsp("image", word)).status == 1
        assert asked(running)[-1][1] == wanted


async def test_without_a_name_all_built_images_are_built(ltsp: Ltsp, running: FakeServer) -> None:
    running.go.set()
    assert (await ltsp("image")).status == 0
    assert [call[1] for call in asked(running)] == ["x86_64"]


async def test_an_image_is_reverted(ltsp: Ltsp, running: FakeServer) -> None:
    assert await ltsp("image", "-r", "x86_64") == Ran(0, "x86_64: new clients boot g1\n", "")
    root = next(each for each in STATE.images if each.name == "x86_64")
    running.set(images=(replace(root, source="/"),))
    assert (await ltsp("image", "--revert", "/")).out == "x86_64: new clients boot g1\n"


@pytest.mark.parametrize("name", [name for name, each in APPLETS.items() if each.outputs])
async def test_the_others_bring_everything_up_to_date(ltsp: Ltsp, serving: FakeServer, name: str) -> None:
    ran = await ltsp(name)
    assert (ran.status, ran.err) == (0, "")
    assert asked(serving) == [("apply", False)]
    for output in APPLETS[name].outputs:
        assert f"  {output}: in-sync" in ran.out.splitlines()
    if name == "kernel":
        assert "  x86_64: kernel 6.1 of g2" in ran.out.splitlines()


async def test_overwrite_forces(ltsp: Ltsp, serving: FakeServer) -> None:
    await ltsp("--overwrite", "ipxe", "-b")
    await ltsp("-o0", "ipxe")
    assert asked(serving) == [("apply", True), ("apply", False)]


async def test_a_setting_that_is_in_force_is_accepted_and_another_one_refused(
    ltsp: Ltsp, serving: FakeServer
) -> None:
    serving.settings = (
        Setting("PROXY_DHCP", "0", "/etc/ltsp/ltsp.conf", 2, False),
        Setting("TFTP", "1", "", 0, False),
        Setting("DNS_SERVER", "8.8.8.8  1.1.1.1", "/etc/ltsp/ltsp.conf", 3, False),
    )
    ran = await ltsp("dnsmasq", "-p0", "-t1", "-d0", "-h1", "--dns-server=8.8.8.8 1.1.1.1")
    assert (ran.status, ran.err) == (0, "")
    assert asked(serving) == [("explain", {}), ("apply", False)]
    for option, line in (("-p1", "PROXY_DHCP=1"), ("-d1", "DNS=1"), ("-s9.9.9.9 8.8.8.8", "DNS_SERVER=")):
        refused = await ltsp("dnsmasq", option)
        assert (refused.status, refused.out) == (1, "")
        assert f"Write {line}" in refused.err
    assert (await ltsp("ipxe", "--http-image=0")).status == 0
    assert "Write ROOT_TRANSPORT=http" in (await ltsp("ipxe", "-h1")).err
    assert len([each for each in asked(serving) if each[0] == "apply"]) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("image --cleanup=0 x86_64", "never hold accounts"),
        ("nfs -h1", "Write NFS_HOME=1"),
        ("-b /opt/ltsp image /", "the daemon uses /srv/ltsp"),
        ("kernel other", "other was never built"),
    ],
)
async def test_what_a_command_can_not_give_is_refused(
    ltsp: Ltsp, serving: FakeServer, line: str, text: str
) -> None:
    ran = await ltsp(*line.split())
    assert (ran.status, text in ran.err) == (1, True)
    assert "build" not in [each[0] for each in asked(serving)]


async def test_the_daemons_own_directories_may_be_said(ltsp: Ltsp, serving: FakeServer) -> None:
    assert (await ltsp("-b", "/srv/ltsp/", "--tftp-dir=/srv/tftp", "-m/home", "initrd")).status == 0


async def test_info(ltsp: Ltsp, running: FakeServer) -> None:
    ran = await ltsp("info")
    assert ran.status == 0
    for text in ("1.2.3", "x86_64", "line 3 is odd"):
        assert text in ran.out
    assert asked(running) == []


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("", 2, "usage: ltsp"),
        ("--help", 0, "applets:"),
        ("--help image", 0, "usage: ltsp image"),
        ("dnsmasq --help", 0, "--proxy-dhcp"),
        ("--version", 0, "ltspd"),
        ("imge /", 2, "Did you mean 'image'?"),
        ("login", 1, "LTSP's own clients"),
        ("initrd x", 2, "takes no arguments"),
        ("image --nope", 2, "There is no option --nope"),
    ],
)
async def test_help_and_wrong_command_lines(ltsp: Ltsp, line: str, status: int, text: str) -> None:
    ran = await ltsp(*line.split())
    assert (ran.status, text in ran.out + ran.err) == (status, True)
    assert bool(ran.err) == (status != 0)


async def test_no_daemon(ltsp: Ltsp) -> None:
    ran = await ltsp("info")
    assert (ran.status, ran.err[:6]) == (4, "ltsp: ")


@pytest.mark.parametrize("line", ["initrd", "dnsmasq", "image x86_64"])
async def test_a_mistake_in_ltsp_conf_fails_and_names_the_line(
    serving: FakeServer, ltsp: Ltsp, line: str
) -> None:
    serving.findings = (ConfigFinding("error", "/etc/ltsp/ltsp.conf", 3, 0, "HTTP_PORT is not a number"),)
    ran = await ltsp(*line.split())
    assert ran.status == 1
    assert "/etc/ltsp/ltsp.conf:3: HTTP_PORT is not a number." in ran.err
    assert asked(serving) == []


async def test_remoteapps_is_not_there_and_says_what_does_it(ltsp: Ltsp) -> None:
    ran = await ltsp("remoteapps", "xterm")
    assert ran.status == 1
    assert "ssh -X server" in ran.err
