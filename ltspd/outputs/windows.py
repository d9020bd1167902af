"""Lines of PowerShell for the DHCP server of Windows Server, which is somebody else's always. Pure.

Of a machine it can compare the vendor class, the user class and the MAC address. Where several policies fit,
each option comes from the first of them.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from ltspd.network.firmware import Boot, Vendor, boots, pxe_menu
from ltspd.outputs.gateway import base
from ltspd.outputs.world import World

# Bytes of a whole MAC address.
_MAC = 6
_OWN = "LTSP"


def elsewhere(world: World, server: IPv4Address) -> Iterator[str]:
    """Yield what sends machines to this address of ours."""
    known = boots(world.boot_programs, world.desired.menu)
    yield "# Windows Server, 2012 or later: in PowerShell, as an administrator"
    yield f'Get-DhcpServerv4Policy | Where-Object Name -Like "{_OWN} *" | Remove-DhcpServerv4Policy'
    yield f'Get-DhcpServerv4Class | Where-Object Name -Like "{_OWN} *" | Remove-DhcpServerv4Class'
    yield (
        "if (-not (Get-DhcpServerv4OptionDefinition -OptionId 60 -ErrorAction SilentlyContinue)) "
        f'{{ Add-DhcpServerv4OptionDefinition -Name "{_OWN} class" -OptionId 60 -Type String }}'
    )
    yield f'Add-DhcpServerv4Class -Name "{_OWN} iPXE" -Type User -Data "iPXE"'
    for name, data in sorted({_class(each, number) for each in known for number in each.numbers}):
        yield f'Add-DhcpServerv4Class -Name "{name}" -Type Vendor -Data "{data}"'
    for order, each in enumerate(known, 1):
        name, where = f'"{_OWN} {each.name}"', _condition(each)
        yield f"Add-DhcpServerv4Policy -Name {name} -ProcessingOrder {order} -Condition AND {where}"
        for option, value in _options(world, server, each):
            yield f"Set-DhcpServerv4OptionValue -PolicyName {name} -OptionId {option} -Value {value}"
    yield "# It can't tell which iPXE can run our menu, so a card's own iPXE gets that, too."


def _class(boot: Boot, number: int) -> tuple[str, str]:
    """Return the name of a vendor class of ours, and how such machines' class begins."""
    return f"{_OWN} {boot.vendor} {number}", f"{boot.vendor}:Arch:{number:05}"


def _condition(boot: Boot) -> str:
    # A star: what follows does not matter.
    vendors = [f'"{_class(boot, number)[0]}*"' for number in boot.numbers]
    found = f"-VendorClass EQ,{','.join(vendors)}" if vendors else f'-UserClass EQ,"{_OWN} iPXE"'
    macs = [each.rstrip("*").replace(":", "").upper() for each in boot.macs]
    macs = [each if len(each) == 2 * _MAC else f"{each}*" for each in macs]
    return f"{found} -MacAddress EQ,{','.join(macs)}" if macs else found


def _options(world: World, server: IPv4Address, boot: Boot) -> Iterator[tuple[int, str]]:
    if boot.vendor is Vendor.HTTP:
        yield 60, f'"{boot.vendor}"'
        yield 67, f'"{base(world, server)}/{boot.file}"'
        return
    yield 66, f'"{server}"'
    if boot.file:
        yield 67, f'"ltsp/{boot.file}"'
    else:
        yield 60, f'"{boot.vendor}"'
        # Without quotes, PowerShell makes decimal numbers of them.
        yield 43, ",".join(f'"0x{byte:02x}"' for byte in pxe_menu(boot.title))
