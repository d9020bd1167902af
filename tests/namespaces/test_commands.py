"""The installed programs on a real server: ltspctl, ltsp, the notifier, with their files and paths."""

import json

import pytest

from tests.lab import product
from tests.lab.server import Server

pytestmark = pytest.mark.lab


def test_setup_shows_the_roles_and_leaves_a_choice_to_people(server: Server) -> None:
    """The lab's server has two chroots, so nothing is built by itself."""
    before = product.status(server)["Images"]
    said = server.run("ltspctl setup --yes --no-wait")
    assert "lan0" in said
    assert "gives addresses and boots clients" in said
    found = json.loads(server.run("ltspctl setup --json --no-wait"))
    assert (found["Job"], found["Links"]) == (None, product.status(server)["Links"])
    if not any(each["Current"] for each in before):
        assert "Build an image: 'ltspctl image build NAME'" in said


def test_settings_are_explained_and_checked_on_the_real_file(server: Server) -> None:
    found = {
        each["Name"]: each for each in json.loads(server.run("ltspctl config show 52:54:00:00:00:01 --json"))
    }
    kernel = found["KERNEL_PARAMETERS"]
    assert kernel["Value"] == product.CONSOLE
    lines = server.path("/etc/ltsp/ltsp.conf").read_text().splitlines()
    assert lines[kernel["Line"] - 1].startswith("KERNEL_PARAMETERS=")
    assert server.run("ltspctl config check").strip() == "ltsp.conf has no mistakes."


def test_a_secret_is_withheld_all_the_way(server: Server) -> None:
    before = server.path("/etc/ltsp/ltsp.conf").read_text()
    try:
        server.write("/etc/ltsp/ltsp.conf", before + "[clients]\nMY_PASSWORD=verysecret\n")
        server.run("ltspctl reload")
        said = server.run("ltspctl config show pc01; ltspctl config check; ltspctl status")
        assert "MY_PASSWORD" in said
        assert "(withheld)" in said
        assert "verysecret" not in said
    finally:
        server.write("/etc/ltsp/ltsp.conf", before)
        server.run("ltspctl reload")


def test_the_applets_of_ltsp(server: Server) -> None:
    assert "bookworm" in server.run("ltsp info")
    for applet, output in (("dnsmasq", "dhcp"), ("nfs", "nfs"), ("ipxe", "menu"), ("initrd", "boot-files")):
        assert f"  {output}: in-sync" in server.run(f"ltsp {applet}").splitlines()
    assert "usage: ltsp image" in server.run("ltsp image --help")
    assert server.run("ltsp dnsmasq -p0 2>&1; echo $?").rstrip().endswith("\n1")


def test_what_is_installed_is_where_it_is_looked_for(server: Server) -> None:
    for path in (
        "/usr/share/man/man1/ltspctl.1",
        "/usr/share/man/man5/ltsp.conf.5",
        "/usr/share/man/man7/org.ltsp.Server1.7",
        "/usr/share/man/man8/ltspd.8",
        "/usr/share/bash-completion/completions/ltspctl",
        "/etc/xdg/autostart/ltspd-notifier.desktop",
    ):
        assert server.path(path).is_file(), path
    offered = server.run("bash -c 'ltspctl complete image'").split()
    assert {"bookworm", "trixie", "/"} <= set(offered)
    # Without a session bus it says so in a sentence, and is no failed program of the desktop's.
    said = server.run(
        "env -u DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR=/nonexistent /usr/lib/ltspd/notifier 2>&1"
    )
    assert said.startswith("ltspd-notifier: The bus can't be reached at unix:path=/nonexistent/bus")
