"""Names: the stem of everything on the bus, the names that links and hosts may have, and what fits on a line.

Pure.
"""

import re
from ipaddress import IPv4Address

STEM = "org.ltsp.Server1"
ROOT_PATH = "/" + STEM.replace(".", "/")
ERROR_PREFIX = STEM + ".Error."
# Units with this prefix are ours. Other units belong to the distribution and may serve other programs, too.
UNIT_PREFIX = "ltspd-"

# Linux allows more (IFNAMSIZ is 16 with the final NUL), but dnsmasq reads "*" and "," as its own syntax.
_LINK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,14}")
# Linux: HOST_NAME_MAX.
HOST_NAME_MAX = 64
# RFC 1123's labels, and underscores inside, which the kernel and systemd accept and schools use.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# RFC 1035: bytes of a domain name, and of a label.
_DOMAIN_MAX, _LABEL_MAX = 253, 63
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_MAC_GLOB = re.compile(r"(?:[0-9a-f]{2}:){1,5}\*")
# C0, DEL, C1, the separators that Unicode counts as ends of lines, and bytes that were no text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What no file of another program quotes, and no shell.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+")


def is_plain_path(text: str) -> bool:
    """Whether a text is an absolute path below ``/``, of characters that mean nothing to any program."""
    return _PLAIN_PATH.fullmatch(text) is not None


def is_one_line(text: str) -> bool:
    """Whether a text can be written on one line of any file: it has no control character."""
    return _CONTROL.search(text) is None


def is_host_name(text: str) -> bool:
    """Whether a machine may have this host name."""
    return len(text) <= HOST_NAME_MAX and _HOST.fullmatch(text) is not None


def is_domain(text: str) -> bool:
    """Whether names in DNS may end in this, or be this; a machine's host name may have longer labels."""
    fits = len(text) <= _DOMAIN_MAX and all(len(each) <= _LABEL_MAX for each in text.split("."))
    return fits and _HOST.fullmatch(text) is not None


def is_link_name(text: str) -> bool:
    """Whether an interface of this name can be served: dnsmasq and radvd must read it as a name."""
    return _LINK.fullmatch(text) is not None


def is_mac(text: str) -> bool:
    """Whether a text is a MAC address as all our files have it: in lower case, with colons."""
    return _MAC.fullmatch(text) is not None


def is_mac_glob(text: str) -> bool:
    """Whether a text is a MAC address, or the first bytes of one with ``*`` for the others."""
    return is_mac(text) or _MAC_GLOB.fullmatch(text) is not None


def interface(noun: str) -> str:
    """Return the interface name of a noun: ``Image`` -> ``org.ltsp.Server1.Image``."""
    return f"{STEM}.{noun}"


def action(verb: str) -> str:
    """Return the polkit action id of a verb: ``build-image`` -> ``org.ltsp.Server1.build-image``."""
    return f"{STEM}.{verb}"


def error(name: str) -> str:
    """Return the D-Bus error name: ``Busy`` -> ``org.ltsp.Server1.Error.Busy``."""
    return ERROR_PREFIX + name


def object_path(collection: str, key: str) -> str:
    """Return the object path of one object: ``("image", "x86_64")`` -> ``…/image/x86_5f64``.

    Every byte outside ``[A-Za-z0-9]`` is written as ``_xx`` (the escaping that systemd uses for
    its own unit paths), so any key maps to a legal path and back without loss. An empty key is ``_``.
    """
    escaped = "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}"
        for byte in key.encode("utf-8", "surrogateescape")
    )
    return f"{ROOT_PATH}/{collection}/{escaped or '_'}"


def is_resolver(address: IPv4Address) -> bool:
    """Whether a name server can have this address: not 0.0.0.0/8, multicast or reserved (RFC 6890)."""
    return not (address.packed[0] == 0 or address.is_multicast or address.is_reserved)
