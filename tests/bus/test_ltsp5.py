"""LTSP 5's commands as its administrators call them: what they ask of the daemon, or say instead."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ltspd.cli.ltsp5 import COMMANDS, main
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import Setting
from tests import REPOSITORY
from tests.worlds.bus_fakes import FakeServer
from tests.worlds.program import Ran, end

Old = Callable[..., Awaitable[Ran]]


@pytest.fixture
def old(bus_address: str, tmp_path: Path) -> Old:
    """Run a command by its name, as the links of an installation do."""
    program = tmp_path / "ltsp5"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom ltspd.cli.ltsp5 import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)

    async def run(line: str) -> Ran:
        name, *arguments = line.split()
        link = tmp_path / name
        if not link.exists():
            link.symlink_to(program)
        process = await asyncio.create_subprocess_exec(
            str(link), *arguments,
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address, "PYTHONPATH": str(REPOSITORY)},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return await end(process)

    return run


@pytest.fixture
async def serving(running: FakeServer) -> FakeServer:
    names = ("dhcp", "proxy-dhcp", "tftp", "nfs", "nbd", "boot-files", "menu")
    running.set(outputs=tuple(OutputStatus(name, (), "", OutputState.IN_SYNC) for name in names))
    running.go.set()
    return running


def asked(server: FakeServer) -> list[tuple[Any, ...]]:
    return [each[:2] for each in server.calls if each[0] not in ("check", "explain")]


@pytest.mark.parametrize(
    ("line", "calls", "said"),
    [
        ("ltsp-update-image --cleanup x86_64", [("build", "x86_64")], "build of"),
        ("ltsp-update-image -cfn x86_64", [("build", "x86_64")], "build of"),
        ("ltsp-update-image /opt/ltsp/x86_64", [("build", "x86_64")], "build of"),
        ("ltsp-update-image --base /srv/ltsp x86_64", [("build", "x86_64")], "build of"),
        ("ltsp-update-image --revert x86_64", [("revert", "x86_64")], "new clients boot"),
        ("ltsp-config dnsmasq", [("apply", False)], "proxy-dhcp: in-sync"),
        ("ltsp-config -o dnsmasq", [("apply", True)], "dhcp: in-sync"),
        ("ltsp-config nfs --overwrite", [("apply", True)], "nfs: in-sync"),
        ("ltsp-config nbd-server", [("apply", False)], "nbd: in-sync"),
        ("ltsp-update-kernels", [("apply", False)], "x86_64: kernel"),
        ("ltsp-update-sshkeys 10.0.0.1", [("apply", False)], "boot-files: in-sync"),
        ("ltsp-info --verbose", [], "x86_64"),
    ],
)
async def test_what_still_means_something_is_done(
    serving: FakeServer, old: Old, line: str, calls: list[tuple[object, ...]], said: str
) -> None:
    ran = await old(line)
    assert (ran.status, ran.err if "build" not in said else "") == (0, "")
    assert said in ran.out
    assert asked(serving) == calls


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ltsp-build-client --arch i386", "mmdebstrap"),
        ("ltsp-build-client", "'ltspctl image build /' takes this server itself."),
        ("ltsp-chroot -c -a amd64 apt-get install vim", "systemd-nspawn -D"),
        ("ltsp-config lts.conf", "ltspctl config import FILE"),
        ("ltsp-config -o isc-dhcp-server", "DHCP_SERVER=isc"),
        ("ltsp-update-image -e /var x86_64", "ADD_IMAGE_EXCLUDES"),
    ],
)
async def test_the_others_say_in_a_sentence_what_does_it_now(
    serving: FakeServer, old: Old, line: str, said: str
) -> None:
    ran = await old(line)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"{line.split()[0]}: ")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert asked(serving) == []


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("ltsp-config dnsmasq --enable-dns", 1, "Write DNS=1 into its section [server]"),
        ("ltsp-config dnsmasq --no-proxy-dhcp", 1, "Write PROXY_DHCP=0 into its section [server]"),
        ("ltsp-update-image --cleanup /", 1, "There is nothing to build '/' from."),
        ("ltsp-update-image -b /opt/ltsp x86_64", 1, "the daemon uses /srv/ltsp"),
        ("ltsp-update-image nothing", 1, "nothing"),
        ("ltsp-update-image --what", 2, "There is no option --what."),
        ("ltsp-config", 2, "Say one of dnsmasq"),
        ("ltsp-config dnsmasq nfs", 2, "Say one of dnsmasq"),
        ("ltsp5", 2, "this program has the names ltsp-build-client,"),
    ],
)
async def test_what_is_refused(serving: FakeServer, old: Old, line: str, status: int, said: str) -> None:
    serving.settings = (Setting("PROXY_DHCP", "1", "/etc/ltsp/ltsp.conf", 2, False),)
    ran = await old(line)
    assert (ran.status, said in ran.err) == (status, True), ran
    assert not [each for each in asked(serving) if each[0] == "apply"]


async def test_no_daemon(old: Old) -> None:
    ran = await old("ltsp-update-image /")
    assert (ran.status, ran.err.startswith("ltsp-update-image: ")) == (4, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"], name) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name} of LTSP 5 is now: ")
    assert "`" not in out
    assert all(f"--{each.long}" in out for each in COMMANDS[name].options)


def test_an_installation_has_a_link_for_each(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "-s", "install", f"DESTDIR={tmp_path}", "PAM_ARCHES="],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    for name in COMMANDS:
        link = tmp_path / "usr/sbin" / name
        assert link.resolve() == tmp_path / "usr/lib/ltspd/ltsp5"
        assert os.access(link, os.X_OK)
        assert (tmp_path / f"usr/share/man/man8/{name}.8").read_text() == ".so man8/ltsp.8\n"
