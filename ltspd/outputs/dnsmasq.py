"""What our DHCP configurations for dnsmasq have in common, whether they give addresses or not. Pure."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from ltspd.model.facts import Program
from ltspd.model.network import Network, ServedLink
from ltspd.network.firmware import IPXE, IPXE_FEATURES, MENU_FEATURES, Boot, Vendor, boots, pxe_menu
from ltspd.outputs.gateway import base
from ltspd.outputs.world import World

DNSMASQ = Program("dnsmasq")
CHECK = ("dnsmasq", "--test", "--conf-file={}")
# Bytes of a MAC address.
_MAC = 6


def missing(world: World) -> str:
    """Return why there is no dnsmasq, or nothing."""
    return "" if DNSMASQ in world.programs else "dnsmasq is not installed; install dnsmasq-base."


def head(links: Iterable[ServedLink]) -> Iterator[str]:
    """Yield how a DHCP server of ours runs that answers on these links only."""
    yield "# Written by ltspd from /etc/ltsp/ltsp.conf and the network; changes here are reported, not kept."
    yield "port=0"
    # bind-dynamic: it uses only these interfaces, which may come and go; the distribution's dnsmasq,
    # libvirt's and systemd-resolved keep the others.
    yield "bind-dynamic"
    yield "except-interface=lo"
    for link in links:
        # dnsmasq's socket stays with an interface that is gone, even if another of the same name has come.
        yield f"# {link.link} is the kernel's interface {link.index}."
        yield f"interface={link.link}"
    # Without this it stops answering when the journal takes no more lines.
    yield "log-async=100"
    # Some firmware misreads options in the file and sname fields.
    yield "dhcp-no-override"


def programs(world: World, links: Iterable[ServedLink], server: IPv4Address | None = None) -> Iterator[str]:
    """Yield what boots which machine: it gets the tag ``boot/NAME`` of one entry, and ``boot/any``.

    ``server`` is our address if it is somebody else's dnsmasq, which knows no link of ours. Our tags have a
    slash, so that none is an interface's name.
    """
    known = boots(world.boot_programs, world.desired.menu)
    for number in sorted({number for each in known for number in each.numbers}):
        yield f"dhcp-match=set:arch/{number},option:client-arch,{number}"
    # dnsmasq finds the number anywhere in option 175; it can't look into encapsulated options here.
    for feature, number in IPXE_FEATURES.items():
        yield f"dhcp-match=set:ipxe/{feature},{IPXE},{number}"
    for each in known:
        for mac in each.macs:
            yield f"dhcp-mac=set:mac/{each.name},{_glob(mac)}"
    for each in known:
        for tags in _tags(each):
            yield f"tag-if=set:boot/{each.name},tag:!boot/any,{tags}"
        yield f"tag-if=set:boot/any,tag:boot/{each.name}"
    for each in known:
        if each.vendor is Vendor.HTTP and server:
            yield f'dhcp-boot=tag:boot/{each.name},"{base(world, server)}/{each.file}"'
        elif each.vendor is Vendor.HTTP:
            # What is told goes out of the same link, so that its machines reach the address.
            for link in links:
                uri = f"{base(world, link.address.ip)}/{each.file}"
                yield f'dhcp-boot=tag:{link.link},tag:boot/{each.name},"{uri}"'
        elif each.file or server:
            name = f"ltsp/{each.file}" if each.file else ""
            yield f"dhcp-boot=tag:boot/{each.name},{name}" + (f",,{server}" if server else "")


def classes(world: World) -> Iterator[str]:
    """Yield the classes of answers that give addresses, where a machine wants one."""
    for each in boots(world.boot_programs, world.desired.menu):
        if each.vendor is Vendor.HTTP:
            yield f"dhcp-option-force=tag:boot/{each.name},option:vendor-class,{each.vendor}"
        elif not each.file:
            # pxe-service would do it, too, but its first line gives every PXE client here an empty menu.
            yield f"dhcp-option-force=tag:boot/{each.name},option:vendor-class,{each.vendor}"
            yield f"dhcp-option-force=tag:boot/{each.name},43,{pxe_menu(each.title).hex(':')}"


def refused(network: Network) -> Iterator[str]:
    """Yield which machines get no answer. In proxy mode, dnsmasq heeds tags alone."""
    for mac in network.denied:
        yield f"dhcp-mac=set:mac/denied,{_glob(mac)}"
    for mac in network.allowed:
        yield f"dhcp-mac=set:mac/allowed,{_glob(mac)}"
    if network.denied:
        yield "dhcp-ignore=tag:mac/denied"
    if network.allowed:
        yield "dhcp-ignore=tag:!mac/allowed"


def _glob(mac: str) -> str:
    """Return a MAC address, or how it begins (``52:54:00:*``, ``52:54:00:``), with ``*`` for each byte."""
    begin = mac.rstrip("*").strip(":").split(":")
    return ":".join([*begin, *"*" * (_MAC - len(begin))])


def _tags(boot: Boot) -> Iterator[str]:
    """Yield the tags of a machine that an entry is for, one set of tags after the other."""
    macs = f",tag:mac/{boot.name}" if boot.macs else ""
    if boot.menu:
        for features in MENU_FEATURES:
            yield ",".join(f"tag:ipxe/{each}" for each in features) + macs
        return
    for number in boot.numbers:
        yield f"tag:arch/{number}{macs}"
