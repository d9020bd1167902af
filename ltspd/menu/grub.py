"""The menu as a configuration of GRUB, which machines with Secure Boot fetch by TFTP. Pure.

A client's own choice is made inside: by its MAC and IP address, because GRUB asks for no other file. Every
text stands between single quotes, where GRUB's language knows nothing special.
"""

from collections.abc import Iterator

from ltspd.menu.items import image_items, latin_of, tool_items
from ltspd.menu.kernel import ADD_ON, NBD_ADD_ON, command_line, directory, instead_of_nbd
from ltspd.menu.lock import USER
from ltspd.model.menu import DIRECT, BootWay, Menu, MenuChoice, RootTransport, Tool
from ltspd.names import is_one_line

# The command line is no line of the menu here: it is behind the key "c".
ABLE = frozenset(Tool) - {Tool.SHELL, Tool.SETUP}
# What GRUB compares a host with. A name that only DHCP gives is none of its variables.
_KEYS = {"mac": "$net_default_mac", "ip": "$net_default_ip"}
# Loads what booted last from this device: it names the server, by TFTP or HTTP.
_LTSP = "/ltsp"

_TOOLS = {
    Tool.LOCAL: "exit",
    Tool.RESTART: "reboot",
    Tool.FIRMWARE: "fwsetup",
    # No memory test has a signature that Secure Boot takes.
    Tool.MEMTEST: f'if [ "$lockdown" = "y" ]; then echo "Secure Boot forbids that."; sleep 5; '
    f"else chainloader {_LTSP}/memtest.efi; boot; fi",
}
_NO_IMAGE = """\
menuentry 'The server has no image yet' --unrestricted {
  echo "On the server: ltspctl image build"
  sleep --interruptible 30
  reboot
}"""


def configuration(menu: Menu, port: int) -> str:
    """Return the text of grub.cfg; ``port`` is where the files are served by HTTP."""
    return "".join(f"{line}\n" for line in _lines(menu, port))


def _lines(menu: Menu, port: int) -> Iterator[str]:
    yield "# Written by ltspd; changes here are reported, not kept."
    lock = menu.lock(BootWay.SHIM)
    if Tool.SHELL not in menu.offer.tools or lock.names:
        # Only a superuser gets the command line or edits an entry; without a password nobody is one.
        yield f'set superusers="{USER if lock.names and lock.pbkdf2 else ""}"'
        yield "export superusers"
    if lock.names and lock.pbkdf2:
        yield f"password_pbkdf2 {USER} {lock.pbkdf2}"
    yield from _choice(menu.default)
    word = "if"
    for key, value, choice in menu.hosts:
        if key in _KEYS:
            yield f'{word} [ "{_KEYS[key]}" = {_quoted(value)} ]; then'
            yield from (f"  {line}" for line in _choice(choice))
            word = "elif"
    if word == "elif":
        yield "fi"
    yield from _function(port)
    for entry, title in image_items(menu.offer, latin_of, arm=False):
        root = '"$root_way"' if entry.layered else DIRECT
        name, who, end = _quoted(f"image_{entry.name}"), "--unrestricted", "}"
        if lock.holds(entry.name):
            # What starts by itself asks for nothing.
            yield f'if [ "$default" = {name} ]; then set who=--unrestricted; else set who=--users={USER}; fi'
            who = "$who"
            if not lock.pbkdf2:
                yield 'if [ "$who" = --unrestricted ]; then'
                end = "}; fi"
        yield f"menuentry {_quoted(title)} --id {name} {who} {{"
        if not entry.nbd:
            other = instead_of_nbd(menu.offer)
            yield f'  if [ "$root_way" = {RootTransport.NBD} ]; then set root_way={other}; fi'
        yield f"  start_image {_quoted(entry.image)} {_quoted(entry.generation)} {root}"
        yield end
    if not menu.offer.entries:
        yield _NO_IMAGE
    for tool, title in tool_items(menu.offer, ABLE):
        who = f"--users={USER}" if lock.holds(tool) else "--unrestricted"
        if lock.pbkdf2 or not lock.holds(tool):
            yield f"menuentry {_quoted(title)} --id {tool} {who} {{"
            yield f"  {_TOOLS[tool]}"
            yield "}"


def _choice(choice: MenuChoice) -> Iterator[str]:
    yield f"set default={_quoted(f'image_{choice.entry}')}"
    yield f"set root_way={choice.transport}"
    yield f"set parameters={_quoted(choice.kernel_parameters)}"
    # Where no menu is shown, nothing waits for a key, but ESC that came before counts. Shift alone does not:
    # UEFI tells it only together with a key that was typed.
    yield f"set timeout_style={'hidden' if choice.timeout is None else 'menu'}"
    yield f"set timeout={_seconds(choice.timeout)}"


def _seconds(milliseconds: int | None) -> int:
    """Return GRUB's timeout; 0 ms waits for ever in iPXE's menu, so here, too."""
    return 0 if milliseconds is None else -(-milliseconds // 1000) or -1


def _function(port: int) -> Iterator[str]:
    """Yield what starts an image. Without ``ip=`` the client asks DHCP itself: GRUB knows no netmask."""
    server = "$net_default_server"
    words = command_line(
        image="$1",
        generation="$2",
        root="$3",
        server=server,
        base=f"http://{server}{'' if port == 80 else f':{port}'}{_LTSP}",
        net="BOOTIF=01-$net_default_mac",
        parameters="$parameters",
    )
    folder = f"{_LTSP}/{directory('$1', '$2')}"
    yield "function start_image {"
    yield '  echo "Loading $1 from $net_default_server ..."'
    yield f'  if [ "$3" = {RootTransport.NBD} ]; then set nbd={_LTSP}/{NBD_ADD_ON}; else set nbd=""; fi'
    # Without quotes: each word of the parameters is one of the kernel's.
    yield f"  if linux {folder}/vmlinuz {words}; then"
    yield f"    if initrd {_LTSP}/{ADD_ON} $nbd {folder}/initrd.img; then boot; fi"
    yield "  fi"
    yield '  echo "Kernel or initrd could not be loaded. On the server: ltspctl status"'
    yield "  sleep --interruptible 30"
    yield "  reboot"
    yield "}"


def _quoted(text: str) -> str:
    """Return a text as GRUB reads it; one with a control character other than a tab is empty."""
    plain = text.replace("\t", " ")
    return "'" + (plain if is_one_line(plain) else "").replace("'", "'\\''") + "'"
