"""What the boot menu does for one client, as typed values. Decides nothing about images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ltspd.config.document import Host
from ltspd.config.evaluate import Index, effective_menu, effective_server
from ltspd.config.kinds import read_transport
from ltspd.config.parameters import readable
from ltspd.model import RootTransport


@dataclass(frozen=True, slots=True)
class MenuSettings:
    """What ltsp.conf says of one client's menu; empty or None where it says nothing that can be read.

    ``timeout`` is in ms, -1 for no menu.
    """

    image: str = ""
    transport: RootTransport | None = None
    kernel_parameters: str = ""
    timeout: int | None = None


def menu_settings(index: Index, hosts: Iterable[Host]) -> Iterator[MenuSettings]:
    """Yield each host's settings. A value that is not of its parameter's kind counts as not set.

    Whether a value made from others can be read shows only here; check makes a finding of it.
    """
    server = effective_server(index)
    for host in hosts:
        values = effective_menu(index, host, server)
        texts = {name: readable(name, value.text) for name, value in values.items()}
        transport, timeout = texts.get("ROOT_TRANSPORT"), texts.get("MENU_TIMEOUT")
        yield MenuSettings(
            image=texts.get("DEFAULT_IMAGE", ""),
            transport=read_transport(transport) if transport else None,
            kernel_parameters=texts.get("KERNEL_PARAMETERS", ""),
            timeout=int(timeout) if timeout else None,
        )
