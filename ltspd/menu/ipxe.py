"""The menu as a script for iPXE, which names no address of the server: it changes only with its entries.

Every conditional ends in "||" because a failing command without it aborts the script. Pure.
"""

import re
from collections.abc import Iterable, Iterator

from ltspd.menu.items import ascii_of, image_items, tool_items
from ltspd.menu.kernel import command_line, directory, instead_of_nbd
from ltspd.menu.lock import USER
from ltspd.model.menu import DIRECT, Entry, Menu, MenuChoice, Offer, RootTransport, Tool
from ltspd.names import is_one_line

# Without a menu there is still this long (ms) to ask for one.
KEY_TIMEOUT = 300
# How long (ms) the gateway may say nothing while it is asked for a client's own script. It answers within
# some ms; a class that is switched on at once, or a lost packet, takes a second or two.
ASK_TIMEOUT = 5000
# Not every iPXE has a word for the firmware's setup.
ABLE = frozenset(Tool) - {Tool.FIRMWARE}
# A setting that is never set. iPXE looks for "||", "&&" and "#" among a line's words before it fills in
# settings, and for a backslash at its end: next to this they are only text. It knows no quotes.
NOTHING = "${nothing}"

_HEAD = """#!ipxe
# Written by ltspd; changes here are reported, not kept.
# Behind another DHCP server the boot server is the one that sent the boot options.
set srv ${next-server}
isset ${proxydhcp/dhcp-server} && set srv ${proxydhcp/dhcp-server} ||
set base http://${srv}PORT/ltsp
set card ?mac=${mac}&bus=${busid:hexraw}
set net BOOTIF=01-${mac:hexhyp} ip=${ip}::${gateway}:${netmask}:${hostname}::off:${dns}"""

# With --replace the script that comes takes the place of this one, also when it ends.
_WHO = "boot?mac=${mac}&ip=${ip}&hostname=${hostname:uristring}"
_ASK = f"""# The gateway's script for this client obeys sections with globs, too. Without it this one goes on.
chain --timeout {ASK_TIMEOUT} --replace ${{base}}/{_WHO} ||"""

# iPXE can't check a password. The gateway can, and then answers with a script that begins with that line.
_PASSWORD = f"""
:ask
clear password ||
set username {USER}
login || goto menu
chain --timeout {ASK_TIMEOUT} --replace \
http://{USER}:${{password:uristring}}@${{srv}}PORT/ltsp/{_WHO}&start=${{wanted}} ||
clear password ||
prompt --timeout 10000 That is not the password, or the server can't be asked now. Press a key. ||
goto menu"""

_MEMTEST = """
:memtest
imgfree ||
iseq ${platform} efi && set kind efi || set kind bin
kernel ${base}/memtest.${kind} || kernel tftp://${srv}/ltsp/memtest.${kind} || goto failed
boot || goto failed"""

_SETUP = """
:setup
reboot --setup ||
goto menu"""

_SHELL = """
:shell
shell
goto menu"""

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


def static_script(menu: Menu, port: int) -> str:
    """Return the script for all clients: it asks the gateway, or compares with hosts by itself."""
    lines = [_head(port)]
    if not menu.offer.entries:
        return _text_of([*lines, "goto nothing", "", _TAIL])
    lines += [_ASK, *_choice(menu.default)]
    lines += (f"iseq ${{{key}}} {value} && goto host{n} ||" for n, (key, value, _) in enumerate(menu.hosts))
    lines.append("goto start")
    for number, (_, _, choice) in enumerate(menu.hosts):
        lines += [f"\n:host{number}", *_choice(choice), "goto start"]
    return _text_of([*lines, *_rest(menu.offer, port)])


class Scripts:
    """Makes the scripts of single clients; what all of them have in common is made once."""

    def __init__(self, offer: Offer, port: int) -> None:
        """Make scripts for an offer whose files are served at a TCP port."""
        self._head, self._rest = _text_of([_head(port)]), _text_of(_rest(offer, port))

    def script(self, choice: MenuChoice, start: str = "") -> str:
        """Return the script for one client; ``start`` is the line of the menu that it begins with."""
        first = f"goto {start}\n" if start else ""
        return f"{self._head}{_text_of(_choice(choice))}{first}{self._rest}"


def locked_lines(offer: Offer) -> Iterator[str]:
    """Yield the lines of the menu that ask for the password, if there is a hash to check it with."""
    if offer.lock.pbkdf2:
        yield from (f"image_{each.name}" for each in offer.entries if offer.lock.holds(each.name))
        yield from (tool for tool, _ in tool_items(offer, ABLE) if offer.lock.holds(tool))


def _text_of(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _head(port: int) -> str:
    return _with_port(_HEAD, port)


def _with_port(text: str, port: int) -> str:
    return text.replace("PORT", "" if port == 80 else f":{port}")


def _choice(choice: MenuChoice) -> Iterator[str]:
    yield f"set image {choice.entry}"
    yield f"set root {choice.transport}"
    parameters = _text(choice.kernel_parameters)
    yield f"set parameters {parameters}" if parameters else "clear parameters ||"
    yield "set fit ${card}" if choice.slim else "clear fit ||"
    yield f"set timeout {choice.timeout}" if choice.timeout is not None else "clear timeout ||"


def _text(value: str) -> str:
    """Return the words of a text as iPXE must read them; ``${...}`` is still filled in.

    A text with a control character other than a tab gives no word.
    """
    text = value.replace("\t", " ")
    words = (
        f"{NOTHING}{word}" if word in ("||", "&&") or word.startswith("#") else word
        for word in (text.split() if is_one_line(text) else ())
    )
    text = " ".join(words)
    return f"{text}{NOTHING}" if text.endswith("\\") else text


def _rest(offer: Offer, port: int) -> Iterator[str]:
    yield from _start(offer)
    locked = tuple(locked_lines(offer))
    for line in locked:
        yield f"\n:ask_{line}\nset wanted {line}\ngoto ask"
    if locked:
        yield _with_port(_PASSWORD, port)
    for entry in offer.entries:
        yield from _boot(entry, instead_of_nbd(offer))
    yield from _roots()
    if Tool.MEMTEST in offer.tools:
        yield _MEMTEST
    if Tool.SETUP in offer.tools:
        yield _SETUP
    if Tool.SHELL in offer.tools:
        yield _SHELL
    yield ""
    yield _TAIL


def _start(offer: Offer) -> Iterator[str]:
    yield "\n:start"
    mixed = len({each.arm for each in offer.entries}) > 1
    if mixed:
        yield from _fitting(offer)
    yield "isset ${timeout} && goto menu ||"
    yield f"prompt --key m --timeout {KEY_TIMEOUT} Press m for the boot menu... && goto menu ||"
    yield "goto image_${image}"
    yield "\n:menu"
    yield "menu Network boot from ${srv}"
    yield "item --gap Images"
    for entry, title in image_items(offer, _title):
        only = [f"iseq ${{machine}} {_machine(entry)}"] if mixed else []
        line = f"image_{entry.name}"
        if offer.lock.holds(entry.name) and offer.lock.pbkdf2:
            # What starts by itself asks for nothing.
            yield f"set line ask_{line}"
            yield f"iseq ${{image}} {entry.name} && set line {line} ||"
            line = "${line}"
        elif offer.lock.holds(entry.name):
            only.append(f"iseq ${{image}} {entry.name}")
        yield _item(line, title, only)
    yield "item --gap This computer"
    for tool, title in tool_items(offer, ABLE):
        # A BIOS has no setup that could be asked for.
        only = ["iseq ${platform} efi"] if tool is Tool.SETUP else []
        if not offer.lock.holds(tool) or offer.lock.pbkdf2:
            yield _item(f"ask_{tool}" if offer.lock.holds(tool) else tool, title, only)
    yield "isset ${timeout} || set timeout 0"
    yield "choose --timeout ${timeout} --default image_${image} selected && goto ${selected} ||"
    yield "goto start"


def _item(line: str, title: str, only: list[str]) -> str:
    """Return the row of a line of the menu, which is there under conditions."""
    row = " && ".join([*only, f"item {line} {title}"])
    return f"{row} ||" if only else row


def _fitting(offer: Offer) -> Iterator[str]:
    """Yield what takes another image where the one that is to start is for other machines."""
    yield "iseq ${buildarch} arm64 && set machine arm || set machine x86"
    first = {_machine(each): each.name for each in reversed(offer.entries)}
    for entry in offer.entries:
        (other,) = first.keys() - {_machine(entry)}
        yield f"iseq ${{machine}}:${{image}} {other}:{entry.name} && set image {first[other]} ||"


def _machine(entry: Entry) -> str:
    return "arm" if entry.arm else "x86"


def _title(text: str) -> str:
    # Settings are filled in again and again until none is left, so there is no way to quote one.
    return _text(re.sub(r"[$]+{", "{", ascii_of(text)))


def _boot(entry: Entry, instead: RootTransport) -> Iterator[str]:
    yield f"\n:image_{entry.name}"
    yield f"set name {entry.image}"
    yield f"set generation {entry.generation}"
    if not entry.layered:
        yield f"set root {DIRECT}"
    elif not entry.nbd:
        yield f"iseq ${{root}} {RootTransport.NBD} && set root {instead} ||"
    yield "goto load"


def _roots() -> Iterator[str]:
    """Load by HTTP, and by TFTP where HTTP fails; NBD clients get one more add-on initrd."""
    yield "\n:load"
    yield f"set dir {directory('${name}', '${generation}')}"
    words = command_line(
        image="${name}",
        generation="${generation}",
        root="${root}",
        server="${srv}",
        base="${base}",
        net="${net}",
        parameters="${parameters}",
    )
    yield f"set args {words}"
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
        # The gateway can tell what this machine needs of it.
        fit = "${fit}" if way == "http" else ""
        yield f"initrd --name initrd.img ${{base}}/${{dir}}/initrd.img{fit} {fail}"
        yield "boot || goto failed"
