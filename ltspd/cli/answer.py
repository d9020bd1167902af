"""Running a command, and how its answer is printed: text, with colours on a terminal, or JSON.

What goes wrong becomes a sentence and an exit status here, and nowhere else.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.dbus.caller import CallError, Client, Unreachable

# What runs a command: it asks the daemon, prints, and returns the exit status.
Run = Callable[[Client, argparse.Namespace], int]
# A table of objects, and all about one object, as text; the last argument: with colours.
Table = Callable[[Sequence[server.Properties], bool], str]
Page = Callable[[server.Properties, bool], str]


def lists(noun: str, table: Table) -> Run:
    """Return the command that lists all objects of a noun."""

    def run(client: Client, options: argparse.Namespace) -> int:
        found = server.objects(client, noun)
        if options.json:
            return as_json(found)
        print(table(found, coloured()))
        return server.OK

    return run


def shows(noun: str, page: Page = show.properties) -> Run:
    """Return the command that shows one object, which is named by its first word."""

    def run(client: Client, options: argparse.Namespace) -> int:
        found = server.one(client, noun, options.id if noun == "Job" else options.name)
        if options.json:
            return as_json(found)
        print(page(found, coloured()))
        return server.OK

    return run


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


def connected(command: Callable[[Client], int]) -> int:
    """Run a command with a connection and return its exit status; raises Unreachable, what it raises."""
    client = Client()
    try:
        return command(client)
    finally:
        client.close()


def guarded(program: str, command: Callable[[Client], int]) -> int:
    """Run a command with a connection and return the exit status."""
    return alone(program, lambda: connected(command))


def alone(program: str, command: Callable[[], int]) -> int:
    """Run a command that makes its own connection, if any, and return the exit status."""
    try:
        return command()
    except KeyboardInterrupt:
        return server.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output ("| head") has seen enough; nothing may be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return server.FAILED
    except server.NoSuch as error:
        return fail(program, str(error), server.FAILED)
    except Unreachable as error:
        return fail(program, str(error), server.NOT_REACHABLE)
    except CallError as error:
        status = server.status_of(error)
        sentence = _absent(error) if status == server.NOT_REACHABLE else error.message
        return fail(program, sentence, status)


def fail(program: str, sentence: str, status: int) -> int:
    """Print a sentence about what went wrong, and return the status."""
    print(f"{program}: {show.clean(sentence)}", file=sys.stderr)
    return status


def _absent(error: CallError) -> str:
    if error.name.endswith(".NoReply"):
        return (
            f"ltspd gave no answer ({error.message}) See 'systemctl status ltspd' and 'journalctl -u ltspd'."
        )
    return "ltspd is not running. Start it: 'systemctl start ltspd'; why it ended: 'journalctl -u ltspd'."
