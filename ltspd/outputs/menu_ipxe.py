"""The boot menu: an iPXE script that needs no server address in it, so it changes only with its entries.

Every conditional ends in "||" because a failing command without it aborts the script. Pure.
"""

import re
from collections.abc import Iterator

from ltspd.model.image import Generation
from ltspd.model.menu import Menu, MenuChoice, RootTransport
from ltspd.model.output import File, Output
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.outputs.world import World

ORDER = 20
# Without a menu there is still this long (ms) to ask for one.
KEY_TIMEOUT = 300
# The value of ltsp.root= where there are no layers to choose a transport for: the chroot by NFS.
DIRECT = "nfsdir"
# A setting that is never set. iPXE looks for "||", "&&" and "#" among a line's words before it fills in
# settings, and for a backslash at its end: next to this they are only text. It knows no quotes.
NOTHING = "${nothing}"

_HEAD = """#!ipxe
# Written by ltspd; changes here are reported, not kept.
# Behind another DHCP server the boot server is the one that sent the boot options.
set srv ${next-server}
isset ${proxydhcp/dhcp-server} && set srv ${proxydhcp/dhcp-server} ||
set base http://${srv}PORT/ltsp
set net BOOTIF=01-${mac:hexhyp} ip=${ip}::${gateway}:${netmask}:${hostname}::off:${dns}"""

_TAIL = """:local
echo Starting the next boot device...
exit 0

:restart
reboot

:nothing
echo The server has no image yet. On the server: ltspctl image build
prompt --timeout 30000 Trying again in 30 seconds; press a key to try now. ||
reboot

:failed
echo Kernel or initrd could not be loaded from ${srv}, neither by HTTP nor by TFTP.
echo On the server: ltspctl status
prompt --timeout 30000 Restarting in 30 seconds; press a key to restart now. ||
reboot"""


def render(world: World) -> Output:
    """Return the output with the menu script."""
    text = "\n".join(_lines(world.desired.menu, world.settings[HTTP_PORT])) + "\n"
    return Output(name="menu", files=(File(f"{world.paths.tftp}/ltsp.ipxe", text.encode()),))


def _lines(menu: Menu, port: int) -> Iterator[str]:
    yield _HEAD.replace("PORT", "" if port == 80 else f":{port}")
    if not menu.entries:
        yield "goto nothing"
    else:
        yield from _choice(menu.default)
        for number, (key, value, _) in enumerate(menu.hosts):
            yield f"iseq ${{{key}}} {value} && goto host{number} ||"
        yield "goto start"
        for number, (_, _, choice) in enumerate(menu.hosts):
            yield f"\n:host{number}"
            yield from _choice(choice)
            yield "goto start"
        yield from _start(menu)
        for generation in menu.entries:
            yield from _boot(generation)
        yield from _roots()
    yield ""
    yield _TAIL


def _choice(choice: MenuChoice) -> Iterator[str]:
    yield f"set image {choice.image}"
    yield f"set root {choice.transport}"
    parameters = _text(choice.kernel_parameters)
    yield f"set parameters {parameters}" if parameters else "clear parameters ||"
    yield f"set timeout {choice.timeout}" if choice.timeout is not None else "clear timeout ||"


def _text(value: str) -> str:
    """Return the words of a text as iPXE must read them; ``${...}`` is still filled in."""
    words = (
        f"{NOTHING}{word}" if word in ("||", "&&") or word.startswith("#") else word for word in value.split()
    )
    text = " ".join(words)
    return f"{text}{NOTHING}" if text.endswith("\\") else text


def _start(menu: Menu) -> Iterator[str]:
    yield "\n:start"
    yield "isset ${timeout} && goto menu ||"
    yield f"prompt --key m --timeout {KEY_TIMEOUT} Press m for the boot menu... && goto menu ||"
    yield "goto image_${image}"
    yield "\n:menu"
    yield "menu Network boot from ${srv}"
    yield "item --gap Images"
    for generation in menu.entries:
        title = menu.titles.get(generation.image) or f"{generation.image} ({generation.kernel})"
        # Settings are filled in again and again until none is left, so there is no way to quote one.
        yield f"item image_{generation.image} {_text(re.sub(r'[$]+{', '{', title))}"
    yield "item --gap This computer"
    yield "item local Boot from the local disk"
    yield "item restart Restart"
    yield "isset ${timeout} || set timeout 0"
    yield "choose --timeout ${timeout} --default image_${image} selected && goto ${selected} ||"
    yield "goto start"


def _boot(generation: Generation) -> Iterator[str]:
    yield f"\n:image_{generation.image}"
    yield f"set dir images/{generation.image}/generations/{generation.id}"
    yield f"set args ltsp.image={generation.image} ltsp.generation={generation.id}"
    if not generation.layers:
        yield f"set root {DIRECT}"
    yield "goto load"


def _roots() -> Iterator[str]:
    """Load by HTTP, and by TFTP where HTTP fails; NBD clients get one more add-on initrd."""
    yield "\n:load"
    yield "set args ltsp.server=${srv} ltsp.root=${root} ltsp.base=${base} ${args} ${net} ${parameters}"
    for way, after in (("http", "tftp"), ("tftp", "failed")):
        yield f"\n:{way}"
        if way == "tftp":
            yield "set base tftp://${srv}/ltsp"
        yield "imgfree ||"
        fail = f"|| goto {after}"
        yield f"iseq ${{root}} {RootTransport.NBD} && set extra initrd=nbd.img || clear extra ||"
        # UEFI kernels find their initrds by these names.
        names = "initrd=ltsp.img ${extra} initrd=initrd.img"
        yield f"kernel ${{base}}/${{dir}}/vmlinuz {names} ${{args}} {fail}"
        yield f"initrd --name ltsp.img ${{base}}/ltsp.img {fail}"
        yield f"iseq ${{root}} {RootTransport.NBD} || goto {way}_last"
        yield f"initrd --name nbd.img ${{base}}/nbd.img {fail}"
        yield f"\n:{way}_last"
        yield f"initrd --name initrd.img ${{base}}/${{dir}}/initrd.img {fail}"
        yield "boot || goto failed"
