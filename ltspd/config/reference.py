"""The page about ltsp.conf in the documentation, made from the parameters' declarations. Pure.

``make docs`` writes it; a test says whether it is current.
"""

from collections.abc import Iterator
from typing import Any

from ltspd.config.former import FORMER
from ltspd.config.parameter import CLIENT, SERVER, Parameter
from ltspd.config.parameters import former, table, unread

_HEAD = """# ltsp.conf

`/etc/ltsp/ltsp.conf` says what you want; `ltspd` follows it within a second of a change. It is read
as data and never run. `ltspctl config check` shows what is wrong with file, line, reason and what to write
instead. Mistakes are of two kinds:

* A *warning* costs only its own line or section: what nothing reads, a section that fits no machine, a
  value that a client can't use, and code. Code is skipped as a whole, so nothing inside `if` or a function
  is a setting.
* An *error* keeps the last good settings in force: what can't be read (a quote or an `if` that is never
  closed), and a bad value or code where the server would have to guess (`DHCP_LINKS=$(…)`). Without any
  earlier settings the defaults are in force, and nobody is given addresses until it is mended.

A value that is made from others (`ROOT_TRANSPORT=$T`) may be bad for one host: its default counts there.

```
# Lines above the first section count for everybody.
[server]
DHCP_LINKS="eth1=real eth0=proxy"

[clients]
KERNEL_PARAMETERS="quiet"

[52:54:00:12:34:56]        # one machine, by MAC address, IP address or host name
HOSTNAME=teacher
INCLUDE=beamer             # another section's lines, too

[192.168.67.*|pc*]         # globs, and alternatives with a|b
IMAGE_TO_RAM=1

[beamer]
KERNEL_PARAMETERS="video=1024x768"

[room:lab1]                # a room: its members, and settings for all of them
MEMBERS="52:54:00:* 10.0.3.* pc1*"
DEFAULT_IMAGE=trixie
```

Values are as in a shell: `'…'`, `"…"` with `$OTHER` and `\\\\`, several lines inside quotes; `export` may
stand before them. Clients get what they read and what that is made from, but no secrets: passwords, hashes
and the like stay on the server, with a warning.

A section `[room:NAME]` is a room. `MEMBERS` lists who is in it, with blanks between: MAC addresses (what has
a colon), IPv4 addresses (digits and dots), host names (all else), and globs of these with `*` and `?`; `*`
alone is every client. Several lines of `MEMBERS` add up. A host name counts if the boot menu or DHCP gives
it, or if a `HOSTNAME` outside of rooms does; one with `%{IP}` or `%{MAC}` in it is not known yet when rooms
are looked up, so give addresses there. If a client is in two rooms, the settings of the first in the file
count for it, and `ltspctl config check` names it. What else rooms are for: [control.md](control.md).

For a client these count, and later ones win: the lines above the first section; `[clients]`; `[common]`; the
first room that it is in; the first section that fits its MAC address; the first for its IP address; the first
for its host name. For the server: the lines above the first section; `[common]`; `[server]`.

`DEFAULT_IMAGE`, `KERNEL_PARAMETERS`, `MENU_TIMEOUT` and `ROOT_TRANSPORT` are the boot menu's. Where nothing
sets one of them for a client, that of `[server]` counts for it; no client reads anything else there. All
four count when a client's boot menu asks the server by HTTP. Where that fails (another program has the port,
a firewall), the menu that came by TFTP goes on by itself; it can compare only with exact MAC addresses, IP
addresses and host names, so sections with globs don't count then. iPXE fills in its own settings in
`KERNEL_PARAMETERS`, such as `ip=${net0/ip}`; all else there is plain text to it, `||` and `#` too.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Parameters\n"
    yield "*Counts* says from when a change does: at once within seconds, on running clients too, or from "
    yield "the next boot of a client. `ltspctl client show` names what waits for that.\n"
    yield "| parameter | read by | counts | value | default | meaning |"
    yield "|---|---|---|---|---|---|"
    yield from map(_row, table().values())
    yield "\n## LTSP's parameters without effect yet\n"
    yield "They are accepted with a warning, so an existing file works.\n"
    yield ", ".join(f"`{name}`" for name in unread())
    yield "\n## LTSP's parameters without a meaning here\n"
    yield "They are accepted, too. `config check` names each, unless its value is what is done anyway.\n"
    yield "| parameter | why, and what does it now |"
    yield "|---|---|"
    yield from (f"| `{name}` | {each.why}; {each.step} |" for name, each in FORMER.items() if former(name))


def _row(row: Parameter[Any]) -> str:
    readers = [name for side, name in ((SERVER, "server"), (CLIENT, "clients")) if side in row.sides]
    default = f"`{row.default}`" if row.default else ""
    when = "at once" if row.live or CLIENT not in row.sides else "next boot"
    cells = (f"`{row.name}`", ", ".join(readers), when, row.reader.word, default, row.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
