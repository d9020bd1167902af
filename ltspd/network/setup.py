"""What follows for the network from ``ltspctl setup``, and from NAT= and DNS= of ltsp.conf. Pure."""

from collections.abc import Mapping

from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import FLAG, Reader
from ltspd.model.network import DhcpRole
from ltspd.model.setup import Setup, SetupKind
from ltspd.network.links import LinkChoice


def _chosen(text: str) -> bool | None:
    """Read 0 or 1; None: ``ltspctl setup`` decides."""
    return FLAG.read(text) if text else None


_CHOICE = Reader("0 or 1", _chosen)
NAT = Parameter(
    "NAT",
    _CHOICE,
    "",
    SERVER,
    "Route for clients that get addresses here (NAT); empty: as 'ltspctl setup' says",
)
DNS = Parameter(
    "DNS",
    _CHOICE,
    "",
    SERVER,
    "Answer clients' questions for names, with a cache; empty: as 'ltspctl setup' says",
)


def routes(settings: Settings, setup: Setup | None) -> bool:
    """Return whether the server routes for the clients that it gives addresses."""
    chosen = settings[NAT]
    return chosen if chosen is not None else setup is not None and setup.kind is SetupKind.DUAL


def answers_names(settings: Settings, setup: Setup | None) -> bool:
    """Return whether the server is its clients' name server."""
    chosen = settings[DNS]
    return chosen if chosen is not None else setup is not None and setup.dns


def choices(setup: Setup | None) -> Mapping[str, LinkChoice]:
    """Return the roles that two cards have, where ltsp.conf does not say otherwise."""
    if setup is None or setup.kind is not SetupKind.DUAL:
        return {}
    # The other card leads to somebody else's network: there, machines are not ours to boot.
    return {setup.lan: LinkChoice(DhcpRole.REAL), setup.wan: LinkChoice(DhcpRole.OFF)}
