"""A server of LTSP as Debian has it becomes one of ltspd, and goes back."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.net import Lan
from tests.lab.server import Server
from tests.lab.session import Session
from tests.package import packages
from tests.package.conftest import Fresh
from tests.package.packages import APT

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DNSMASQ = "/etc/dnsmasq.d/ltsp-dnsmasq.conf"
# What LTSP's administrator wrote, one parameter without effect here among it.
CONF = """[server]
BACKUP=0

[clients]
KERNEL_PARAMETERS="console=ttyS0,115200"
MENU_TIMEOUT=-1
"""
# Everything that LTSP's package, its commands and its administrator put there.
STATE = """find /etc/ltsp /etc/dnsmasq.d /etc/exports.d /etc/nbd-server /srv/tftp -type f \\
    -printf '%p %M %U %G ' -exec sha256sum {} \\; | sort; stat -c '%n %s' /srv/ltsp/images/*.img"""


def state(server: Server) -> str:
    return server.run(STATE)


@pytest.fixture(scope="module", params=packages.SUITES)
def ltsp(request: pytest.FixtureRequest, fresh: Fresh) -> Iterator[Server]:
    """Boot a machine and set LTSP up there, by its own commands."""
    with fresh(request.param, "ltsp") as server:
        server.run(f"{APT} install {packages.LTSP}/*.deb")
        server.write("/etc/ltsp/ltsp.conf", CONF)
        server.run("chmod 660 /etc/ltsp/ltsp.conf; mkdir -p /srv/ltsp/images")
        # The last one fails where the kernel can't be an NFS server, but writes its exports before.
        server.run("ltsp dnsmasq && ltsp ipxe && ltsp initrd && { ltsp nfs || :; }")
        # As "ltsp image" makes them, in a fifth of its time: one of a source that is there, one of a lost
        # one.
        server.run(
            "mksquashfs /srv/ltsp/autopkgtest /srv/ltsp/images/lost.img -quiet -no-progress -comp zstd "
            "-Xcompression-level 1 && cp /srv/ltsp/images/lost.img /srv/ltsp/images/autopkgtest.img"
        )
        server.wait_for("ss -Hlunp 'sport = :67' | grep dnsmasq")
        yield server


@pytest.fixture(scope="module")
def before(ltsp: Server) -> str:
    """Take down what LTSP and its administrator made."""
    return state(ltsp)


@pytest.fixture(scope="module")
def replaced(ltsp: Server, before: str) -> Server:
    """Install ltspd with dpkg, which removes ltsp."""
    said = ltsp.run("dpkg --install /opt/now/*.deb")
    assert "ltsp" in said
    product.wait_until_up(ltsp)
    return ltsp


def problems(server: Server) -> list[str]:
    return [str(each) for each in product.status(server)["Problems"]]


def test_dpkg_puts_it_in_the_place_of_ltsp(replaced: Server, before: str) -> None:
    assert replaced.run("dpkg-query -W -f '${db:Status-Status}' ltsp") != "installed"
    assert "ltspctl" in replaced.run("ltsp --help; dpkg -S /usr/sbin/ltsp")
    # ltspd writes what is new, and changes nothing of what was.
    assert set(before.splitlines()) <= set(state(replaced).splitlines())


def test_what_stands_in_the_way_is_said(replaced: Server) -> None:
    replaced.wait_for(lambda: any(DNSMASQ in each for each in problems(replaced)))
    said = "\n".join(problems(replaced))
    assert f"{DNSMASQ}: makes dnsmasq.service answer" in said
    assert "port 67/udp is held by dnsmasq" in said
    assert "run 'ltspctl setup'" in said


def test_setup_takes_over_and_a_client_boots(replaced: Server, lab: Session, lan: Lan) -> None:
    said = replaced.run("ltspctl setup --yes")
    assert f"{DNSMASQ}\n    makes dnsmasq.service answer" in said
    assert "/srv/ltsp/images/autopkgtest.img\n    is an image of LTSP, and has no effect" in said
    assert "BACKUP has no meaning here" in said, "a parameter without effect must be named"
    assert "Ready: switch on" in said
    assert problems(replaced) == []
    assert replaced.run("ss -Hlunp 'sport = :67'").count("dnsmasq") == 1
    # The distribution's dnsmasq goes on as what else it is.
    replaced.run("systemctl is-active dnsmasq ltspd-dnsmasq")
    client = power_on(lab, lan)
    client.login_prompt()
    assert "ltsp.image=autopkgtest" in client.shell("cat /proc/cmdline")
    client.off()


def test_an_image_whose_source_is_gone_can_become_one(replaced: Server) -> None:
    (step,) = (
        each["Step"] for each in product.status(replaced)["Remains"] if each["Path"].endswith("/lost.img")
    )
    command = step.split("'")[1]
    assert command == "mv /srv/ltsp/images/lost.img /srv/ltsp/lost.img"
    replaced.run(command)
    assert "build of lost: done" in product.build(replaced, "lost")
    replaced.run("mv /srv/ltsp/lost.img /srv/ltsp/images/lost.img")


def test_undoing_it_gives_everything_back_its_place(replaced: Server, before: str) -> None:
    said = replaced.run("ltspctl setup --undo")
    assert DNSMASQ in said
    assert set(before.splitlines()) <= set(state(replaced).splitlines())
    assert json.loads(replaced.run("ltspctl setup --json || :"))["Remains"][0]["Path"] == DNSMASQ
    # Two can't have one port, so the distribution's dnsmasq goes on as it is until ltspd is gone.
    replaced.run("systemctl is-active dnsmasq ltspd-dnsmasq")
    replaced.run("ltspctl setup --yes")
    assert problems(replaced) == []
    replaced.run("systemctl is-active dnsmasq ltspd-dnsmasq")


def test_going_back_to_ltsp_works(replaced: Server, before: str) -> None:
    replaced.run(f"{APT} install {packages.LTSP}/*.deb")
    assert replaced.run("dpkg-query -W -f '${db:Status-Status}' ltsp") == "installed"
    assert "ltsp: /usr/sbin/ltsp" in replaced.run("dpkg -S /usr/sbin/ltsp")
    assert set(before.splitlines()) <= set(state(replaced).splitlines())
    replaced.run(f"{APT} purge ltspd python3-inotify-simple")
    assert state(replaced) == before
    assert replaced.run("ss -Hlunp 'sport = :67'").count("dnsmasq") == 1
    assert replaced.run("busctl --list --no-legend --activatable | grep -c org.ltsp || :").strip() == "0"
    replaced.run("ltsp initrd && ltsp dnsmasq")
