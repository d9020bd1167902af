"""``Link``: a network interface, and what is answered on it. Pure."""

from operator import attrgetter

from ltspd.api.noun import Noun, Property, record
from ltspd.model.client import Server
from ltspd.model.network import LinkState
from ltspd.names import interface

SERVER: tuple[Property[Server], ...] = (
    Property("Address", "s", attrgetter("address")),
    Property("Mac", "s", attrgetter("mac"), "empty: only machines have named it"),
    Property("Gives", "b", attrgetter("gives"), "addresses"),
    Property("Boots", "b", attrgetter("boots"), "it says what to boot"),
    Property("File", "s", attrgetter("file"), "what it says"),
)

NOUN: Noun[LinkState] = Noun(
    name=interface("Link"),
    objects=attrgetter("links"),
    key=attrgetter("name"),
    properties=(
        Property("Name", "s", attrgetter("name"), emits="const"),
        Property("Index", "i", attrgetter("index"), "The kernel's interface index."),
        Property("State", "s", attrgetter("state"), "down, up, or routable (it has a default route)."),
        Property("Addresses", "as", attrgetter("addresses"), "Addresses with prefix length."),
        Property(
            "Dhcp",
            "s",
            lambda link: str(link.dhcp),
            "What is answered there: off (everywhere while Serving is false), proxy (boot options only), "
            "real (addresses, too), relay (only what comes from a DHCP relay) or foreign (nothing; another "
            "server names our boot files).",
        ),
        Property(
            "ForeignLines",
            "a{ss}",
            attrgetter("lines"),
            "What to add to another DHCP server, by its name: dnsmasq, isc, kea, mikrotik (since 0.5.0), "
            "pfsense, windows (since 0.5.0); only with the role foreign.",
            since="0.4.0",
        ),
        Property(
            "Servers",
            "aa{sv}",
            lambda link: tuple(record(SERVER, each) for each in link.servers),
            "DHCP servers but this one that were heard there lately, while it is served.",
            keys=SERVER,
            since="0.6.0",
        ),
    ),
)
