"""The life of the package on a fresh machine: installed, used, upgraded, removed, purged."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests import REPOSITORY
from tests.lab import nbd, product
from tests.lab.client import Client, power_on
from tests.lab.net import Lan
from tests.lab.server import Server
from tests.lab.session import Session
from tests.package import packages
from tests.package.conftest import Builds, Fresh
from tests.package.packages import APT, NEXT
from tests.worlds.pages import commands

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Services of other packages' programs, which an upgrade of ltspd has no reason to touch.
SERVICES = "ltspd-dnsmasq ltspd-tftp ltspd-nfs ltspd-nbd.socket ltspd-radvd"
# Everything that a package could leave: files with their content, accounts, units, firewall rules. What is
# left out changes by itself or is dpkg's and apt's record of what was done; /srv/ltsp is looked at apart.
STATE = r"""
cd /
find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./var/tmp \
    -o -path ./srv/ltsp \
    -o -path ./run/systemd -o -path ./run/user -o -path ./run/udev -o -path ./run/dbus -o -path ./run/log \
    -o -path ./run/host -o -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/lib/apt \
    -o -path ./var/cache/apt -o -path ./var/cache/ldconfig -o -path ./var/cache/debconf \
    -o -path ./var/cache/man -o -path ./var/lib/systemd -o -path ./root -o -path './etc/*-' \
    -o -name __pycache__ -o -path ./var/lib/nfs/ganesha \) -prune \
    -o -type f ! -path './run/*' -printf '%p %M %U %G ' -exec sha256sum {} \; -o -printf '%p %M %U %G %l\n'
find run -maxdepth 1 | sort
find var/lib/systemd/deb-systemd-helper-* var/lib/dpkg/info
systemctl list-unit-files --no-legend --no-pager
systemctl list-units --no-legend --no-pager --plain --all 'ltspd*' | awk '{ print $1, $3, $4 }'
getent passwd; getent group
nft list ruleset
busctl --list --no-legend --activatable | awk '{ print $1 }' | grep -v '^:'
"""
# One connection, one read after the other.
READER = f"""{nbd.CLIENT}import pathlib, time
for number in range(1, 3000):
    assert read(number) == b"hsqs"
    pathlib.Path("/run/reads").write_text(str(number))
    time.sleep(0.1)
"""


@pytest.fixture(scope="module", params=packages.SUITES)
def machine(request: pytest.FixtureRequest, fresh: Fresh) -> Iterator[Server]:
    """Boot a fresh machine."""
    with fresh(request.param, "fresh") as server:
        yield server


@pytest.fixture(scope="module")
def before(machine: Server) -> set[str]:
    """Take down what the machine is like without our packages."""
    return state(machine)


@pytest.fixture(scope="module")
def installed(machine: Server, before: set[str]) -> Server:
    """Install the packages with apt."""
    (install, *_) = commands("first-boot.md")
    assert install.startswith("apt install ")
    machine.run(f"cd /opt/now && {install.replace('apt', APT, 1)}")
    return machine


def state(server: Server) -> set[str]:
    return set(server.run(STATE).splitlines())


def invocations(server: Server) -> list[str]:
    return server.run(f"systemctl show -P InvocationID {SERVICES}").split()


def test_installing_enables_and_starts_it(installed: Server) -> None:
    installed.run("systemctl is-enabled ltspd; systemctl is-active ltspd")
    product.configure(installed, {})
    installed.wait_for(lambda: product.status(installed)["State"] == "in-sync")
    owners = installed.run("ps -o user= -p $(systemctl show -P MainPID ltspd-gateway)").split()
    assert owners[0].startswith("ltspd-g")
    assert "error" not in installed.run("journalctl -q --no-pager -p err -u 'ltspd*'").lower()


@pytest.fixture(scope="module")
def client(installed: Server, lab: Session, lan: Lan) -> Iterator[Client]:
    """Set the server up as its administrator would, and boot a machine from it."""
    (_, set_up, status) = commands("first-boot.md")
    # On a terminal, with the answer that a person gives.
    said = installed.run(f"printf 'y\\n' | script -qec '{set_up}' /dev/null; {status}")
    installed.session.logs.joinpath("setup.log").write_text(said)
    client = power_on(lab, lan)
    yield client
    client.off()


def test_setup_builds_the_first_image_and_a_client_boots(installed: Server, client: Client) -> None:
    said = installed.session.logs.joinpath("setup.log").read_text()
    assert "Build the image autopkgtest now? [Y/n]" in said
    assert "lan0" in said
    assert "gives addresses and boots clients" in said
    assert "#] " in said or "#." in said, "no progress bar"
    assert "build of autopkgtest: done in" in said
    assert "Ready: switch on a machine that boots from the network at" in said
    client.login_prompt()
    assert "ltsp.image=autopkgtest" in client.shell("cat /proc/cmdline")
    found = json.loads(installed.run("ltspctl setup --json"))
    assert (found["Ready"], found["Job"], found["Remains"]) == (True, None, [])


def test_it_passes_its_own_autopkgtest(installed: Server) -> None:
    installed.write("/run/server-test", (REPOSITORY / "debian/tests/server").read_text())
    installed.run("sh /run/server-test")
    installed.run("systemctl is-active ltspd-nbd.socket")


def test_an_upgrade_keeps_state_and_running_clients(installed: Server, client: Client) -> None:
    installed.wait_for(lambda: product.status(installed)["State"] == "in-sync")
    look = "readlink /srv/ltsp/images/autopkgtest/current; cat /etc/ltsp/ltsp.conf"
    outputs = "find /var/lib/ltspd -type f ! -name '*.json' | sort | xargs sha256sum"
    generation, files, running = installed.run(look), installed.run(outputs), invocations(installed)
    daemon = installed.run("systemctl show -P InvocationID ltspd")
    digest = installed.run("head -n 1 /srv/ltsp/images/autopkgtest/current/layers").split()[0]
    installed.write("/run/reader.py", READER)
    installed.run(f"systemd-run --quiet --collect --unit=reader python3 /run/reader.py {digest}")
    installed.wait_for("[ -s /run/reads ]")
    installed.run(f"{APT} install /opt/next/*.deb")
    assert installed.run("dpkg-query -W -f '${Version}' ltspd") == NEXT
    product.wait_until_up(installed)
    installed.wait_for(lambda: product.status(installed)["State"] == "in-sync")
    assert installed.run("systemctl show -P InvocationID ltspd") != daemon
    assert installed.run(look) == generation
    assert installed.run(outputs) == files
    assert invocations(installed) == running
    # The client that was reading goes on with the connection it had.
    reads = int(installed.run("cat /run/reads"))
    installed.wait_for(lambda: int(installed.run("cat /run/reads") or 0) > reads)
    installed.run("systemctl stop reader")
    # So does the machine that booted before: what it reads here it has not read yet.
    client.shell("find /usr/share/doc /usr/lib/x86_64-linux-gnu -type f | xargs cat | wc -c")
    client.off()


def test_a_client_boots_after_the_upgrade(installed: Server, lab: Session, lan: Lan) -> None:
    assert json.loads(installed.run("ltspctl setup --json"))["Ready"]
    client = power_on(lab, lan)
    client.login_prompt()
    client.off()


def test_removing_it_ends_its_services_and_purging_leaves_only_images(
    installed: Server, before: set[str]
) -> None:
    installed.run(f"{APT} remove ltspd")
    units = installed.run("systemctl list-units --all --no-legend --plain 'ltspd*'").split()
    assert [each for each in units if each in ("active", "failed")] == []
    assert installed.run("ps -eo args= | grep -E '[/]ltspd|[n]bd-server' || :") == ""
    assert installed.path("/etc/ltsp/ltsp.conf").exists()
    said = installed.run(f"{APT} purge ltspd python3-inotify-simple")
    assert "/srv/ltsp" in said
    installed.run(
        "systemctl daemon-reload; systemctl reset-failed; rm -f /run/server-test /run/reader.py /run/reads"
    )
    after = state(installed)
    # As text and not all of it: pytest's own comparison of long lists takes minutes.
    assert "\n".join(sorted(after - before)[:40]) == ""
    assert "\n".join(sorted(before - after)[:40]) == ""
    assert installed.path("/srv/ltsp/images/autopkgtest/current/vmlinuz").exists()


def test_debians_test_runner_is_content(installed: Server, builds: Builds) -> None:
    """On a machine that is thrown away afterwards, because this runner leaves things behind."""
    installed.run(f"{APT} install /opt/now/*.deb")
    (unpacked,) = (each for each in builds.now.directory.iterdir() if each.is_dir())
    shutil.copytree(unpacked, installed.path("/opt/source"), symlinks=True)
    # The restriction is what this runner can't promise and this machine is.
    runner = "autopkgtest --no-built-binaries --ignore-restrictions=isolation-machine /opt/source -- null"
    said = installed.run(f"cd /opt && {runner}")
    assert "server               PASS" in said
    installed.run(f"{APT} purge ltspd")


def test_it_can_be_installed_from_source_instead(installed: Server) -> None:
    steps = commands("install.md")
    steps = steps[steps.index("make install") : steps.index("systemctl enable --now ltspd") + 1]
    assert len(steps) == 4
    installed.run("cd /opt/source && " + " && ".join(steps))
    product.wait_until_up(installed)
