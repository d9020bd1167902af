"""The server's own settings as typed values. Reads what [server] and [common] say; decides nothing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import MappingProxyType

from ltspd.config.document import Document
from ltspd.config.evaluate import effective_server
from ltspd.config.kinds import (
    LinkChoice,
    read_addresses,
    read_bool,
    read_grace,
    read_lease,
    read_links,
    read_routers,
    read_transport,
    read_wait,
)
from ltspd.config.parameters import default, readable
from ltspd.model.menu import RootTransport


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the daemon itself obeys.

    ``dhcp_lease``, ``keep_grace`` and ``test_timeout`` are in seconds, ``menu_timeout`` in ms (-1: no menu),
    ``test_memory`` in MiB. ``root_transport`` is None where the choice is left to the daemon.
    ``dhcp_router`` is empty where the choice is left to the daemon, None for no router.
    ``image_titles`` is keyed by LTSP's name of an image, upper-case with underscores: ``X86_64_IMG``.
    """

    dhcp_links: Mapping[str, LinkChoice] = field(default_factory=dict)
    real_dhcp: bool = True
    proxy_dhcp: bool = True
    dhcp_lease: int = 28800
    dhcp_router: tuple[IPv4Address, ...] | None = ()
    dns: bool = False
    dns_server: tuple[IPv4Address, ...] = ()
    search_domain: str = ""
    tftp: bool = True
    nat: bool = False
    http_port: int = 80
    http_connections: int = 256
    metrics_port: int = 10819
    router_advertisements: bool = True
    auto_rebuild: bool = True
    keep_generations: int = 3
    keep_days: int = 0
    keep_grace: int = 600
    test_image: bool = False
    test_memory: int = 2048
    test_timeout: int = 600
    serve_accounts: bool = True
    base_dir: str = "/srv/ltsp"
    tftp_dir: str = "/srv/tftp"
    home_dir: str = "/home"
    server: str = ""
    default_image: str = ""
    kernel_parameters: str = ""
    menu_timeout: int = 5000
    root_transport: RootTransport | None = None
    add_image_excludes: str = ""
    omit_image_excludes: str = ""
    image_titles: Mapping[str, str] = field(default_factory=dict)


def server_settings(document: Document) -> ServerSettings:
    """Read a document's server settings; a value that is missing, empty or bad gives the default.

    Bad values are findings of check, so nobody is meant to use settings made from them.
    """
    values = {name: value.text for name, value in effective_server(document).items()}

    def text(name: str) -> str:
        return readable(name, values.get(name, "")) or default(name)

    def sound(name: str) -> bool:
        return readable(name, values.get(name, "")) == values.get(name, "")

    def flag(name: str) -> bool:
        return read_bool(text(name))

    transport = text("ROOT_TRANSPORT")
    return ServerSettings(
        dhcp_links=read_links(text("DHCP_LINKS")),
        # Where the roles of links can't be read, nobody is given addresses on a guess.
        real_dhcp=flag("REAL_DHCP") and sound("REAL_DHCP") and sound("DHCP_LINKS"),
        proxy_dhcp=flag("PROXY_DHCP"),
        dhcp_lease=read_lease(text("DHCP_LEASE")),
        dhcp_router=read_routers(text("DHCP_ROUTER")),
        dns=flag("DNS"),
        dns_server=read_addresses(text("DNS_SERVER")),
        search_domain=text("SEARCH_DOMAIN"),
        tftp=flag("TFTP"),
        nat=flag("NAT"),
        http_port=int(text("HTTP_PORT")),
        http_connections=int(text("HTTP_CONNECTIONS")),
        metrics_port=int(text("METRICS_PORT")),
        router_advertisements=flag("ROUTER_ADVERTISEMENTS"),
        auto_rebuild=flag("AUTO_REBUILD"),
        keep_generations=int(text("KEEP_GENERATIONS")),
        keep_days=int(text("KEEP_DAYS")),
        keep_grace=read_grace(text("KEEP_GRACE")),
        test_image=flag("TEST_IMAGE"),
        test_memory=int(text("TEST_MEMORY")),
        test_timeout=read_wait(text("TEST_TIMEOUT")),
        serve_accounts=flag("SERVE_ACCOUNTS"),
        base_dir=text("BASE_DIR"),
        tftp_dir=text("TFTP_DIR"),
        home_dir=text("HOME_DIR"),
        server=text("SERVER"),
        default_image=text("DEFAULT_IMAGE"),
        kernel_parameters=text("KERNEL_PARAMETERS"),
        menu_timeout=int(text("MENU_TIMEOUT")),
        root_transport=read_transport(transport) if transport else None,
        add_image_excludes=text("ADD_IMAGE_EXCLUDES"),
        omit_image_excludes=text("OMIT_IMAGE_EXCLUDES"),
        image_titles=MappingProxyType(
            {name.removeprefix("IPXE_"): value for name, value in values.items() if name.startswith("IPXE_")}
        ),
    )
