"""``ltspctl setup``: from a fresh installation to the first image, saying what is served where."""

import argparse
import sys
from collections.abc import Callable, Sequence

from ltspd.api import remote as server
from ltspd.cli import cards, migration, show
from ltspd.cli.answer import agree, as_json, coloured
from ltspd.cli.grammar import NO_WAIT, Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH

# What each role means to somebody who stands before the switch.
ROLES = {
    "real": "gives addresses and boots clients",
    "proxy": "boots clients; addresses come from the DHCP server that is there",
    "off": "answers nothing",
}


def _setup(client: Client, options: argparse.Namespace) -> int:
    """Show the roles, take over from LTSP, build the first image, and say what to do next."""
    if options.undo:
        return migration.undo(client, options)
    found = server.everything(client)
    links = server.select(found, "Link")
    if not options.json:
        print(_roles(links))
    moved = migration.take_over(client, server.manager(client), options)
    images = server.select(found, "Image")
    job: server.Properties | None = None
    if running := _running(images):
        job = _follow(client, lambda: running, options)
    elif (name := _first_image(images)) and _agreed(name, options):
        job = _follow(client, lambda: _start(client, name), options)
    manager = server.manager(client)
    images = server.objects(client, "Image")
    ready = any(each["Current"] for each in images) and any(each["Dhcp"] != "off" for each in links)
    failed = job is not None and job.get("State") in ("failed", "cancelled")
    status = server.FAILED if failed or (not ready and not options.no_wait) else server.OK
    if options.json:
        as_json(
            {
                "Ready": ready,
                "Links": links,
                "Images": images,
                "Job": job,
                "Problems": manager["Problems"],
                "Remains": manager["Remains"],
                "Moved": moved,
            }
        )
        return status
    print("\n" + _next(links, images, manager, job))
    return status


def _roles(links: Sequence[server.Properties]) -> str:
    rows = [
        (each["Name"], each["Dhcp"], " ".join(each["Addresses"]), ROLES.get(each["Dhcp"], ""))
        for each in links
    ]
    if not rows:
        return "There is no network interface."
    head = ("LINK", "DHCP", "ADDRESSES", "THIS SERVER …")
    return show.table(head, rows, coloured()) + (
        "\nOther roles: DHCP_LINKS= in [server] of /etc/ltsp/ltsp.conf; see ltsp.conf(5)."
    )


def _running(images: Sequence[server.Properties]) -> str:
    """Return the id of the job that makes the first image already; empty if there is none."""
    if any(each["Current"] for each in images):
        return ""
    return next((str(each["Job"]).rpartition("/")[2] for each in images if each["Job"] != "/"), "")


def _first_image(images: Sequence[server.Properties]) -> str:
    """Return what to build first; empty if something is built already, or must be chosen.

    The server's own root is always among the sources; a chroot beside it was made to be booted.
    """
    if any(each["Current"] for each in images):
        return ""
    sources = [each for each in images if each["Source"]]
    chroots = [each for each in sources if each["Source"] != "/"]
    chosen = chroots or sources
    return str(chosen[0]["Name"]) if len(chosen) == 1 else ""


def _agreed(name: str, options: argparse.Namespace) -> bool:
    if options.yes or options.json:
        return True
    return agree(f"Build the image {show.clean(name)} now?", f"Image {name} is to be built")


def _start(client: Client, name: str) -> str:
    (path,) = server.act(client, ROOT_PATH, "Manager", "BuildImage", "sa{sv}", [name, {}])
    return str(path).rpartition("/")[2]


def _follow(client: Client, find: Callable[[], str], options: argparse.Namespace) -> server.Properties:
    from ltspd.cli.follow import follow, verdict

    if options.no_wait:
        return {"Id": find()}
    job = follow(client, find)
    if not options.json:
        sentence, status = verdict(job)
        print(sentence, file=sys.stdout if status == server.OK else sys.stderr)
    return job


def _next(
    links: Sequence[server.Properties],
    images: Sequence[server.Properties],
    manager: server.Properties,
    job: server.Properties | None,
) -> str:
    """Return what a person should do now, the most pressing thing first."""
    steps = [show.clean(each) for each in manager["Problems"]]
    if not manager["Serving"]:
        steps.append("Machines that boot get no answer now: 'ltspctl serve on'.")
    built = [str(each["Name"]) for each in images if each["Current"]]
    if not built:
        sources = ", ".join(str(each["Name"]) for each in images if each["Source"])
        if job is not None and "State" not in job:
            steps.append(f"The image is being built: 'ltspctl job watch {job['Id']}'.")
        elif job is not None:
            steps.append("Correct what the build said, then run 'ltspctl setup' again.")
        elif sources:
            steps.append(f"Build an image: 'ltspctl image build NAME'. There is: {sources}.")
        else:
            steps.append(
                "Install a system into /srv/ltsp/NAME, or build this server's: 'ltspctl image build /'."
            )
    served = [each["Name"] for each in links if each["Dhcp"] != "off"]
    if built and served:
        steps.append(
            f"Ready: switch on a machine that boots from the network at {', '.join(served)}; "
            f"it gets {', '.join(built)}. 'ltspctl status' shows how the server is doing."
        )
    return "Next:\n" + "\n".join(f"  {each}" for each in steps)


COMMANDS = (
    Command(
        "",
        "show what is answered on each interface, take over from LTSP, and build the first image",
        _setup,
        (
            Argument(("--yes",), "ask nothing"),
            NO_WAIT,
            Argument(("--undo",), "put files of LTSP that were moved aside back, and do nothing else"),
        ),
        "Where LTSP was set up, what it left is shown, and files that stand in the way are moved aside: they "
        "stay where they are, with .before-ltspd~ added to their names. "
        "Builds the only source there is: the one chroot below /srv/ltsp, or else the server's own root. "
        "With several sources, or an image built already, it builds nothing and says what to do next, "
        "so it can be run as often as you like.",
    ),
    *cards.COMMANDS,
)
NOUNS = (Noun("setup", 20, "what is served where, and the first image", COMMANDS),)
