"""The report fields: what a client may say of itself, and which values are valid. Pure.

The gateway checks what comes from the network with it, the daemon what comes from the gateway.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address

from ltspd.model.menu import DIRECT, RootTransport
from ltspd.names import is_host_name


class ClientStage(StrEnum):
    """How far a client has come: it reports each stage once; the last two end a boot or a session."""

    NETWORK = "network"
    ROOT = "root"
    LOGIN = "login"
    OFF = "off"
    FAILED = "failed"


# The words of ltsp.root=.
TRANSPORTS = (*RootTransport, DIRECT)
# The longest error sentence of a client, in characters.
SENTENCE_MOST = 300

# A unicast address that is not all zeroes: the lowest bit of the first byte means "group" (IEEE 802).
_MAC = re.compile(r"(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
# The names of images and generations; a directory name on the server has at most 255 bytes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def is_mac(text: str) -> bool:
    """Whether this is the MAC address of one machine, in lower case with colons."""
    return _MAC.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether this is an IPv4 address that a machine on a network can have."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or int(address) == 0xFFFFFFFF)


def is_sentence(text: str) -> bool:
    """Whether people can be shown this as it is: printable, one line, not too long."""
    return len(text) <= SENTENCE_MOST and text.isprintable()


_WORDS = {
    "stage": re.compile("|".join(ClientStage)),
    "transport": re.compile("|".join(TRANSPORTS)),
    "image": _NAME,
    "generation": _NAME,
    # RFC 8709 as OpenSSH writes it: always the same beginning, then 32 bytes in base64.
    "key": re.compile(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}"),
    "kept": re.compile("[01]"),
    # /proc/sys/kernel/random/boot_id.
    "boot": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "pending": re.compile(r"(?=.{1,600}\Z)[A-Z][A-Za-z0-9_]*(?: [A-Z][A-Za-z0-9_]*)*"),
    # What the kernel calls a device (modalias), as pci:v00008086d000010D3 or of:NethernetT(null)Cbrcm,genet.
    "card": re.compile(r"[a-z]{2,16}:[A-Za-z0-9:,._()@#+=-]{1,240}"),
    "order": re.compile(r"[0-9]{1,16}"),
}
# Every field by its name here and in reports; Mac, Address … on the bus. ``key`` is the public half of the
# machine's key, ``kept`` is 1 if it keeps that over its boots. ``pending`` are
# the names of settings that have changed and count at its next boot. ``card`` is what its kernel calls its
# network card; ``initrd``, which drivers it was given and why, is said by the gateway.
FIELDS = (
    "mac", "address", "hostname", "image", "generation", "transport", "stage", "error", "key", "kept", "boot",
    "pending", "card", "initrd",
)  # fmt: skip
ON_THE_BUS: Mapping[str, str] = {each: each.capitalize() for each in FIELDS}
# Fields that people read; no program acts on them.
SENTENCES = ("error", "result", "initrd")
# What a client says of an order that it was given: the order's id, and ``ok`` or a sentence.
ANSWER = ("order", "result")
ANSWERS_ON_THE_BUS: Mapping[str, str] = {each: each.capitalize() for each in ANSWER}


def is_sound(field: str, text: str) -> bool:
    """Whether a field may have this value; all but the MAC address may be empty, which means unknown."""
    if field == "mac":
        return is_mac(text)
    if not text:
        return True
    if field == "address":
        return is_address(text)
    if field in SENTENCES:
        return is_sentence(text)
    if field == "hostname":
        return is_host_name(text)
    return _WORDS[field].fullmatch(text) is not None
