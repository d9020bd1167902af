"""Menus on the screens of real machines: chosen by keys, with a password; and machines whose boots fail."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.lab import product
from tests.lab.client import Client, Firmware, power_on
from tests.lab.product import settled
from tests.lab.server import Server
from tests.lab.units import cursor

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Both of the word "secret".
HASHES = (
    "grub.pbkdf2.sha512.1000.9EB00A670394F4DB.E6D2691536BE685818AD8A45EA9DC2EC "
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
)
# As a terminal sends it, which all of these programs know.
DOWN, ENTER = "\x1b[B", "\r"
STARTED = r"Command line: .*ltsp\.generation=(\S+)"


@pytest.fixture(scope="module")
def earlier(server: Server) -> str:
    """Build an image twice, and return the generation that is only kept."""
    product.build(server, "bookworm")
    found = product.image(server, "bookworm")["Current"]
    server.run("date >/srv/ltsp/bookworm/usr/share/mark")
    product.build(server, "bookworm")
    assert product.image(server, "bookworm")["Current"] != found
    return str(found)


@contextmanager
def on(server: Server, firmware: Firmware, number: int, *, screen: bool = False) -> Iterator[Client]:
    """Switch a machine on for a while."""
    client = power_on(server.session, server.lan, firmware, mac=f"52:54:00:67:fe:{number:02x}", screen=screen)
    try:
        yield client
    finally:
        client.off()


def started(client: Client) -> str:
    """Return the generation that the machine's kernel was started with."""
    return str(client.expect(STARTED).groups[0])


# ---- chosen by keys --------------------------------------------------------------------------------------


def by_ipxe(client: Client, password: str) -> None:
    client.expect("Network boot from")
    client.expect("Restart")
    client.type(f"{DOWN}{ENTER}")
    client.expect("Password")
    # The name is there already.
    client.type(f"{ENTER}{password}{ENTER}")


def by_grub(client: Client, password: str) -> None:
    client.expect("GNU GRUB")
    client.expect("executed automatically|highlighted")
    client.type(f"{DOWN}{ENTER}")
    client.expect("Enter username")
    client.type(f"admin{ENTER}")
    client.expect("Enter password")
    client.type(f"{password}{ENTER}")


def by_pxelinux(client: Client, password: str) -> None:
    client.expect("Network boot")
    client.expect("Restart")
    # After a wrong password the same line is still chosen.
    again = "Password required" in client.console.text
    client.type(ENTER if again else f"{DOWN}{ENTER}")
    client.expect("Password required")
    client.type(f"{password}{ENTER}")


MENUS: dict[str, tuple[Firmware, Callable[[Client, str], None]]] = {
    "ipxe": ("bios", by_ipxe),
    "shim": ("uefi", by_grub),
    "pxelinux": ("bios", by_pxelinux),
}


@pytest.mark.parametrize("way", MENUS)
def test_a_kept_generation_is_chosen_by_keys_and_asks_for_its_password(
    server: Server, earlier: str, way: str
) -> None:
    firmware, choose = MENUS[way]
    number = list(MENUS).index(way)
    sections = {
        "server": {"MENU_PASSWORD": HASHES, "MENU_LOCKED": "bookworm@*"},
        f"52:54:00:67:fe:{number:02x}": {"BOOT_WAY": way, "MENU_TIMEOUT": "0"},
    }
    with product.configured(server, sections), on(server, firmware, number) as client:
        choose(client, "wrong")
        if way == "ipxe":
            client.expect("That is not the password")
            client.type(ENTER)
        choose(client, "secret")
        assert started(client) == earlier


def test_grub_shows_its_menu_to_who_presses_esc_and_waits_for_nobody(server: Server, earlier: str) -> None:
    with (
        product.configured(server, {"52:54:00:67:fe:10": {"BOOT_WAY": "shim"}}),
        on(server, "uefi", 0x10, screen=True) as client,
    ):
        # The firmware has gone now.
        client.expect("NBP file downloaded")
        # As people do who don't know when it is looked for.
        while "GNU GRUB" not in client.console.text:
            assert "Linux version" not in client.console.text
            client.screen.press("esc")
            time.sleep(0.5)
        client.expect("highlighted")
        client.type(f"{DOWN}{ENTER}")
        assert started(client) == earlier


# ---- boots that fail -------------------------------------------------------------------------------------


def has_failed(server: Server, mac: str, times: int) -> bool:
    return bool(product.client(server, mac).get("FailedBoots") == times)


def test_a_machine_whose_first_way_fails_gets_the_next_one(server: Server, earlier: str) -> None:
    mac = "52:54:00:67:fe:20"
    program = server.run("readlink -f /usr/lib/ipxe/snponly.efi").strip()
    server.run(f"cp {program} /run/kept && head -c 100000 /dev/zero >{program}")
    try:
        with product.configured(server, {"server": {"BOOT_TRIES": "2"}}):
            said = "journalctl -q -o cat -u ltspd-tftp"
            for tries in range(3):
                began = cursor(server)
                with on(server, "uefi", 0x20) as client:
                    client.expect("NBP file downloaded")
                    server.wait_for(f"{said} --after-cursor='{began}' | grep -q 'sent.*snponly'")
                if tries < 2:
                    server.wait_for(partial(has_failed, server, mac, tries))
            server.wait_for(lambda: product.client(server, mac)["BootWay"] == "shim")
            assert "2 boots in a row have failed" in server.run("journalctl -q -o cat -u ltspd")
            server.wait_for(f"grep -q {mac} /var/lib/ltspd/outputs/dnsmasq.conf")
            settled(server)
            with on(server, "uefi", 0x20) as client:
                client.login_prompt()
                product.wait_for_stage(server, mac, "login")
            shown = server.run(f"ltspctl client show {mac}")
            assert "shim" in shown
    finally:
        server.run(f"cp /run/kept {program}; ltspctl client forget {mac}")
