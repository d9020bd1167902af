"""The boot menu asks the server for each client's own choice, and boots by itself where nobody answers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f6:01"
SECTIONS = {
    # Words that iPXE must leave as they are.
    "52:54:00:67:f6:*": {"KERNEL_PARAMETERS": f"{product.CONSOLE} ltsp.test=glob || ltsp.more=#1"},
    "clients": {**product.BASE["clients"], "DEFAULT_IMAGE": "bookworm"},
}


@contextmanager
def booted(server: Server, name: str) -> Iterator[Client]:
    client = power_on(server.session, server.lan, mac=MAC, name=name)
    try:
        client.login_prompt()
        yield client
    finally:
        client.off()


def words(client: Client) -> list[str]:
    return client.shell("cat /proc/cmdline").split()


def test_a_section_with_a_glob_counts_in_the_menu(server: Server, images: tuple[str, ...]) -> None:
    del images  # they must be built, that is all
    earlier = product.image(server, "bookworm")["Current"]
    server.run("date >/srv/ltsp/bookworm/usr/share/mark")
    product.build(server, "bookworm")
    assert product.image(server, "bookworm")["Current"] != earlier
    glob = {**SECTIONS["52:54:00:67:f6:*"], "DEFAULT_IMAGE": f"bookworm@{earlier}"}
    with product.configured(server, {**SECTIONS, "52:54:00:67:f6:*": glob}), booted(server, "glob") as client:
        found = words(client)
        assert {"ltsp.test=glob", "||", "ltsp.more=#1", "ltsp.image=bookworm"} <= set(found)
        assert f"ltsp.generation={earlier}" in found
        assert "ltsp.base=http://192.168.67.1/ltsp" in found
        journal = server.run("journalctl --no-pager -o cat -t ltspd-gateway")
        assert f"is {MAC}, - and boots bookworm" in journal
        # One request more than before, and it is the first one.
        asked = [line for line in journal.splitlines() if "192.168.67." in line]
        at = next(place for place, line in enumerate(asked) if f"is {MAC}, - and boots" in line)
        assert "vmlinuz" in asked[at + 1]


def test_where_the_gateway_does_not_run_clients_boot_by_tftp(server: Server, images: tuple[str, ...]) -> None:
    del images
    with product.configured(server, SECTIONS):
        server.run("systemctl mask --runtime --now ltspd-gateway")
        try:
            with booted(server, "tftp") as client:
                found = words(client)
                assert "ltsp.image=bookworm" in found
                assert "ltsp.test=glob" not in found, "iPXE can't compare with globs"
                server.run("! systemctl is-active ltspd-gateway")
                assert "vmlinuz to 192.168.67." in server.run("journalctl --no-pager -o cat -u ltspd-tftp")
        finally:
            server.run("systemctl unmask --runtime ltspd-gateway; ltspctl apply")
    server.wait_for("systemctl is-active ltspd-gateway")
