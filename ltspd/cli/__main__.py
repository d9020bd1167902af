"""``ltspctl``: the command line of ltspd. Its parser is made from the nouns."""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence

from ltspd.api import remote as server
from ltspd.cli.answer import alone, fail, guarded
from ltspd.cli.grammar import EXIT, HIDDEN, JSON, VERSION, Argument, Command
from ltspd.cli.nouns import commands, names, nouns
from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client
from ltspd.names import ROOT_PATH

# Shells expand what a completion offers, and an interface may be named after a command substitution.
SAFE = re.compile(r"[A-Za-z0-9._:@+-]+|/")
# Nobody waits longer than this for a key; seconds.
PATIENCE = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sentence := misspelt(words):
        return fail("ltspctl", sentence, server.USAGE)
    options = parser().parse_args(words)
    if options.version:
        from ltspd import __version__

        print(f"ltspctl {__version__}")
        return server.OK
    if options.command is None:
        parser().print_help(sys.stderr)
        return server.USAGE
    if options.command == HIDDEN:
        return guarded("ltspctl", lambda client: _complete(client, options))
    verb = getattr(options, "verb", "") or ""
    (command,) = (each for each in nouns()[options.command].commands if each.verb == verb)
    if command.alone:
        return alone("ltspctl", lambda: command.run(None, options))
    return guarded("ltspctl", lambda client: command.run(client, options))


def parser() -> argparse.ArgumentParser:
    """Return the parser; the chosen command's name is in ``command`` (and ``verb``)."""
    lines = "\n".join(f"  {status:<4} {meaning}" for status, meaning in EXIT.items())
    top = argparse.ArgumentParser(
        prog="ltspctl",
        description="Talk to ltspd, the network boot server daemon.",
        epilog=f"{_verbs_in_help()}\n\nexit status:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add(top, VERSION)
    choices = top.add_subparsers(dest="command", metavar="COMMAND")
    for noun in nouns().values():
        if not (first := noun.commands[0]).verb:
            group = choices.add_parser(noun.name, help=noun.help, description=_sentence(first))
            _fill(group, first)
        else:
            group = choices.add_parser(noun.name, help=noun.help, description=f"{noun.name}: {noun.help}.")
        if not (verbs := [each for each in noun.commands if each.verb]):
            continue
        inner = group.add_subparsers(dest="verb", metavar="VERB", required=bool(first.verb))
        for each in verbs:
            _fill(inner.add_parser(each.verb, help=each.help, description=_sentence(each)), each)
    hidden = choices.add_parser(HIDDEN)  # without help, so that it is not listed
    hidden.add_argument("kind", choices=tuple(names()))
    hidden.add_argument("image", nargs="?", default="")
    return top


def _sentence(command: Command) -> str:
    text = command.help[0].upper() + command.help[1:] + "."
    return f"{text} {command.more}".rstrip()


def _verbs_in_help() -> str:
    """Return the verbs of every noun that has some: the list of nouns alone would hide them."""
    groups: dict[str, list[str]] = {}
    for each in commands():
        if each.verb:
            groups.setdefault(each.noun, []).append(each.verb)
    width = max(map(len, groups))
    lines = (f"  {noun:<{width}}  {' | '.join(verbs)}" for noun, verbs in groups.items())
    return "verbs ('ltspctl COMMAND VERB --help' says more):\n" + "\n".join(lines)


def _fill(into: argparse.ArgumentParser, command: Command) -> None:
    for argument in (*command.arguments, JSON):
        _add(into, argument)


def _add(into: argparse.ArgumentParser, argument: Argument) -> None:
    if argument.valued:
        into.add_argument(*argument.names, metavar=argument.metavar, help=argument.help)
        return
    if argument.option:
        into.add_argument(*argument.names, action="store_true", help=argument.help)
        return
    name = argument.names[0]
    if argument.nargs == "?":
        into.add_argument(name, metavar=argument.metavar, nargs="?", default="", help=argument.help)
    elif argument.nargs:
        into.add_argument(name, metavar=argument.metavar, nargs=argument.nargs, help=argument.help)
    else:
        into.add_argument(name, metavar=argument.metavar, help=argument.help)


def _complete(client: Client, options: argparse.Namespace) -> int:
    """Print names for shell completions, one a line. Never starts the daemon, never complains."""
    try:
        (found,) = client.call(
            ROOT_PATH, server.OBJECT_MANAGER, "GetManagedObjects", flags=wire.NO_AUTO_START, timeout=PATIENCE
        )
    except CallError:
        return server.OK
    for each in names()[options.kind](found, options.image):
        if SAFE.fullmatch(each):
            print(each)
    return server.OK


def misspelt(arguments: Sequence[str]) -> str:
    """Return a sentence about an unknown command or verb, or an empty string if there is none."""
    words = [each for each in arguments if not each.startswith("-")]
    if not words:
        return ""
    noun = words[0]
    if noun == HIDDEN:
        return ""
    if noun not in nouns():
        return _unknown(f"There is no command {noun!r}.", noun, nouns(), "ltspctl --help")
    verbs = [each.verb for each in commands() if each.noun == noun and each.verb]
    if verbs and len(words) > 1 and words[1] not in verbs:
        return _unknown(f"{noun!r} has no verb {words[1]!r}.", words[1], verbs, f"ltspctl {noun} --help")
    return ""


def _unknown(sentence: str, word: str, known: Iterable[str], where: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{sentence} {meant}'{where}' lists what there is."


if __name__ == "__main__":
    sys.exit(main())
