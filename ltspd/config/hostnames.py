"""HOSTNAME with LTSP's pseudo variables -> the name of one machine. Pure.

Clients do the same in shell (``host_name`` of client/boot/text.sh); a test compares both.
"""

import re
from ipaddress import IPv4Interface

from ltspd.names import HOST_NAME_MAX, is_host_name

DEFAULT = "ltsp%{IP}"


def fill_hostname(text: str, mac: str, address: IPv4Interface) -> str:
    """Return the host name that a client takes for a HOSTNAME.

    ``%{IP}`` is the host part of the address as one number, so 192.168.67.20/24 gives 20 and
    10.0.1.20/16 gives 276; ``%{MAC}`` is the card's address without colons. Where nothing usable is left,
    LTSP's default counts.
    """
    number = str(int(address.ip) & int(address.hostmask))
    wanted = text.split(" ")[0]
    wanted = DEFAULT if wanted in ("", "(none)") else wanted
    filled = wanted.replace("%{IP}", number).replace("%{MAC}", mac.replace(":", ""))
    plain = re.sub(r"[^A-Za-z0-9._-]", "", filled)
    plain = re.sub(r"[_-]*[.][._-]*", ".", plain).strip("._-")
    return plain[:HOST_NAME_MAX].rstrip("._-") or f"ltsp{number}"


def hostname_problem(text: str) -> str:
    """Return why some client would get another name than a HOSTNAME says, or an empty string."""
    if text.split(" ")[0] == "(none)":
        return ""
    # The longest text that each variable can become: a host number in a /0, and a MAC address.
    filled = text.replace("%{IP}", "4294967295").replace("%{MAC}", "525400123456")
    if is_host_name(filled):
        return ""
    if len(filled) > HOST_NAME_MAX and is_host_name(filled[:HOST_NAME_MAX].rstrip("._-")):
        return f"can become longer than {HOST_NAME_MAX} characters; clients cut the rest off"
    return "is not a host name; clients drop what can't be in one"
