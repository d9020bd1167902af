"""``ltspctl``: the command line of ltspd. Errors become a sentence and an exit status here, once."""

import os
import sys
from collections.abc import Sequence

from ltspd.cli import server
from ltspd.cli.client import CallError, Client, Unreachable
from ltspd.cli.commands import COMMANDS
from ltspd.cli.parser import misspelt, parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sentence := misspelt(words):
        return _fail(sentence, server.USAGE)
    options = parser().parse_args(words)
    if options.version:
        from ltspd import __version__

        print(f"ltspctl {__version__}")
        return server.OK
    if options.command is None:
        parser().print_help(sys.stderr)
        return server.USAGE
    try:
        client = Client()
        try:
            return COMMANDS[options.command, getattr(options, "verb", None)](client, options)
        finally:
            client.close()
    except KeyboardInterrupt:
        return server.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output ("| head") has seen enough; nothing may be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return server.FAILED
    except server.NoSuch as error:
        return _fail(str(error), server.FAILED)
    except Unreachable as error:
        return _fail(str(error), server.NOT_REACHABLE)
    except CallError as error:
        status = server.status_of(error)
        if status == server.NOT_REACHABLE:
            return _fail(_absent(error), status)
        return _fail(error.message, status)


def _absent(error: CallError) -> str:
    if error.name.endswith(".NoReply"):
        return (
            f"ltspd gave no answer ({error.message}) See 'systemctl status ltspd' and 'journalctl -u ltspd'."
        )
    return "ltspd is not running. Start it: 'systemctl start ltspd'; why it ended: 'journalctl -u ltspd'."


def _fail(sentence: str, status: int) -> int:
    from ltspd.cli.show import clean

    print(f"ltspctl: {clean(sentence)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
