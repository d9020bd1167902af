"""The daemon as a client sees it: reading objects, finding one by its name, calling methods."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client
from ltspd.names import ERROR_PREFIX, ROOT_PATH, STEM, interface, object_path

PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

OK, FAILED, USAGE, NOT_AUTHORIZED, NOT_REACHABLE = 0, 1, 2, 3, 4
# The status that shells report for a program that was ended by Ctrl-C (128 + SIGINT).
INTERRUPTED = 130

Properties = Mapping[str, Any]
# path -> interface -> properties
Objects = Mapping[str, Mapping[str, Properties]]


class NoSuch(Exception):
    """The thing that the command line names is not there."""


def status_of(error: CallError) -> int:
    """Return the exit status that an error reply means."""
    bus = "org.freedesktop.DBus.Error."
    if error.name in (
        ERROR_PREFIX + "NotAuthorized",
        bus + "AccessDenied",
        bus + "InteractiveAuthorizationRequired",
    ):
        return NOT_AUTHORIZED
    gone = ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "TimedOut", "Timeout", "Spawn.")
    # An error of systemd's means that it could not start the daemon.
    if error.name.startswith(("org.freedesktop.systemd1.", *(bus + each for each in gone))):
        return NOT_REACHABLE
    return FAILED


def manager(client: Client) -> Properties:
    """Return the manager's properties."""
    (properties,) = client.call(ROOT_PATH, PROPERTIES, "GetAll", "s", [interface("Manager")])
    return dict(properties)


def objects(client: Client, noun: str) -> list[Properties]:
    """Return the properties of all objects with an interface, in the order of their paths."""
    return select(everything(client), noun)


def everything(client: Client) -> Objects:
    """Return all objects by path and interface."""
    (found,) = client.call(ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
    return dict(found)


def select(found: Objects, noun: str) -> list[Properties]:
    """Return the objects with an interface; jobs in the order in which they began."""
    name = interface(noun)
    chosen = [each[name] for _, each in sorted(found.items()) if name in each]
    return sorted(chosen, key=lambda job: job["StartedAt"]) if noun == "Job" else chosen


def one(client: Client, noun: str, key: str) -> Properties:
    """Return the properties of one object by its name or id; raises NoSuch."""
    kind = noun.lower()
    try:
        path = object_path(kind, key)
        (properties,) = client.call(path, PROPERTIES, "GetAll", "s", [interface(noun)])
    except CallError as error:
        if error.name.endswith((".UnknownObject", ".UnknownInterface")):
            raise NoSuch(f"There is no {kind} {key!r}; 'ltspctl {kind} list' shows the known ones.") from None
        raise
    return dict(properties)


def client_mac(client: Client, name: str) -> str:
    """Return the MAC address of a client that is named by it, by its host name or its address.

    Several clients may give the same host name; raises NoSuch then, too.
    """
    name = name.lower()
    if re.fullmatch(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}", name):
        return name.replace("-", ":")
    found = [
        str(each["Mac"])
        for each in objects(client, "Client")
        if name in (str(each["Hostname"]).lower(), each["Address"])
    ]
    if len(found) > 1:
        raise NoSuch(f"{len(found)} clients are called {name!r}; say which: {', '.join(found)}.")
    if not found:
        raise NoSuch(f"There is no client {name!r}; 'ltspctl client list' shows the known ones.")
    return found[0]


def act(
    client: Client, path: str, noun: str, member: str, signature: str = "", body: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """Call a method that may need an authorization; on a terminal, the user is asked for it there."""
    from ltspd.api.agent import terminal_agent

    with terminal_agent():
        return client.call(
            path, interface(noun), member, signature, body, flags=wire.ALLOW_INTERACTIVE, timeout=None
        )


def watch_jobs(client: Client) -> None:
    """Subscribe to what happens to jobs, and to the daemon's end."""
    jobs = f"type='signal',sender='{STEM}',path_namespace='{ROOT_PATH}/job',interface='{PROPERTIES}'"
    client.subscribe(jobs)
    client.subscribe(f"type='signal',sender='{STEM}',path='{ROOT_PATH}',member='JobFinished'")
    owner = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"
    client.subscribe(f"{owner},arg0='{STEM}'")
