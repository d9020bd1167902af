"""The product on the lab's server, as an administrator meets it: ltsp.conf, ltspctl, systemctl."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.lab.net import SERVER_ADDRESS
from tests.lab.server import Server
from tests.patience import PATIENCE

# A console that the test can read; a panic ends the machine, so that nobody waits for it. While others
# are emulated beside it, the 90 s that systemd waits for the console to appear are not always enough; for
# Debian 12, which lacks the second word of that, Server.make_patient().
CONSOLE = (
    "console=ttyS0,115200 panic=-1 "
    "systemd.default_timeout_start_sec=600 systemd.default_device_timeout_sec=600"
)
# What every client of the lab needs; there is no menu to wait in.
BASE: Mapping[str, Mapping[str, str]] = {
    "clients": {"KERNEL_PARAMETERS": CONSOLE, "MENU_TIMEOUT": "-1"},
}
# What clients fetch, or where they connect to fetch it: of services of our own, and all of it.
FETCH_FILES = f"""set -e
cmp -s /srv/tftp/ltsp/ltsp.ipxe <<EOF
$(curl -sSf -m 600 http://{SERVER_ADDRESS}/ltsp/ltsp.ipxe)
EOF
curl -sSf -m 600 tftp://{SERVER_ADDRESS}/ltsp/ltsp.ipxe | cmp -s - /srv/tftp/ltsp/ltsp.ipxe
: </dev/tcp/{SERVER_ADDRESS}/2049
"""
FETCH = f"""{FETCH_FILES}
! systemctl is-active --quiet ltspd-nbd.socket || : </dev/tcp/{SERVER_ADDRESS}/10809
systemctl is-active --quiet ltspd-dnsmasq
"""


class Code(str):
    """A value that is written as it is, so that it may be code."""


def configure(server: Server, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Add sections (a MAC address, "clients" …) to /etc/ltsp/ltsp.conf and have it applied.

    What was configured before stays, because other clients may be booting by it. Returns when
    everything is up to date. Raises RuntimeError with ltspctl's words.
    """
    for name, values in [*(BASE.items() if not server.conf else ()), *sections.items()]:
        server.conf.setdefault(name, {}).update(values)
    lines = []
    for name, values in server.conf.items():
        written = {
            key: value if isinstance(value, Code) else shlex.quote(value) for key, value in values.items()
        }
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in written.items()), ""]
    server.write("/etc/ltsp/ltsp.conf", "\n".join(lines))
    server.run("ltspctl reload")


@contextmanager
def configured(server: Server, sections: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Add sections to ltsp.conf for a while; afterwards they are as they were before."""
    before = {name: dict(server.conf[name]) for name in sections if name in server.conf}
    try:
        configure(server, sections)
        yield
    finally:
        for name in sections:
            server.conf.pop(name, None)
        server.conf.update(before)
        configure(server, {})


def wait_until_up(server: Server, timeout: float = PATIENCE) -> None:
    """Wait until the daemon answers on the bus."""
    server.wait_for("systemctl is-active --quiet ltspd || systemctl is-failed --quiet ltspd", timeout)
    server.run(
        "systemctl is-active ltspd || { journalctl --no-pager -n 30 -u ltspd; exit 1; }; ltspctl status"
    )


def build(server: Server, image: str, *options: str, timeout: float = PATIENCE) -> str:
    """Build an image and return what ltspctl said. Raises RuntimeError if the job fails."""
    return server.run(shlex.join(["ltspctl", "image", "build", image, *options]), timeout=timeout)


def client(server: Server, mac: str) -> Any:
    """Return what the server knows of a client, by the names of D-Bus; no stage before it has reported."""
    known = json.loads(server.run("ltspctl client list --json"))
    return next((each for each in known if each["Mac"] == mac), {"Mac": mac, "Stage": ""})


def wait_for_stage(server: Server, mac: str, stage: str, timeout: float = PATIENCE) -> None:
    """Wait until a client has reported a stage as its last one."""
    server.wait_for(lambda: client(server, mac)["Stage"] == stage, timeout)


def forget_clients(server: Server) -> None:
    """Have the server know no client any more: a failed one would stay a problem until it boots again."""
    # Each of the two tells the other what that has forgotten, so both must be down at once.
    server.run("systemctl stop ltspd ltspd-gateway; systemctl start ltspd")
    wait_until_up(server)


def status(server: Server) -> Any:
    """Return `ltspctl status --json`."""
    return json.loads(server.run("ltspctl status --json"))


def outputs(server: Server) -> dict[str, Any]:
    return {each["Name"]: each for each in status(server)["Outputs"]}


def problems(server: Server) -> list[str]:
    return list(status(server)["Problems"])


def image(server: Server, name: str) -> Any:
    (found,) = (each for each in status(server)["Images"] if each["Name"] == name)
    return found


def settled(server: Server) -> None:
    server.wait_for(lambda: status(server)["State"] == "in-sync")


def serves(server: Server) -> None:
    """Fail unless clients are served."""
    server.run("bash -s", stdin=FETCH)


def looked_again(server: Server) -> None:
    """Have the daemon do whole passes: what it would begin by itself has begun after them."""
    for _ in range(3):
        server.run("ltspctl reload")
