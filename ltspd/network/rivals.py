"""Other DHCP servers that were heard on served links: which of them are in this server's way. Pure."""

from collections.abc import Iterable, Sequence

from ltspd.model.client import Server
from ltspd.model.network import DhcpRole, Link, ServedLink
from ltspd.model.state import Problem

# The folder of boot files that every server of this kind names.
_OURS = "ltsp/"


def problems(
    servers: Iterable[Server], served: Iterable[ServedLink], links: Sequence[Link]
) -> tuple[Problem, ...]:
    """Return a problem for each server that answers machines which this one should answer alone."""
    roles = {each.link: each.role for each in served}
    found = (_problem(each, roles.get(each.link), links) for each in servers)
    return tuple(each for each in found if each is not None)


def _problem(server: Server, role: DhcpRole | None, links: Sequence[Link]) -> Problem | None:
    if role not in (DhcpRole.REAL, DhcpRole.PROXY):
        return None
    own = any(server.address == str(each.ip) for link in links for each in link.addresses)
    sender = next((link.name for link in links if server.mac and link.mac == server.mac), None)
    if sender == server.link or (own and not server.mac):
        return None
    who = f"{server.address} ({server.mac})" if server.mac else server.address
    if sender is not None:
        text = (
            f"what this server answers on {sender} arrives here, too: both are cables of one network, and "
            f'machines get two answers. Unplug one, or DHCP_LINKS="{sender}=off" in [server] of ltsp.conf.'
        )
    elif own:
        text = (
            f"another machine ({server.mac}) answers DHCP with this server's own address {server.address}. "
            "Give one of them another address."
        )
    elif role is DhcpRole.REAL:
        what = "says what to boot" if server.boots and not server.gives else "gives addresses"
        text = (
            f"another DHCP server {what} there: {who}{_kind(server)}. Machines that take its answer don't "
            "boot from this server. Switch DHCP off there; or let it give all addresses: "
            f'DHCP_LINKS="{server.link}=proxy" in [server] of ltsp.conf.'
        )
    elif server.boots:
        text = (
            f"another server says what to boot there: {who}{_kind(server)}. Which answer a machine takes is "
            f'chance. Switch network boot off there, or here: DHCP_LINKS="{server.link}=off" in [server] of '
            "ltsp.conf."
        )
    else:
        # This one gives the addresses, as it should.
        return None
    return Problem(f"link {server.link}", text)


def _kind(server: Server) -> str:
    if server.file.startswith(_OURS):
        return ", which is an LTSP server, too"
    return f", with the boot file {server.file}" if server.file else ""
