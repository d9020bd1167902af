"""Methods of ``Manager`` about the server's cards: set-ups with one and with two."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Protocol

from ltspd.api import noun
from ltspd.api.noun import CONFIGURE, PATIENCE, Call, Method, Option, Property, record
from ltspd.errors import InvalidOption, ToolFailed, Unanswered
from ltspd.model.state import State

SINCE = "0.4.0"


class Core(noun.Core, Protocol):
    """What these methods need."""

    async def set_up(self, verb: str, words: Mapping[str, object]) -> Mapping[str, Any]:
        """Have a set-up planned, made, confirmed or undone, and return what differs."""


def _lines(key: str) -> Any:
    return lambda answer: tuple(answer[key])


RESULT: tuple[Property[Mapping[str, Any]], ...] = (
    Property("Changes", "as", _lines("changes"), "a line for each difference; none: all is so already"),
    Property("Warnings", "as", _lines("warnings"), "what a person should know"),
    Property(
        "Confirm",
        "b",
        lambda answer: bool(answer["confirm"]),
        "it is undone after a minute unless ConfirmSetup is called",
    ),
)


async def _set_up(core: Core, _state: State, call: Call) -> Mapping[str, Any]:
    kind, options = call.arguments
    words = {name: value for name, value in options.items() if name != "dry-run"}
    verb = "plan" if options.get("dry-run") else "make"
    return record(RESULT, await _ask(core, verb, {"kind": kind, **words}))


async def _confirm(core: Core, _state: State, _call: Call) -> None:
    await _ask(core, "confirm", {})


async def _undo(core: Core, _state: State, _call: Call) -> tuple[str, ...]:
    return tuple((await _ask(core, "undo", {}))["changes"])


async def _ask(core: Core, verb: str, words: Mapping[str, object]) -> Mapping[str, Any]:
    try:
        return await core.set_up(verb, words)
    finally:
        if verb != "plan":
            await core.follow_up(PATIENCE)


METHODS: tuple[Method[State], ...] = (
    Method(
        name="SetUp",
        inputs="s kind, a{sv} options",
        outputs="a{sv} result",
        run=_set_up,
        action=CONFIGURE,
        options=(
            Option(
                "lan", "s", "is the card of clients; with one card it is found if it is the only wired one"
            ),
            Option("wan", "s", "is the card towards the router, with two cards"),
            Option("address", "s", "is the server's own in the clients' network; 192.168.67.1/24"),
            Option("dns", "b", "answers clients' questions for names; always so with two cards"),
            Option("convert", "b", "changes files of ifupdown, where that has the card"),
            Option("dry-run", "b", "changes nothing, and returns what would differ"),
        ),
        keys=RESULT,
        doc="""Set up this server's cards: single (one, beside a router that gives addresses) or dual (two;
            clients have a network of their own, and the server routes for them and answers for names). It
            is done by whichever program has the cards. After an error everything is as it was.""",
        errors=(InvalidOption, ToolFailed, Unanswered),
        since=SINCE,
    ),
    Method(
        name="ConfirmSetup",
        run=_confirm,
        action=CONFIGURE,
        doc="Let a set-up stay that would be undone after a minute, because a card lost an address by it.",
        errors=(InvalidOption, ToolFailed, Unanswered),
        since=SINCE,
    ),
    Method(
        name="UndoSetup",
        outputs="as changes",
        run=_undo,
        action=CONFIGURE,
        doc="""Undo SetUp: take all away that it has done, and return a line for each; none if there is no
            set-up.""",
        errors=(ToolFailed, Unanswered),
        since=SINCE,
    ),
)

PROPERTIES: tuple[Property[State], ...] = (
    Property(
        "Cards",
        "s",
        attrgetter("set_up"),
        "The set-up of the server's cards that is in force: single or dual; empty: none.",
        since=SINCE,
    ),
    Property(
        "CardsWait",
        "b",
        attrgetter("set_up_waits"),
        "That set-up is undone within a minute unless ConfirmSetup is called.",
        since="0.6.0",
    ),
)
