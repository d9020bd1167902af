"""``ltspctl``: the command line of ltspd."""

import sys
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli.commands import COMMANDS
from ltspd.cli.parser import misspelt, parser
from ltspd.cli.run import fail, guarded


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
    command = COMMANDS[options.command, getattr(options, "verb", None)]
    return guarded("ltspctl", lambda client: command(client, options))


if __name__ == "__main__":
    sys.exit(main())
