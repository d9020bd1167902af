"""``ltspctl doctor``: what keeps machines from booting, and what to do."""

import argparse
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import as_json
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH


def page(found: Sequence[server.Properties]) -> str:
    """Return the findings: each with its next step below it."""
    lines = []
    for each in found:
        mark = "" if each["Severity"] == "info" else f"{each['Severity']}: "
        lines.append(show.clean(f"{mark}{each['Subject']}: {each['Cause']}"))
        if each["Step"]:
            lines.append(f"    {show.clean(each['Step'])}")
    return "\n".join(lines) or "Nothing is in the way of machines that boot."


def _doctor(client: Client, options: argparse.Namespace) -> int:
    (findings,) = server.act(client, ROOT_PATH, "Manager", "Diagnose", "s", [options.host or ""])
    status = server.FAILED if any(each["Severity"] == "error" for each in findings) else server.OK
    if options.json:
        as_json(findings)
    else:
        print(page(findings))
    return status


NOUNS = (
    Noun(
        "doctor",
        15,
        "what keeps machines from booting, and what to do",
        (
            Command(
                "",
                "look for what keeps machines from booting",
                _doctor,
                (
                    Argument(
                        ("host",),
                        "a machine's MAC address, host name or IP address; without it, the server's own side",
                        "HOST",
                        nargs="?",
                        complete="client",
                    ),
                ),
                more="Of a machine it tells what was seen from its first DHCP packet to its login, where it "
                "stopped, what that usually means, and the next step. Of the server it tells which ports "
                "others hold, what a firewall drops, which other DHCP servers answer, which "
                "interfaces have no "
                "role, and which programs are old. The exit status is 1 if anything keeps machines "
                "from booting.",
            ),
        ),
    ),
)
