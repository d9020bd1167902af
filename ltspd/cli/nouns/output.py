"""``ltspctl output``: files that the daemon writes, and the units that use them."""

import argparse
import sys
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import as_json, lists, shows
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import object_path


def table(outputs: Sequence[server.Properties], coloured: bool) -> str:
    """Return a line for each output."""
    head = ("OUTPUT", "STATE", "UNIT", "APPLIED", "MESSAGE")
    rows = [
        (each["Name"], each["State"], each["Unit"], show.moment(each["AppliedAt"]), each["Message"])
        for each in outputs
    ]
    return show.table(head, rows, coloured) if rows else "No output."


def _preview(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Output", options.name)
    (text,) = server.act(client, object_path("output", options.name), "Output", "Preview")
    if options.json:
        return as_json({"Name": options.name, "Preview": text})
    if text:
        print(show.clean_lines(text) if sys.stdout.isatty() else text.removesuffix("\n"))
    return server.OK


def _names(found: server.Objects, _before: str) -> list[str]:
    return [each["Name"] for each in server.select(found, "Output")]


_NAME = Argument(("name",), "an output", "NAME", complete="output")

COMMANDS = (
    Command("list", "list outputs and whether they are in sync", lists("Output", table)),
    Command("show", "show an output", shows("Output"), (_NAME,)),
    Command("preview", "show what applying an output would change", _preview, (_NAME,)),
)
NOUNS = (Noun("output", 60, "generated files", COMMANDS, names={"output": _names}),)
