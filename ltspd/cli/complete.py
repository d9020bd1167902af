"""``ltspctl complete``: names for shell completions, one a line. Never starts the daemon, never complains."""

import argparse
import re

from ltspd.api import remote as server
from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client
from ltspd.names import ROOT_PATH

# Shells expand what a completion offers, and an interface may be named after a command substitution.
SAFE = re.compile(r"[A-Za-z0-9._:@+-]+|/")
# Nobody waits longer than this for a key; seconds.
PATIENCE = 2.0


def complete(client: Client, options: argparse.Namespace) -> int:
    """Print what the shell can offer for a kind of argument."""
    try:
        (found,) = client.call(
            ROOT_PATH, server.OBJECT_MANAGER, "GetManagedObjects", flags=wire.NO_AUTO_START, timeout=PATIENCE
        )
    except CallError:
        return server.OK
    for each in names(found, options.kind, options.image):
        if SAFE.fullmatch(each):
            print(each)
    return server.OK


def names(found: server.Objects, kind: str, image: str) -> list[str]:
    """Return names of objects; of a generation, those of ``image``, newest first."""
    match kind:
        case "generation":
            images = [each for each in server.select(found, "Image") if each["Name"] == image]
            return [each["Id"] for one in images for each in reversed(one["Generations"])]
        case "image":
            return [*(each["Name"] for each in server.select(found, "Image")), "/"]
        case "client":
            # Shells split words at the colons of a MAC address.
            return [each["Hostname"] or each["Address"] for each in server.select(found, "Client")]
        case "job":
            return [each["Id"] for each in server.select(found, "Job")]
        case _:
            return [each["Name"] for each in server.select(found, kind.capitalize())]
