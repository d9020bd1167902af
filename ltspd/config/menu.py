"""What the boot menu does for one client: its parameters, and their values for many hosts. Pure."""

from collections.abc import Iterable, Iterator

from ltspd.config.document import Document, Host
from ltspd.config.evaluate import Index, effective_menu, effective_server
from ltspd.config.parameter import MENU, Parameter, Settings
from ltspd.config.parameters import table
from ltspd.config.readers import IMAGE, LINE, choice, number
from ltspd.config.secrecy import withheld
from ltspd.model.menu import RootTransport

DEFAULT_IMAGE = Parameter("DEFAULT_IMAGE", IMAGE, "", MENU, "Image that the boot menu starts by itself")
TRANSPORT = Parameter(
    "ROOT_TRANSPORT",
    choice("a transport", RootTransport),
    "",
    MENU,
    "How the root comes to a client: nbd, nfs or http",
)
KERNEL_PARAMETERS = Parameter(
    "KERNEL_PARAMETERS", LINE, "", MENU, "Words to add to the kernel's command line"
)
TIMEOUT = Parameter(
    "MENU_TIMEOUT",
    number("milliseconds", -1, 1 << 31),
    "5000",
    MENU,
    "How long the menu waits, in ms; -1: no menu",
)


def menu_settings(document: Document, hosts: Iterable[Host]) -> Iterator[Settings]:
    """Yield what counts in the menu of each host.

    A secret counts as not set, because everybody on the network can fetch the menu. Whether a value made from
    others can be read shows only here; check makes a finding of it.
    """
    index = Index(document)
    given = frozenset(name for name, each in table().items() if MENU in each.sides) - withheld(document)
    server = effective_server(index)
    for host in hosts:
        values = effective_menu(index, host, server)
        yield Settings({name: values[name].text for name in given if name in values})
