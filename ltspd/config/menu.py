"""What the boot menu does for one client, as typed values. Decides nothing about images. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ltspd.config.document import Document, Host
from ltspd.config.evaluate import Index, effective_menu, effective_server
from ltspd.config.kinds import read_transport
from ltspd.config.parameters import readable
from ltspd.config.secrecy import withheld
from ltspd.model.menu import RootTransport

# LTSP reads these from [server] for all clients, unless a client's own sections say otherwise.
MENU = ("DEFAULT_IMAGE", "ROOT_TRANSPORT", "KERNEL_PARAMETERS", "MENU_TIMEOUT")


@dataclass(frozen=True, slots=True)
class MenuSettings:
    """What ltsp.conf says of one client's menu; empty or None where it says nothing that can be read.

    ``timeout`` is in ms, -1 for no menu.
    """

    image: str = ""
    transport: RootTransport | None = None
    kernel_parameters: str = ""
    timeout: int | None = None


def menu_settings(document: Document, hosts: Iterable[Host]) -> Iterator[MenuSettings]:
    """Yield each host's settings. One not of its parameter's kind, or a secret, counts as not set.

    Whether a value made from others can be read shows only here; check makes a finding of it.
    """
    index = Index(document)
    # Everybody on the network can fetch the menu.
    given = frozenset(MENU) - withheld(document)
    server = effective_server(index)
    for host in hosts:
        values = effective_menu(index, host, server)
        image, transport, parameters, timeout = (
            readable(name, values[name].text) if name in values and name in given else "" for name in MENU
        )
        yield MenuSettings(
            image,
            read_transport(transport) if transport else None,
            parameters,
            int(timeout) if timeout else None,
        )
