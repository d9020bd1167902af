"""Orders to a booted client: what its people see, whose sessions end, what stops it, and how it goes down."""

import json

import pytest

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:ed:01"
TEXT = "<b>At ten</b> $(id) äöü"
# A session of a person as login makes it, without a terminal that anybody could type on.
SESSION = "systemd-run --quiet --unit=person -p PAMName=login -p User=alice -p TTYPath=/dev/tty9 sleep 10000"


def order(server: Server, *words: str, stdin: str = "") -> tuple[int, dict[str, str], str]:
    """Give an order, and return its exit status, the results by host name, and the whole error."""
    ran = server.run(f"ltspctl client {' '.join(words)} --json; echo $?", stdin=stdin)
    answer, _, status = ran.rstrip("\n").rpartition("\n")
    # Progress comes before it.
    _, brace, rest = answer.partition("{")
    if not brace:
        return int(status), {}, answer
    found = json.loads(brace + rest)
    return int(status), {each["Hostname"]: each["Result"] for each in found["Clients"]}, found["Error"][1]


def test_a_room_obeys(server: Server, images: tuple[str, ...]) -> None:
    del images
    room = {"MEMBERS": "52:54:00:67:ed:* 10.99.*", "DEFAULT_IMAGE": "bookworm", "ROOT_TRANSPORT": "nfs"}
    conf = {"room:lab": room, MAC: {"HOSTNAME": "ordered"}}
    with product.configured(server, conf):
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="ordered")
        try:
            # The room's image: the menu knows rooms, too.
            client.login_prompt(900)
            client.shell("until systemctl is-active --quiet ltsp-live ltsp-report; do sleep 1; done")
            product.wait_for_stage(server, MAC, "login")
            told = product.client(server, MAC)
            assert (told["Image"], told["Room"], told["Hostname"]) == ("bookworm", "lab", "ordered")
            assert "ordered" in server.run("ltspctl client list --room lab")
            assert "Room lab: 1 (1 login)" in server.run("ltspctl status")

            assert order(server, "message", "lab", stdin=TEXT + "\n\x07")[0] == 1, "that is no text"
            assert order(server, "message", "room:lab", stdin=TEXT) == (0, {"ordered": "ok"}, "")
            # The line to the terminal may be slower than the answer.
            shown = server.session.logs / "ordered-shell.log"
            server.wait_for(lambda: TEXT in shown.read_text(errors="replace"))
            assert "Message from the server:" in shown.read_text(errors="replace")

            client.shell(SESSION)
            client.shell("until loginctl list-sessions | grep -q alice; do sleep 1; done")
            assert order(server, "logout", "ordered", "--user", "bob")[1:] == (
                {"ordered": "nobody of that name is logged in there."},
                "0 of 1 clients did it.\nordered: nobody of that name is logged in there.",
            )
            assert order(server, "logout", MAC) == (0, {"ordered": "ok"}, "")
            client.shell("while loginctl list-sessions | grep -q alice; do sleep 1; done")
            client.shell("! systemctl is-active --quiet person && loginctl list-sessions | grep root")

            # A program that must not be cut off; systemd itself would ask or not, by its version.
            client.shell("systemd-run --quiet systemd-inhibit --what=shutdown --mode=block sleep 10000")
            client.shell("until systemd-inhibit --list | grep -q sleep; do sleep 1; done")
            status, results, _ = order(server, "reboot", "--all")
            assert (status, "forbids it now" in results["ordered"]) == (1, True)
            assert order(server, "poweroff", "lab", "--force") == (0, {"ordered": "ok"}, "")
            server.wait_for(lambda: not client.is_on)
            product.wait_for_stage(server, MAC, "off")
            assert "off" in server.run("ltspctl status | grep lab")

            status, _, error = order(server, "reboot", "lab")
            assert (status, "Nobody of room lab is on" in error) == (1, True)
            assert order(server, "reboot", "ordered")[1] == {"ordered": "it is off."}
            # Nothing of the orders is left where clients could fetch it.
            assert server.run("ls /var/lib/ltspd/orders").split() == ["last"]
            log = server.run(
                "journalctl -u ltspd --no-pager -o cat LTSPD_ACTION=org.ltsp.Server1.control-client"
            )
            assert "Client.Order (client '52:54:00:67:ed:01', host 'ordered'" in log
        finally:
            client.off()
            product.forget_clients(server)
