"""``ltspctl link``: network interfaces, and what is answered on them."""

from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import lists, shows
from ltspd.cli.grammar import Argument, Command, Noun


def table(links: Sequence[server.Properties], coloured: bool) -> str:
    """Return a line for each link."""
    head = ("LINK", "STATE", "DHCP", "ADDRESSES")
    rows = [(link["Name"], link["State"], link["Dhcp"], " ".join(link["Addresses"])) for link in links]
    return show.table(head, rows, coloured) if rows else "No network link."


def _names(found: server.Objects, _before: str) -> list[str]:
    return [each["Name"] for each in server.select(found, "Link")]


_NAME = Argument(("name",), "an interface", "NAME", complete="link")

COMMANDS = (
    Command("list", "list interfaces and what is answered on them", lists("Link", table)),
    Command("show", "show an interface", shows("Link"), (_NAME,)),
)
NOUNS = (Noun("link", 40, "network interfaces", COMMANDS, names={"link": _names}),)
