"""The nouns of ``ltspctl`` → its page, in Markdown. Pure."""

from collections.abc import Iterable, Iterator

from ltspd.cli.grammar import EXIT, JSON, VERSION, Argument, Command

_HEAD = """# ltspctl

## Synopsis

`ltspctl` [`--version`] *COMMAND* [*VERB*] [*ARGUMENTS*]

## Description

`ltspctl` is the command line of [ltspd](ltspd.md), the network boot server daemon. It speaks only D-Bus
(see [org.ltsp.Server1](dbus.md)), so it can do what your authorization lets you do, and no more. On a
terminal it asks for a password where one is needed.

Every command takes `--json`. Without it, tables are for people and may change; scripts use `--json`
and the exit status. Colours appear only on a terminal, and not if `NO_COLOR` is set.

    ltspctl setup
    ltspctl image build /
    ltspctl status
"""

_TAIL = """

## Environment

| variable | meaning |
|---|---|
| `NO_COLOR` | if set, no colours |
| `DBUS_SYSTEM_BUS_ADDRESS` | another bus than the system's |

## See also

[ltspd](ltspd.md)(8), [ltsp.conf](ltsp.conf.md)(5), [org.ltsp.Server1](dbus.md)(7), [ltsp](ltsp.md)(8),
`journalctl`(1), `pkttyagent`(1)
"""


def page(commands: Iterable[Command]) -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *_commands(commands), "## Exit status", "", *_exit()]) + _TAIL


def usage(command: Command) -> str:
    """Return a command's line: ``ltspctl image build [NAME] [--background] …``."""
    words = [f"`ltspctl {command.words}`", *(_usage(each) for each in command.arguments)]
    return " ".join(words)


def _usage(argument: Argument) -> str:
    if argument.option:
        return f"[{_option(argument)}]"
    match argument.nargs:
        case "?":
            return f"[*{argument.metavar}*]"
        case "*":
            return f"[*{argument.metavar}* …]"
        case _:
            return f"*{argument.metavar}*"


def _option(argument: Argument) -> str:
    value = f" *{argument.metavar}*" if argument.valued else ""
    return f"`{argument.names[0]}`{value}"


def _commands(commands: Iterable[Command]) -> Iterator[str]:
    yield "## Commands"
    yield ""
    for each in commands:
        yield f"### {usage(each)}"
        yield ""
        text = each.help[0].upper() + each.help[1:] + "."
        yield f"{text} {each.more}".rstrip()
        yield ""
        if each.arguments:
            yield from _arguments(each.arguments)
            yield ""
    yield "## Options of every command"
    yield ""
    yield from _arguments((JSON, VERSION))
    yield ""


def _arguments(arguments: tuple[Argument, ...]) -> Iterator[str]:
    yield "| argument | meaning |"
    yield "|---|---|"
    for each in arguments:
        name = _option(each) if each.option else f"*{each.metavar}*"
        yield f"| {name} | {each.help} |"


def _exit() -> Iterator[str]:
    yield "| status | meaning |"
    yield "|---|---|"
    for status, meaning in EXIT.items():
        yield f"| {status} | {meaning} |"
