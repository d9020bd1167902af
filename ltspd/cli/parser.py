"""The command line: a parser made from the grammar, and what was probably meant by an unknown word."""

import argparse
from collections.abc import Iterable, Sequence

from ltspd.cli.grammar import COMMANDS, EXIT, HIDDEN, JSON, KINDS, NOUNS, VERSION, Argument, Command


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
    nouns = top.add_subparsers(dest="command", metavar="COMMAND")
    for noun, text in NOUNS.items():
        verbs = [each for each in COMMANDS if each.noun == noun]
        if not verbs[0].verb:
            _fill(nouns.add_parser(noun, help=text, description=_sentence(verbs[0])), verbs[0])
            continue
        group = nouns.add_parser(noun, help=text, description=f"{noun}: {text}.")
        inner = group.add_subparsers(dest="verb", metavar="VERB", required=True)
        for each in verbs:
            _fill(inner.add_parser(each.verb, help=each.help, description=_sentence(each)), each)
    hidden = nouns.add_parser(HIDDEN)  # without help, so that it is not listed
    hidden.add_argument("kind", choices=KINDS)
    hidden.add_argument("image", nargs="?", default="")
    return top


def _sentence(command: Command) -> str:
    text = command.help[0].upper() + command.help[1:] + "."
    return f"{text} {command.more}".rstrip()


def _verbs_in_help() -> str:
    """Return the verbs of every noun that has some: the list of nouns alone would hide them."""
    groups: dict[str, list[str]] = {}
    for each in COMMANDS:
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


def misspelt(arguments: Sequence[str]) -> str:
    """Return a sentence about an unknown command or verb, or an empty string if there is none."""
    words = [each for each in arguments if not each.startswith("-")]
    if not words:
        return ""
    noun = words[0]
    if noun == HIDDEN:
        return ""
    if noun not in NOUNS:
        return _unknown(f"There is no command {noun!r}.", noun, NOUNS, "ltspctl --help")
    verbs = [each.verb for each in COMMANDS if each.noun == noun and each.verb]
    if verbs and len(words) > 1 and words[1] not in verbs:
        return _unknown(f"{noun!r} has no verb {words[1]!r}.", words[1], verbs, f"ltspctl {noun} --help")
    return ""


def _unknown(sentence: str, word: str, known: Iterable[str], where: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{sentence} {meant}'{where}' lists what there is."
