"""The program ``ltspd``: arguments, logging, signals, exit status."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from ltspd import __version__
from ltspd.apply.commands import undo_all
from ltspd.daemon.serve import Daemon
from ltspd.dbus.connection import connect
from ltspd.errors import LtspError
from ltspd.migration import takeover
from ltspd.paths import Paths
from ltspd.system import journal, memory
from ltspd.system.notify import Notify

log = logging.getLogger("ltspd")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ltspd",
        description="Network boot server daemon. Speak to it with ltspctl(1) or over D-Bus.",
    )
    parser.add_argument("--version", action="version", version=f"ltspd {__version__}")
    parser.add_argument("--root", type=Path, default=Path("/"), help="work below this directory (default: /)")
    parser.add_argument("--bus", metavar="ADDRESS", help="D-Bus address to use instead of the system bus")
    parser.add_argument("--debug", action="store_true", help="log more")
    parser.add_argument(
        "--give-back",
        action="store_true",
        help="undo what commands of outputs did, put files of LTSP that were moved aside back, print their "
        "names, and end; for the package's removal, when no daemon runs",
    )
    return parser.parse_args()


def _logging(debug: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        handlers=[journal.handler("ltspd")],
        format="%(message)s",
    )


async def _serve(paths: Paths, bus_address: str | None = None) -> None:
    """Run one daemon on the system bus (or another) until SIGTERM; SIGHUP asks for a pass."""
    notify = Notify()
    daemon = Daemon(paths, await connect(bus_address), notify)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, daemon.stop)
    loop.add_signal_handler(signal.SIGINT, daemon.stop)
    loop.add_signal_handler(signal.SIGHUP, daemon.wake)
    await daemon.run()


def main() -> int:
    """Run the daemon; 0 after an orderly stop, 1 when it could not serve any more."""
    arguments = _arguments()
    memory.keep_little()
    _logging(arguments.debug)
    os.umask(0o022)
    status = 0
    try:
        if arguments.give_back:
            asyncio.run(undo_all(Paths(arguments.root)))
            for name in takeover.put_back(Paths(arguments.root)):
                print(name)
            return status
        asyncio.run(_serve(Paths(arguments.root), arguments.bus))
    except* LtspError as group:
        for error in group.exceptions:
            log.error("%s", error)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
