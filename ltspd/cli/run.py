"""Running a command: connect, call it, and turn what goes wrong into a sentence and an exit status, once."""

import os
import sys
from collections.abc import Callable

from ltspd.api import remote as server
from ltspd.dbus.caller import CallError, Client, Unreachable


def guarded(program: str, command: Callable[[Client], int]) -> int:
    """Run a command with a connection and return the exit status."""
    try:
        client = Client()
        try:
            return command(client)
        finally:
            client.close()
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
    from ltspd.cli.show import clean

    print(f"{program}: {clean(sentence)}", file=sys.stderr)
    return status


def _absent(error: CallError) -> str:
    if error.name.endswith(".NoReply"):
        return (
            f"ltspd gave no answer ({error.message}) See 'systemctl status ltspd' and 'journalctl -u ltspd'."
        )
    return "ltspd is not running. Start it: 'systemctl start ltspd'; why it ended: 'journalctl -u ltspd'."
