"""LTSP's pseudo variables of HOSTNAME, filled in for one address; nothing about where a name is set."""

from ipaddress import IPv4Interface


def fill_hostname(text: str, mac: str, address: IPv4Interface | None) -> str:
    """Return a HOSTNAME with ``%{IP}`` and ``%{MAC}`` replaced.

    ``%{IP}`` is the host part of the address as one number, so 192.168.67.20/24 gives 20 and
    10.0.1.20/16 gives 276; it stays as it is if the address is not known yet.
    """
    filled = text.split(" ")[0].replace("%{MAC}", mac.replace(":", ""))
    if address is not None:
        filled = filled.replace("%{IP}", str(int(address.ip) & int(address.hostmask)))
    return filled
