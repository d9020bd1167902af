"""``ltspctl foreign``: what another DHCP server needs to send machines to this one."""

import argparse
import sys

from ltspd.api import remote as server
from ltspd.cli.answer import as_json
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client


def _lines(client: Client, options: argparse.Namespace) -> int:
    found = server.one(client, "Link", options.name)["ForeignLines"]
    if options.json:
        return as_json(found)
    if options.server not in found:
        known = ", ".join(found)
        why = f"there are no lines for {options.server!r}; there are for: {known}."
        if not found:
            why = f"the role of {options.name} is not foreign; DHCP_LINKS= of ltsp.conf can make it so."
        print(f"ltspctl: {why}", file=sys.stderr)
        return server.FAILED
    print(found[options.server].removesuffix("\n"))
    return server.OK


COMMANDS = (
    Command(
        "",
        "print what another DHCP server needs, so that its machines boot from this one",
        _lines,
        (
            Argument(("name",), "an interface with the role foreign", "NAME", complete="link"),
            Argument(("server",), "dnsmasq, isc, kea, mikrotik, pfsense or windows", "SERVER"),
        ),
        more=(
            "They hold this server's address and the boot programs that are installed now: take them anew "
            "when those change. With pfsense, they are what goes into the form of pfSense or OPNsense; with "
            "mikrotik and windows, commands for RouterOS, and for PowerShell on Windows Server."
        ),
    ),
)
NOUNS = (Noun("foreign", 45, "lines for other DHCP servers", COMMANDS),)
