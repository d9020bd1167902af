"""What a client may say of itself: which fields there are, and how each must look. Pure.

The gateway holds what comes from the network against this, and the daemon what comes from the gateway.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address

from ltspd.names import is_host_name


class ClientStage(StrEnum):
    """How far a client has come: each is said once it is reached; the last two end a boot or a session."""

    NETWORK = "network"
    ROOT = "root"
    LOGIN = "login"
    OFF = "off"
    FAILED = "failed"


# Words of ltsp.root=. Not taken from the model, which would cost the gateway half a megabyte for them.
TRANSPORTS = ("nbd", "nfs", "nfsdir", "http")
# The longest sentence that is kept of a client that can't boot, in characters.
SENTENCE_MOST = 300

# A unicast address that is not all zeroes: the lowest bit of the first byte means "group" (IEEE 802).
_MAC = re.compile(r"(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
# As images and generations are named by ltspd; a directory name on the server has at most 255 bytes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def is_mac(text: str) -> bool:
    """Whether it is one machine's MAC address, lower-case with colons."""
    return _MAC.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether it is an IPv4 address that a machine on a network can have."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or int(address) == 0xFFFFFFFF)


def is_sentence(text: str) -> bool:
    """Whether it can be shown to people as it is: printable, on one line, not too long."""
    return len(text) <= SENTENCE_MOST and text.isprintable()


_WORDS = {
    "stage": re.compile("|".join(ClientStage)),
    "transport": re.compile("|".join(TRANSPORTS)),
    "image": _NAME,
    "generation": _NAME,
}
# Every field by its name here and in reports; Mac, Address … on the bus.
FIELDS = ("mac", "address", "hostname", "image", "generation", "transport", "stage", "error")
ON_THE_BUS: Mapping[str, str] = {each: each.capitalize() for each in FIELDS}


def is_sound(field: str, text: str) -> bool:
    """Whether a field may have this value; all but the MAC address may be empty, which says nothing."""
    if field == "mac":
        return is_mac(text)
    if not text:
        return True
    if field == "address":
        return is_address(text)
    if field == "error":
        return is_sentence(text)
    if field == "hostname":
        return is_host_name(text)
    return _WORDS[field].fullmatch(text) is not None
