"""``ltspctl status``, ``serve``, ``reload`` and ``apply``: the server as a whole."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import as_json, coloured, done
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.cli.nouns import client, image, job, link, output
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH


def _status(connection: Client, options: argparse.Namespace) -> int:
    manager, found = server.manager(connection), server.everything(connection)
    groups = {
        name: server.select(found, noun)
        for name, noun in (
            ("Images", "Image"),
            ("Links", "Link"),
            ("Clients", "Client"),
            ("Outputs", "Output"),
            ("Jobs", "Job"),
        )
    }
    if options.json:
        return as_json({**manager, **groups})
    print(_page(manager, groups, coloured()))
    return server.OK


def _page(
    manager: server.Properties, groups: Mapping[str, Sequence[server.Properties]], coloured: bool
) -> str:
    """Return the overview: what the server says of itself, then what isn't as it should be."""
    parts = [
        show.fields(
            [
                ("State", manager["State"]),
                ("Version", manager["Version"]),
                ("Images in", manager["BaseDirectory"]),
                ("TFTP from", manager["TftpDirectory"]),
                ("Serving", "on" if manager["Serving"] else "off; 'ltspctl serve on' ends that"),
                ("Clients", client.counted(groups["Clients"])),
                *(
                    (f"Room {room}", client.counted([e for e in groups["Clients"] if room in e["Rooms"]]))
                    for room in manager["Rooms"]
                ),
            ],
            coloured,
        )
    ]
    if manager["Problems"]:
        parts.append("Problems:\n" + "\n".join(f"  {show.clean(each)}" for each in manager["Problems"]))
    parts.append(image.table(groups["Images"], coloured))
    parts.append(link.table(groups["Links"], coloured))
    if odd := [each for each in groups["Outputs"] if each["State"] not in ("in-sync", "disabled")]:
        parts.append(output.table(odd, coloured))
    if running := [each for each in groups["Jobs"] if each["State"] in ("queued", "running")]:
        parts.append(job.table(running, coloured))
    return "\n\n".join(parts)


_SERVES = {
    True: "Machines that boot are answered.",
    False: "Machines that boot get no answer. Clients that run go on. 'ltspctl serve on' ends this.",
}


def _serve(on: bool) -> Callable[[Client, argparse.Namespace], int]:
    """Return the command that has machines that boot answered, or not."""

    def run(connection: Client, options: argparse.Namespace) -> int:
        server.act(connection, ROOT_PATH, "Manager", "Serve", "b", [on])
        return done(options, _SERVES[on], Serving=on)

    return run


def _reload(connection: Client, options: argparse.Namespace) -> int:
    server.act(connection, ROOT_PATH, "Manager", "Reload")
    return _after_pass(connection, options)


def _apply(connection: Client, options: argparse.Namespace) -> int:
    wanted = {"force": ("b", True)} if options.force else {}
    server.act(connection, ROOT_PATH, "Manager", "Apply", "a{sv}", [wanted])
    return _after_pass(connection, options)


def _after_pass(connection: Client, options: argparse.Namespace) -> int:
    """Say how the server is after everything was brought up to date."""
    manager = server.manager(connection)
    lines = [str(manager["State"]), *(f"  {show.clean(each)}" for each in manager["Problems"])]
    return done(options, "\n".join(lines), State=manager["State"], Problems=manager["Problems"])


NOUNS = (
    Noun(
        "status",
        10,
        "how the server is doing and what needs attention",
        (Command("", "show how the server is doing and what needs attention", _status),),
    ),
    Noun(
        "serve",
        85,
        "whether machines that boot are answered",
        (
            Command("on", "answer machines that boot", _serve(True)),
            Command(
                "off",
                "answer no machine that boots, until 'serve on'",
                _serve(False),
                more="DHCP and TFTP stop, and so do boot programs and menus by HTTP, also after a reboot of "
                "this server. Clients that run keep their roots, homes, logins and addresses; but where this "
                "server gives addresses, nobody is given one or can renew it meanwhile.",
            ),
        ),
    ),
    Noun(
        "reload",
        90,
        "read ltsp.conf again",
        (Command("", "read ltsp.conf again and bring everything up to date", _reload),),
    ),
    Noun(
        "apply",
        100,
        "bring everything up to date",
        (
            Command(
                "",
                "bring everything up to date",
                _apply,
                (Argument(("--force",), "overwrite generated files that were edited"),),
            ),
        ),
    ),
)
