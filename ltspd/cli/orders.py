"""``ltspctl client message``, ``logout``, ``reboot``, ``poweroff``, ``wake``: orders, and their results."""

import argparse
import re
import sys
from collections.abc import Callable

from ltspd.api import remote as server
from ltspd.cli.answer import as_json, done
from ltspd.cli.grammar import NO_WAIT, Argument, Command
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH, object_path

_MAC = re.compile(r"[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}")
# The longest delay that D-Bus's "u" can tell.
_MOST = (1 << 32) - 1


def _runs(verb: str) -> Callable[[Client, argparse.Namespace], int]:
    """Return the command that gives this order."""

    def run(client: Client, options: argparse.Namespace) -> int:
        names, text = _words(verb, options)
        wanted: dict[str, tuple[str, object]] = {}
        if text:
            wanted["text"] = ("s", text)
        if user := getattr(options, "user", None):
            wanted["user"] = ("s", user)
        if getattr(options, "force", False):
            wanted["force"] = ("b", True)
        for each in ("stagger", "timeout"):
            if (given := getattr(options, each)) is not None:
                wanted[each] = ("u", _seconds(each, given))
        return _given(client, options, verb, names, wanted)

    return run


def _words(verb: str, options: argparse.Namespace) -> tuple[list[str], str]:
    """Return whom the words of the command line name, and the text for them."""
    names, text = list(options.names), ""
    if verb == "message":
        first = 0 if options.all else 1
        names, text = names[:first], " ".join(names[first:])
        if not text and not sys.stdin.isatty():
            text = sys.stdin.read().strip("\n")
        if not text:
            raise server.NoSuch("There is nothing to say: add the text.")
    if options.all and names:
        raise server.NoSuch(f"--all is everybody, and you name {names[0]!r}, too; say one of both.")
    if not options.all and not names:
        raise server.NoSuch("Name a client or a room, or say --all.")
    return (["*"] if options.all else names), text


def _seconds(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _MOST:
        raise server.NoSuch(f"--{name} {text} is not a number of seconds.")
    return int(text)


def _given(
    client: Client,
    options: argparse.Namespace,
    verb: str,
    names: list[str],
    wanted: dict[str, tuple[str, object]],
) -> int:
    from ltspd.cli.follow import follow, verdict

    def start() -> str:
        # A machine that has never reported can be woken, too, but is no object.
        if len(names) == 1 and _MAC.fullmatch(names[0].lower()) and verb != "wake":
            mac = server.client_mac(client, names[0])
            server.one(client, "Client", mac)
            path = object_path("client", mac)
            (job,) = server.act(client, path, "Client", "Order", "sa{sv}", [verb, wanted])
        else:
            body = [verb, names, wanted]
            (job,) = server.act(client, ROOT_PATH, "Manager", "OrderClients", "sasa{sv}", body)
        return str(job).rpartition("/")[2]

    if options.no_wait:
        job_id = start()
        return done(options, job_id, Id=job_id)
    job = follow(client, start)
    sentence, status = verdict(job)
    if options.json:
        keys = ("Mac", "Hostname", "Room", "Result")
        found = [each for each in server.objects(client, "Client") if each["Order"] == job["Id"]]
        as_json({**job, "Clients": [{key: each[key] for key in keys} for each in found]})
    else:
        print(sentence, file=sys.stdout if status == server.OK else sys.stderr)
    return status


_NAMES = Argument(("names",), "clients (MAC address, host name, IP address) or rooms", "NAME", "*", "target")
_ALL = Argument(("--all",), "all clients")
_STAGGER = Argument(("--stagger",), "seconds between one client and the next", "SECONDS")
_TIMEOUT = Argument(("--timeout",), "seconds that clients have for an answer", "SECONDS")
_FORCE = Argument(("--force",), "even while a program there forbids it, such as an upgrade")
_COMMON = (
    _ALL,
    _STAGGER,
    _TIMEOUT,
    NO_WAIT._replace(help="give the order, print its id, don't wait for answers"),
)

COMMANDS = (
    Command(
        "message",
        "show a text to the people at clients",
        _runs("message"),
        (
            _NAMES._replace(
                help="a client or a room, then the text; it is read from standard input if none is given",
            ),
            *_COMMON,
        ),
        more="It is shown on all terminals and in all graphical sessions there, as plain text.",
    ),
    Command(
        "logout",
        "end people's sessions on clients",
        _runs("logout"),
        (_NAMES, Argument(("--user",), "only this person's; else all but root's", "NAME"), *_COMMON),
    ),
    Command(
        "reboot",
        "reboot clients",
        _runs("reboot"),
        (_NAMES, _FORCE, *_COMMON),
        more="Whoever works there loses what is not saved. A client answers when it begins; 'ltspctl client "
        "list' shows when it is back.",
    ),
    Command("poweroff", "switch clients off", _runs("poweroff"), (_NAMES, _FORCE, *_COMMON)),
    Command(
        "wake",
        "switch clients on, by wake-on-LAN",
        _runs("wake"),
        (_NAMES, *_COMMON),
        more="Their firmware must allow it. A client has obeyed when it reports that it boots; one that is "
        "on already does not.",
    ),
)
