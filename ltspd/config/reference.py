"""The page about ltsp.conf in the documentation, made from the parameters' declarations. Pure.

``make docs`` writes it; a test says whether it is current.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ltspd.config.differences import DIFFERENCES
from ltspd.config.former import FORMER
from ltspd.config.hooks import MOMENTS, WITHOUT
from ltspd.config.parameter import CLIENT, SERVER, Parameter
from ltspd.config.parameters import former, table, unread

_HEAD = """# ltsp.conf

`/etc/ltsp/ltsp.conf` says what you want; `ltspd` follows it within a second of a change. The server reads it
as data and never runs it; [clients run the code in it](#code-and-hooks). `ltspctl config check` shows what is
wrong with file, line, reason and what to write instead:

* *info* is no mistake: code, and who runs it when.
* A *warning* costs only its own line or section: what nothing reads, a section that fits no machine, a
  value that a client can't use, words that are neither a setting nor surely code.
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

For a client these count, and later ones win: the lines above the first section; `[clients]`; `[common]`;
the first room that it is in; the first section that fits its MAC address; the first for its IP address; the
first for its host name; then, for a part of its life alone, the same with the name of that part: `[init/]`,
`[init/52:54:*]`, `[init/10.0.3.*]`, `[init/pc*]`. Parts are `initrd-bottom` (until the root is mounted:
only `IMAGE_TO_RAM` and `DEBUG_SHELL` are read there), `init` (all other settings), and those of the hooks
below. For the server: the lines above the first section; `[common]`; `[server]`. `ltspctl config explain
--mac …` shows what counts for a client, with file and line.

`DEFAULT_IMAGE`, `KERNEL_PARAMETERS`, `MENU_TIMEOUT` and `ROOT_TRANSPORT` are the boot menu's. Where nothing
sets one of them for a client, that of `[server]` counts for it; no client reads anything else there. All
four count when a client's boot menu asks the server by HTTP. Where that fails (another program has the port,
a firewall), the menu that came by TFTP goes on by itself; it can compare only with exact MAC addresses, IP
addresses and host names, so sections with globs don't count then. iPXE fills in its own settings in
`KERNEL_PARAMETERS`, such as `ip=${net0/ip}`; all else there is plain text to it, `||` and `#` too.
"""


_CODE = """
## Code and hooks

What only a shell understands is code: `if`, functions, commands, here-documents, calls of other sections
(`section_beamer`, `section_call beamer`), and values with `$(…)`, `${X:-y}`, `$1` or backquotes. The server
never runs any, and takes what it needs from plain values: code where it needs one is an error, or the value
before counts (`config check` says which). Clients get code with their settings, as text, and run it as
LTSP's would:

* Each section is a function; lines run in order; a section counts once. `MAC_ADDRESS`, `IP_ADDRESS`,
  `HOSTNAME` (as the boot menu or DHCP gives it, until a line sets it), `SERVER`, `DEVICE`, `GATEWAY` and
  `_APPLET` are set, and LTSP's `re`, `rw`, `rs`, `warn`, `die`, `is_command`, `section_call` and
  `debug_shell` are there. What it sets counts like any other setting.
* It runs twice: in the boot initrd (busybox) for what is read before the root is mounted, with `_APPLET`
  being `initrd-bottom`; then in the client's root, by the image's own `/bin/sh` and with its programs
  (`init`). It runs again before each moment of hooks. So it should change nothing when it runs again; what
  shall happen once is a hook.
* A piece that fails changes nothing else. Its line, and what it said, are in the client's journal
  (`journalctl -k -t ltsp`), and the server shows the client as failed with that line (`ltspctl client
  show`). The boot goes on. LTSP stops there.
* With code, changes of ltsp.conf count from the next boot, also those that else count at once: code doesn't
  run again in a system that people use. `client show` has `CODE` among what waits.
* Code with a secret in its text (a password's hash, say) stays on the server, as secrets do, with a
  warning.
* Whoever can write ltsp.conf is root on clients. They get it as they get their programs, in `ltsp.img`.
* While an image is tried out (`TEST_IMAGE`), neither code nor hooks run.

A line of words is code only if it begins with a word of the shell, a common command, a path, or a function
of the file; what people write by mistake has words, too. `command NAME` makes it code for any other.

A hook is a parameter `PRE_x` or `POST_x`, whose value is run as commands at a moment of the client. All
that fit the moment run in the order of their names. They have all settings and functions of ltsp.conf that
they name. One that fails does not keep the next ones from running; `exit` and `die` do.

| hook | when it runs |
|---|---|
"""
_AFTER_HOOKS = """
The server shows a client as failed if a hook of `INITRD_BOTTOM` or `INIT` fails and says why; others are in
the client's journal. These never run, and `config check` says so:

| hook | why, and what does it now |
|---|---|
"""


def _hooks() -> Iterator[str]:
    yield _CODE.rstrip()
    for name, (before, after) in MOMENTS.items():
        yield f"| `PRE_{name}_x` | {before} |"
        yield f"| `POST_{name}_x` | {after} |"
    yield _AFTER_HOOKS.rstrip()
    yield from (
        f"| `PRE_{name}_x`, `POST_{name}_x` | {why}; {step} |" for name, (why, step) in WITHOUT.items()
    )
    yield ""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD.rstrip()
    yield from _hooks()
    yield "## Parameters\n"
    yield "*Counts* says from when a change does: at once within seconds, on running clients too, or from "
    yield "the next boot of a client. `ltspctl client show` names what waits for that.\n"
    yield "| parameter | read by | counts | value | default | meaning |"
    yield "|---|---|---|---|---|---|"
    yield from map(_row, table().values())
    if names := unread():
        yield "\n## LTSP's parameters without effect yet\n"
        yield "They are accepted with a warning, so an existing file works.\n"
        yield ", ".join(f"`{name}`" for name in names)
    yield "\n## LTSP's parameters without a meaning here\n"
    yield "They are accepted, too. `config check` names each, unless its value is what is done anyway.\n"
    yield "| parameter | why, and what does it now |"
    yield "|---|---|"
    yield from (f"| `{name}` | {each.why}; {each.step} |" for name, each in FORMER.items() if former(name))
    yield "\n## What LTSP reads otherwise\n"
    yield "A file means the same as to LTSP 23.02, whose own code a test compares, but for this:\n"
    yield "| LTSP | here |"
    yield "|---|---|"
    yield from (_cells(each) for each in DIFFERENCES.values())


def _row(row: Parameter[Any]) -> str:
    readers = [name for side, name in ((SERVER, "server"), (CLIENT, "clients")) if side in row.sides]
    default = f"`{row.default}`" if row.default else ""
    when = "at once" if row.live or CLIENT not in row.sides else "next boot"
    cells = (f"`{row.name}`", ", ".join(readers), when, row.reader.word, default, row.help)
    return _cells(cells)


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
