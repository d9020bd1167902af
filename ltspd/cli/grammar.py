"""How a noun of ``ltspctl`` and its commands are declared. Pure.

The declarations are in ``nouns``; the parser, the completions and the manual are made from them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple


class Argument(NamedTuple):
    """An option (its names begin with ``-``) or a word. ``complete``: the kind of names that a shell offers.

    ``nargs`` is argparse's, ``?`` or ``*``; empty: exactly one. An option takes a value if it has a metavar.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    nargs: str = ""
    complete: str = ""

    @property
    def option(self) -> bool:
        """Whether it is an option and not a word."""
        return self.names[0].startswith("-")

    @property
    def valued(self) -> bool:
        """Whether it is an option with a value behind it."""
        return self.option and bool(self.metavar)


class Command(NamedTuple):
    """``ltspctl NOUN VERB ARGUMENTS``, or ``ltspctl NOUN ARGUMENTS`` if the verb is empty.

    ``run`` gets the connection and the parsed arguments, prints, and returns the exit status. ``more``
    follows ``help`` in the manual. The noun fills in its own name. ``alone``: it needs no daemon, and gets no
    connection.
    """

    verb: str
    help: str
    run: Callable[[Any, Any], int]
    arguments: tuple[Argument, ...] = ()
    more: str = ""
    noun: str = ""
    alone: bool = False

    @property
    def words(self) -> str:
        """How the command begins, without the program's name."""
        return f"{self.noun} {self.verb}".rstrip()


class Noun(NamedTuple):
    """A noun with its commands; ``place``: the help lists nouns from the lowest to the highest.

    ``names`` has for each kind of names that shells offer (see Argument) a function that takes all objects of
    the daemon and the word before, which is an image's name where the kind is of an image's parts.
    """

    name: str
    place: int
    help: str
    commands: tuple[Command, ...]
    names: Mapping[str, Callable[[Any, str], list[str]]] = {}


def commands(nouns: Iterable[Noun]) -> tuple[Command, ...]:
    """Return the commands of nouns, in their order."""
    return tuple(each._replace(noun=noun.name) for noun in nouns for each in noun.commands)


JSON = Argument(("--json",), "print JSON instead of text")
NO_WAIT = Argument(("--no-wait",), "start the job, print its id, don't wait for it")
VERSION = Argument(("--version",), "print the version of ltspctl and end")
HELP = Argument(("-h", "--help"), "print help and end")

# The command that completions call; it is not listed.
HIDDEN = "complete"

EXIT: Mapping[int, str] = {
    0: "done",
    1: "the daemon refused it, the job failed, or what was checked has errors",
    2: "the command line is wrong",
    3: "not authorized",
    4: "the daemon or the system bus can't be reached",
    130: "interrupted; a job that was started goes on",
}
