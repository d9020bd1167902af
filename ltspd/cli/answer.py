"""How a command's answer is printed: text, with colours on a terminal, or JSON."""

import argparse
import os
import sys
from collections.abc import Callable

from ltspd.api import remote as server
from ltspd.dbus.caller import Client

# What each command is: it asks the daemon, prints, and returns the exit status.
Command = Callable[[Client, argparse.Namespace], int]


def coloured() -> bool:
    """Whether colours are wanted: on a terminal, unless NO_COLOR is set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def as_json(value: object) -> int:
    """Print a value as JSON."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
    return server.OK


def done(options: argparse.Namespace, text: str, **values: object) -> int:
    """Print what was done: the sentence, or the values if JSON is wanted."""
    if options.json:
        return as_json(values)
    print(text)
    return server.OK


def agree(question: str, what: str) -> bool:
    """Ask on the terminal; raises NoSuch with ``what`` is to be done where nobody can be asked."""
    if not sys.stdin.isatty():
        raise server.NoSuch(f"{what}, and nobody can be asked: add --yes.")
    print(f"\n{question} [Y/n] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
