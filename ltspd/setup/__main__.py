"""The program of ``ltspd-setup@.service``: one verb on one server, asked by a file and answered by one."""

import fcntl
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from ltspd.dbus.caller import Client
from ltspd.errors import InvalidOption, ToolFailed
from ltspd.paths import Paths
from ltspd.setup.arrange import TROUBLE, Answer, Arranger
from ltspd.setup.request import Request
from ltspd.system.files import write_atomically

# Seconds that a person has to confirm a set-up; ltspd-setup.timer has them, too.
MINUTE = 60.0
_VERBS: Mapping[str, Callable[[Arranger, Any], Answer]] = {
    "plan": lambda arranger, words: arranger.plan(Request.of(words)),
    "make": lambda arranger, words: arranger.make(Request.of(words)),
    "confirm": lambda arranger, _: arranger.confirm(),
    "undo": lambda arranger, _: arranger.undo(),
    "rollback": lambda arranger, _: arranger.undo(unconfirmed=True),
}


def main() -> int:
    """Do what the first argument says; the daemon reads the answer, the journal has an error, too."""
    paths, verb = Paths(), sys.argv[1]
    try:
        # The timer does not know of a call that is under way.
        with open(paths.run / "setup.lock", "w") as lock:
            _wait_for(lock, verb)
            answer = asdict(_VERBS[verb](Arranger(paths, Client()), _request(paths)))
    except TROUBLE as error:
        print(error, file=sys.stderr)
        kind = error.name if isinstance(error, InvalidOption) else ToolFailed.name
        answer = {"error": kind, "message": str(error)}
    if verb == "rollback":
        # The timer asked, which reads no answer; the daemon may be about to read that to another call.
        return 1 if "error" in answer else 0
    write_atomically(paths.run / "setup.answer", json.dumps(answer).encode(), 0o600)
    return 0


def _wait_for(lock: IO[str], verb: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if verb == "rollback":
            # A set-up took longer than the timer. Somebody may confirm it, or it has broken off.
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(MINUTE)
            fcntl.flock(lock, fcntl.LOCK_EX)


def _request(paths: Paths) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads((paths.run / "setup.request").read_bytes())
        if isinstance(found, dict):
            return found
    return {}


if __name__ == "__main__":
    sys.exit(main())
