"""Units of the lab's server: ours, what they say in the journal, a command that runs as one for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.server import Server

# Everything of ours that serves.
UNITS = (
    "ltspd-gateway ltspd-listener ltspd-dnsmasq ltspd-proxy-dhcp ltspd-tftp ltspd-nfs ltspd-nbd.socket "
    "ltspd-radvd"
)


@contextmanager
def transient(server: Server, unit: str, command: str) -> Iterator[None]:
    """Run a command as a unit of the server for a while."""
    server.run(f"systemd-run --quiet --collect --unit={unit} {command}")
    try:
        yield
    finally:
        server.run(f"systemctl stop {unit}", check=False)


def show(server: Server, name: str, unit: str = "ltspd") -> str:
    return server.run(f"systemctl show -P {name} {unit}").strip()


def said(server: Server, since: str, unit: str = "ltspd") -> str:
    """Return what a unit said since a cursor of the journal."""
    return server.run(f"journalctl -q --no-pager -o cat -u {unit} --after-cursor='{since}'")


def cursor(server: Server) -> str:
    lines = server.run("journalctl -q --no-pager -n 1 --show-cursor").splitlines()
    return lines[-1].removeprefix("-- cursor: ")


def kill(server: Server, unit: str = "ltspd") -> None:
    """Kill a unit's main process, and wait until systemd has started another one."""
    pid = show(server, "MainPID", unit)
    server.run(f"systemctl kill --signal=KILL {unit}")
    server.wait_for(f"p=$(systemctl show -P MainPID {unit}); [ $p != 0 ] && [ $p != {pid} ]")
