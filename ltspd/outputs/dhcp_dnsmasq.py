"""DHCP and proxyDHCP: the configuration of our own dnsmasq, which does neither DNS nor TFTP. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import duration
from ltspd.model.facts import Program
from ltspd.model.network import DhcpRole, ServedLink
from ltspd.model.output import File, Output, Unit
from ltspd.network.firmware import ARCHITECTURES, IPXE_FEATURES
from ltspd.outputs.world import World

ORDER = 80
PATH = "/var/lib/ltspd/outputs/dnsmasq.conf"
LEASES = "/var/lib/ltspd/dnsmasq.leases"
DNSMASQ = Program("dnsmasq")
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-dnsmasq.service"
UNITS = (UNIT,)

LEASE = Parameter(
    "DHCP_LEASE",
    # dnsmasq refuses leases below two minutes, and DHCP has 32 bits for the seconds.
    duration(minimum=120, maximum=(1 << 32) - 1),
    "8h",
    SERVER,
    "Lifetime of a lease: seconds, or with s, m, h, d",
)


def render(world: World) -> Output:
    """Return the output that answers DHCP on the served links."""
    served = [link for link in world.desired.network.served if link.role is not DhcpRole.OFF]
    missing = "" if DNSMASQ in world.programs else "dnsmasq is not installed; install dnsmasq-base."
    return Output(
        name="dhcp",
        files=(File(PATH, "\n".join(_lines(world, served)).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(served),
        check=("dnsmasq", "--test", "--conf-file={}"),
        ports=(("udp", 67),),
        missing=missing,
        questions=tuple(f"{link.role}:{link.link}:{link.address.ip}" for link in served),
    )


def _lines(world: World, served: list[ServedLink]) -> Iterator[str]:
    yield "# Written by ltspd from /etc/ltsp/ltsp.conf and the network; changes here are reported, not kept."
    yield "port=0"
    # bind-dynamic: it uses only these interfaces, which may come and go; the distribution's dnsmasq,
    # libvirt's and systemd-resolved keep the others.
    yield "bind-dynamic"
    yield "except-interface=lo"
    for link in served:
        yield f"interface={link.link}"
    # Without this it stops answering when the journal takes no more lines.
    yield "log-async=100"
    yield f"dhcp-leasefile={LEASES}"
    # Firmware, iPXE and the system of one machine send different client IDs; its address follows its MAC.
    yield "dhcp-ignore-clid"
    # Some firmware misreads options in the file and sname fields.
    yield "dhcp-no-override"
    # Else it pings each new address for three seconds, one machine after the other, so that of ten machines
    # switched on together the last waits 18 s. Running clients keep their addresses without that, because
    # they renew their leases (client/features/80-lease.sh).
    yield "no-ping"
    for link in served:
        yield from _range(world, link)
    yield from _programs([link for link in served if link.role is DhcpRole.PROXY])


def _range(world: World, link: ServedLink) -> Iterator[str]:
    """Yield a link's range and its options.

    They are tied to the link by the tag that dnsmasq itself sets, the link's name: not all versions of
    dnsmasq answer by other tags.
    """
    network, here = link.address.network, f"tag:{link.link}"
    desired = world.desired.network
    if link.role is DhcpRole.PROXY:
        yield f"dhcp-range={network.network_address},proxy,{network.netmask}"
        return
    yield f"dhcp-range={link.first},{link.last},{network.netmask},{world.settings[LEASE]}"
    # Without an address, this option stops dnsmasq from naming the server as the router.
    yield f"dhcp-option={here},option:router" + "".join(f",{each}" for each in link.routers)
    servers = _join(desired.resolvers(link))
    if servers:
        yield f"dhcp-option={here},option:dns-server,{servers}"
    if desired.search_domain:
        yield f"dhcp-option={here},option:domain-name,{desired.search_domain}"


def _join(addresses: tuple[IPv4Address, ...]) -> str:
    return ",".join(map(str, addresses))


def _programs(proxied: list[ServedLink]) -> Iterator[str]:
    """Yield what boots which client. Our tags have a slash, so that none is an interface's name."""
    for each in ARCHITECTURES:
        for number in each.numbers:
            yield f"dhcp-match=set:arch/{each.name},option:client-arch,{number}"
    # dnsmasq finds the number anywhere in option 175; it can't look into encapsulated options here.
    for feature, number in IPXE_FEATURES.items():
        yield f"dhcp-match=set:ipxe/{feature},175,{number}"
    common = "tag:ipxe/http,tag:ipxe/menu"
    yield f"tag-if=set:boot/menu,{common},tag:ipxe/pxe,tag:ipxe/bzimage"
    yield f"tag-if=set:boot/menu,{common},tag:ipxe/efi"
    yield "dhcp-boot=tag:boot/menu,ltsp/ltsp.ipxe"
    for each in ARCHITECTURES:
        yield f"dhcp-boot=tag:!boot/menu,tag:arch/{each.name},ltsp/{each.program}"
    if not proxied:
        return
    # Only beside another DHCP server. A machine that we have no boot file for gets no answer there: an answer
    # without a file would keep it from asking another boot server.
    for tag in ("boot/menu", *(f"arch/{each.name}" for each in ARCHITECTURES)):
        yield f"tag-if=set:boot/any,tag:{tag}"
    for link in proxied:
        yield f"dhcp-ignore=tag:{link.link},tag:!boot/any"
        for each in ARCHITECTURES:
            for kind in each.services:
                yield f'pxe-service=tag:{link.link},tag:!boot/menu,{kind},"LTSP",ltsp/{each.program}'
                yield f'pxe-service=tag:{link.link},tag:boot/menu,{kind},"LTSP",ltsp/ltsp.ipxe'
