"""Lines for the DHCP server of MikroTik's RouterOS, which is somebody else's always. Pure.

It compares what a machine sends as an option, so no MAC address: machines with a way of their own are left
out.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.network.firmware import Boot, Vendor, boots
from ltspd.outputs.gateway import base
from ltspd.outputs.world import World


def elsewhere(world: World, server: IPv4Address) -> Iterator[str]:
    """Yield what sends machines to this address of ours."""
    known = [each for each in boots(world.boot_programs, world.desired.menu) if not each.macs]
    links = [each for each in world.desired.network.served if each.address.ip == server]
    yield "# RouterOS 7.16 or later. SERVER and POOL stand for the names that '/ip dhcp-server print' shows."
    for menu in ("matcher", "option sets", "option"):
        yield f'/ip dhcp-server {menu} remove [find name~"^ltsp-"]'
    for link in links:
        yield f'/ip dhcp-server network set [find address="{link.address.network}"] next-server={server}'
    for each in known:
        options = []
        for number, value in _options(world, server, each):
            options.append(f"ltsp-{each.name}-{number}")
            yield (
                f"/ip dhcp-server option add name={options[-1]} code={number} force=yes value=\"s'{value}'\""
            )
        yield f"/ip dhcp-server option sets add name=ltsp-{each.name} options={','.join(options)}"
    for each in known:
        for number, (code, kind, value) in enumerate(_matches(each)):
            yield (
                f"/ip dhcp-server matcher add name=ltsp-{each.name}-{number} server=SERVER address-pool=POOL "
                f'code={code} matching-type={kind} value="{value}" option-set=ltsp-{each.name}'
            )
    yield "# It can't tell which iPXE can run our menu, so a card's own iPXE gets that, too. It compares no"
    yield "# MAC addresses, so a Raspberry Pi passes for a BIOS. The role proxy does both."


def _matches(boot: Boot) -> Iterator[tuple[int, str, str]]:
    """Yield the option that a machine of this kind sends, how to compare it, and with what."""
    if boot.menu:
        yield 77, "exact", "iPXE"
    for number in boot.numbers:
        yield 60, "substring", f"{boot.vendor}:Arch:{number:05}"


def _options(world: World, server: IPv4Address, boot: Boot) -> Iterator[tuple[int, str]]:
    if boot.vendor is Vendor.HTTP:
        yield 60, boot.vendor
        yield 67, f"{base(world, server)}/{boot.file}"
    else:
        yield 67, f"ltsp/{boot.file}"
