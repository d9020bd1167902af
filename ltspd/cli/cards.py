"""The part of ``ltspctl setup`` for the server's cards: one beside a router, or two."""

import argparse
import select
import sys
from collections.abc import Callable, Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import as_json, done
from ltspd.cli.grammar import Argument, Command
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH

# Seconds that a person may think; the server waits some seconds longer (ltspd-setup.timer).
THINK = 55.0


def _cards(kind: str) -> Callable[[Client, argparse.Namespace], int]:
    """Return the command that sets the cards up."""

    def run(client: Client, options: argparse.Namespace) -> int:
        given = {name: getattr(options, name, None) for name in ("lan", "wan", "address")}
        words = {name: ("s", value) for name, value in given.items() if value}
        flags = {
            "dns": getattr(options, "dns", False),
            "convert": options.convert,
            "dry-run": options.dry_run,
        }
        asked = {**words, **{name: ("b", True) for name, value in flags.items() if value}}
        (answer,) = server.act(client, ROOT_PATH, "Manager", "SetUp", "sa{sv}", [kind, asked])
        if options.json:
            return as_json(answer)
        for each in answer["Warnings"]:
            print(f"Note: {show.clean(each)}", file=sys.stderr)
        if not answer["Changes"]:
            print("Nothing changes: it is set up like that.")
            return server.OK
        print(_lines(answer["Changes"]))
        if options.dry_run:
            print("Nothing was changed.")
            return server.OK
        if answer["Confirm"] and not _kept(client, options):
            return server.FAILED
        print("Done; 'ltspctl setup undo' undoes it. Next: 'ltspctl setup' builds the first image.")
        return server.OK

    return run


def _kept(client: Client, options: argparse.Namespace) -> bool:
    """Ask whether a change stays that may have cut connections; return whether it does."""
    if not options.yes:
        print(
            "A card lost an address by this. Can you read this, and is all well? "
            "Else it is undone after a minute. Keep it? [y/N] ",
            end="",
            flush=True,
        )
        if not sys.stdin.isatty():
            print("\nNobody can be asked here: 'ltspctl setup confirm' keeps it.")
            return True
        ready, _, _ = select.select([sys.stdin], [], [], THINK)
        if not ready or sys.stdin.readline().strip().lower() not in ("y", "yes"):
            server.act(client, ROOT_PATH, "Manager", "UndoSetup")
            print("\nUndone.")
            return False
    server.act(client, ROOT_PATH, "Manager", "ConfirmSetup")
    return True


def _confirm(client: Client, options: argparse.Namespace) -> int:
    server.act(client, ROOT_PATH, "Manager", "ConfirmSetup")
    return done(options, "The set-up stays.", Confirmed=True)


def _undo(client: Client, options: argparse.Namespace) -> int:
    (changes,) = server.act(client, ROOT_PATH, "Manager", "UndoSetup")
    text = _lines(changes) if changes else "There is no set-up, so nothing is undone."
    return done(options, text, Changes=list(changes))


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(show.clean(each) for each in lines)


_LAN = Argument(("--lan",), "the card of clients", "CARD")
_COMMON = (
    Argument(("--convert",), "change files of ifupdown, where that has the card"),
    Argument(("--dry-run",), "show what would differ, and change nothing"),
    Argument(("--yes",), "ask nothing"),
)
COMMANDS = (
    Command(
        "single",
        "set up one card, beside a router that gives addresses",
        _cards("single"),
        (
            Argument(("--lan",), "the card, if there are several", "CARD"),
            Argument(("--dns",), "answer clients' questions for names, too"),
            *_COMMON,
        ),
        "A card that has an address stays as it is; one that has none asks the router for one.",
    ),
    Command(
        "dual",
        "set up two cards: clients get a network of their own, and this server is their router",
        _cards("dual"),
        (
            Argument(("--wan",), "the card towards the router; it may be wireless", "CARD"),
            _LAN,
            Argument(("--address",), "the server's own there; 192.168.67.1/24 by default", "ADDRESS/LENGTH"),
            *_COMMON,
        ),
        "The clients' card gets the address, by NetworkManager or systemd-networkd; files of ifupdown are "
        "changed with --convert only, else the lines are printed. The server then gives addresses there, "
        "routes for clients (NAT) and answers their questions for names (DNS), also after a reboot. If a "
        "card loses an address by that, it is undone after a minute, unless somebody confirms it.",
    ),
    Command("confirm", "let a set-up stay that would be undone after a minute", _confirm),
    Command("undo", "take everything back that a set-up of cards did", _undo),
)
