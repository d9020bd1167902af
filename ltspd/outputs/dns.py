"""Names for clients: a dnsmasq of our own that does nothing else, on the served addresses alone. Pure."""

from collections.abc import Iterator

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import Reader
from ltspd.model.facts import Program
from ltspd.model.network import DhcpRole
from ltspd.model.output import File, Output, Unit
from ltspd.names import is_domain, is_plain_path
from ltspd.outputs.world import World

ORDER = 76
PATH = "/var/lib/ltspd/outputs/dns.conf"
DNSMASQ = Program("dnsmasq")
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-dns.service"
UNITS = (UNIT,)


def _file(text: str) -> str:
    if text and not is_plain_path(text):
        raise ValueError("is not the absolute path of a file, of letters, digits and . _ - alone")
    return text


BLACKLIST = Parameter(
    "DNS_BLACKLIST",
    Reader("the absolute path of a file", _file),
    "",
    SERVER,
    "With DNS=1: names that clients don't get, a file as hosts(5) with lines such as 0.0.0.0 ads.example",
)


def render(world: World) -> Output:
    """Return the output that answers clients' questions for names."""
    network = world.desired.network
    served = [each for each in network.served if each.role is not DhcpRole.OFF] if network.dns else []
    addresses = sorted({each.address.ip for each in served})
    lines = [*_lines(world), *(f"listen-address={each}" for each in addresses)]
    return Output(
        name="dns",
        files=(File(PATH, "\n".join(lines).encode() + b"\n"),) if addresses else (),
        activation=Unit(UNIT),
        wanted=bool(addresses),
        check=("dnsmasq", "--test", "--conf-file={}"),
        ports=(("udp", 53), ("tcp", 53)),
        missing="" if DNSMASQ in world.programs else "dnsmasq is not installed; install dnsmasq-base.",
    )


def _lines(world: World) -> Iterator[str]:
    network = world.desired.network
    yield "# Written by ltspd from /etc/ltsp/ltsp.conf and the network; changes here are reported, not kept."
    # It uses these addresses only, which may come and go; other programs keep 127.0.0.53 and the rest.
    yield "bind-dynamic"
    # Without this it stops answering when the journal takes no more lines.
    yield "log-async=100"
    yield "cache-size=10000"
    # There, Debian has the server's own name as 127.0.1.1, which would be the client itself.
    yield "no-hosts"
    if network.upstream:
        yield "no-resolv"
        yield from (f"server={each}" for each in network.upstream)
    for each in network.reservations:
        if each.address and is_domain(each.name):
            names = [each.name, *([f"{each.name}.{network.search_domain}"] if network.search_domain else [])]
            yield f"host-record={','.join(names)},{each.address}"
    if blacklist := world.settings[BLACKLIST]:
        yield f"addn-hosts={blacklist}"
