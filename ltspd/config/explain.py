"""Which settings count for one host, and which line sets each, as the bus tells them. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

from ltspd.config.configuration import Config
from ltspd.config.document import Finding, Host, Value
from ltspd.config.evaluate import effective, effective_server, unknowable
from ltspd.config.hooks import PARTS
from ltspd.config.names import is_parameter_name
from ltspd.config.parameter import CLIENT, MENU, SERVER, Side
from ltspd.config.parameters import is_secret, sides, table
from ltspd.config.secrecy import has_secret, withheld
from ltspd.errors import InvalidOption
from ltspd.model.state import ConfigFinding, Setting
from ltspd.names import is_host_name

_MAC = re.compile(r"[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}")


def host_of(words: Mapping[str, object]) -> Host:
    """Return the host that ``mac``, ``ip`` and ``hostname`` name; without any of them, the server itself.

    ``applet`` is the part of a client's life. Raises InvalidOption for text that can't be such a thing.
    """
    mac, ip, name, applet = (str(words.get(key, "")) for key in ("mac", "ip", "hostname", "applet"))
    mac = mac.lower()
    if mac and not _MAC.fullmatch(mac):
        raise InvalidOption(f"mac {mac[:40]!r} is not a MAC address; write it as 52:54:00:12:34:56.")
    if ip:
        try:
            IPv4Address(ip)
        except AddressValueError:
            raise InvalidOption(f"ip {ip[:40]!r} is not an IPv4 address.") from None
    if name and not is_host_name(name):
        raise InvalidOption(f"hostname {name[:40]!r} can't be a host name: use letters, digits, '.' and '-'.")
    if applet and not (mac or ip or name):
        raise InvalidOption("an applet is a part of a client's life: give a mac, an ip or a hostname, too.")
    if applet and applet not in PARTS:
        raise InvalidOption(f"applet {applet[:40]!r} is none of {', '.join(PARTS)}.")
    host = Host(mac.replace("-", ":"), ip, name, "client" if mac or ip or name else "server")
    return replace(host, applet=applet) if applet else host


def explain(config: Config, host: Host) -> tuple[Setting, ...]:
    """Return a host's settings: those that lines set, by name, then the defaults (file empty, line 0).

    Of a secret the line is told, the value is not. Of code the text is told, as nothing here runs it.
    """
    server = effective_server(config.document)
    values: dict[str, Value] = dict(server)
    if host.kind == "client":
        values = {name: each for name, each in server.items() if MENU in sides(name)}
        values.update(effective(config.document, host))
    hidden = withheld(config.document)
    code = dict(unknowable(config.document, host)) if host.kind == "client" else {}
    values.update((name, each) for name, each in code.items() if is_parameter_name(name))
    told = (
        _told(name, value, name in hidden, code.get(name) is value) for name, value in sorted(values.items())
    )
    return (*told, *_defaults(values, CLIENT if host.kind == "client" else SERVER))


def findings(found: Iterable[Finding]) -> tuple[ConfigFinding, ...]:
    """Return findings in the order of the file."""
    return tuple(
        ConfigFinding(str(each.severity), each.file, each.line, each.column, each.message) for each in found
    )


def _told(name: str, value: Value, hidden: bool, code: bool) -> Setting:
    hidden = hidden or is_secret(name) or (code and has_secret(value.text))
    return Setting(name, "" if hidden else value.text, value.file, value.line, hidden, code)


def _defaults(values: Mapping[str, Value], side: Side) -> Iterator[Setting]:
    for name, row in sorted(table().items()):
        if row.default and side in row.sides and name not in values:
            yield Setting(name, row.default, "", 0, False)
