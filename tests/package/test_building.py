"""The packages build on both releases, from a source that holds nothing fetched, and lintian is content."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.lab.net import Lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session
from tests.package import packages
from tests.package.conftest import Builds

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LINTIAN = ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]


@pytest.fixture(scope="module")
def builder(lab: Session, lan: Lan) -> Iterator[Server]:
    """Boot a machine of the newer release with what building takes."""
    tree = packages.builder_tree("trixie")
    server = start_server(lab, lan, tree=tree, install=False, name="builder")
    try:
        yield server
    finally:
        server.stop()


def test_lintian_has_no_warning_on_the_release_of_this_machine(builds: Builds) -> None:
    packages.run([*LINTIAN, str(builds.now.changes)], Path("/"))


def test_the_page_in_cockpit_is_a_package_of_its_own(builds: Builds) -> None:
    """What it installs is what the Makefile does, and the daemon's own package has nothing of it."""
    (page,) = builds.now.directory.glob("ltspd-cockpit_*_all.deb")
    (daemon,) = builds.now.directory.glob("ltspd_*.deb")
    files = packages.run(["dpkg-deb", "--contents", str(page)], Path("/"))
    for each in (REPOSITORY / "cockpit").glob("*.js"):
        assert f" ./usr/share/cockpit/ltspd/{each.name}\n" in files
    for name in ("index.html", "manifest.json", "page.css", "po.de.js", "po.fr.js"):
        assert f" ./usr/share/cockpit/ltspd/{name}\n" in files
    assert "cockpit" not in re.sub(
        "docs?/.*", "", packages.run(["dpkg-deb", "--contents", str(daemon)], Path("/"))
    )


def test_it_builds_on_the_newer_release_and_lintian_has_no_warning(builder: Server, lab: Session) -> None:
    home = lab.directory / "package" / "newer"
    unpacked = packages.source(home)
    shutil.copytree(home, builder.path("/opt/build"), symlinks=True)
    builder.run(f"cd /opt/build/{unpacked.name} && dpkg-buildpackage -us -uc")
    builder.run(f"cd /opt/build && {' '.join(LINTIAN)} *.changes")
    files = builder.run("dpkg-deb --contents /opt/build/ltspd_*.deb")
    # Clients' modules run with older C libraries than that release has.
    builder.run("dpkg-deb --extract /opt/build/ltspd_*.deb /opt/built")
    symbols = builder.run("readelf -W --dyn-syms /opt/built/usr/share/ltspd/client/pam/*.so")
    needed = {tuple(map(int, each.split("."))) for each in re.findall(r"@GLIBC_([0-9.]+)", symbols)}
    assert (2, 4) < max(needed) <= (2, 31)
    # Where that release has units, and nothing below the directories that are links there.
    assert " ./usr/lib/systemd/system/ltspd.service" in files
    assert " ./lib/" not in files


def test_the_source_holds_no_copy_of_what_is_fetched() -> None:
    assert not (REPOSITORY / "inotify-simple").exists()
