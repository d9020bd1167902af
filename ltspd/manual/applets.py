"""LTSP's applets → the page of the command ``ltsp``, in Markdown."""

from collections.abc import Iterator, Sequence

from ltspd.cli.applets import APPLETS, GLOBAL, Applet, Option, shown
from ltspd.cli.ltsp5 import COMMANDS

_HEAD = """# ltsp

## Synopsis

`ltsp` [*OPTIONS*] *APPLET* [*APPLET-OPTIONS*] [*IMAGE* …]

## Description

`ltsp` is for the habits and the scripts of people who used LTSP 19 to 23: its applets, as far as they still
mean something, with their options. Each is a D-Bus call to [ltspd](ltspd.md). New scripts use
[ltspctl](ltspctl.md).

Most applets made a file that had to be made again after a change. `ltspd` keeps all files up to date by
itself, so these applets only make sure that it is so, and say it. Values of options may be given as
`--option=value`, `--option value` or `-ovalue`; where a value may be left out, only as the first or the last.

An option that asks for something that a command can't give any more is refused before anything is done, with
the line of ltsp.conf to write instead.

| habit | today |
|---|---|
| `ltsp image /` | the same, or `ltspctl image build /`; after upgrades it happens by itself |
| `ltsp image -r NAME` | `ltspctl image revert NAME` |
| `ltsp initrd` after a change of ltsp.conf or of accounts | nothing to do |
| `ltsp ipxe`, `ltsp kernel`, `ltsp nfs` | nothing to do |
| `ltsp dnsmasq -p0` | `PROXY_DHCP=0` in `[server]` of ltsp.conf |
| `ltsp info` | `ltspctl status` |
"""

_OLDER = """## Commands of LTSP 5

They are there under their names. What has no counterpart says so, and ends with the status 1.

| command | is now |
|---|---|"""

_TAIL = """
## Exit status

As of [ltspctl](ltspctl.md)(1).

## See also

[ltspctl](ltspctl.md)(1), [ltspd](ltspd.md)(8), [ltsp.conf](ltsp.conf.md)(5)
"""


def page() -> str:
    """Return the whole page."""
    lines = [_HEAD, "## Options", "", *_options(GLOBAL), "", "## Applets", ""]
    for applet in APPLETS.values():
        lines += [*_applet(applet), ""]
    lines += [_OLDER, *(f"| `{name}` | {each.about} |" for name, each in COMMANDS.items()), ""]
    for name, each in COMMANDS.items():
        if each.options:
            lines += [f"### `{name}`", "", *_options(each.options), ""]
    return "\n".join(lines).rstrip("\n") + "\n" + _TAIL


def _applet(applet: Applet) -> Iterator[str]:
    options = " [*OPTIONS*]" if applet.options else ""
    words = f" [*{applet.words}* …]" if applet.words else ""
    yield f"### `ltsp {applet.name}`{options}{words}"
    yield ""
    yield f"{applet.about[0].upper()}{applet.about[1:]}."
    if applet.options:
        yield ""
        yield from _options(applet.options)


def _options(options: Sequence[Option]) -> Iterator[str]:
    yield "| option | here |"
    yield "|---|---|"
    for each in options:
        names = "`, `".join(shown(each).split(", "))
        yield f"| `{names}` | {each.about} |".replace("0|1", "0\\|1")
