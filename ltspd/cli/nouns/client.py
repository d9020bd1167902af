"""``ltspctl client``: machines that boot from this server, as they report themselves."""

import argparse
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import orders, show
from ltspd.cli.answer import as_json, coloured, done, shows
from ltspd.cli.grammar import Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import object_path

# The stages in the order in which a person asks for them: who is there, who is coming, who is not.
STAGES = ("login", "root", "network", "tftp", "lease", "offer", "discover", "failed", "off")


def table(clients: Sequence[server.Properties], coloured: bool) -> str:
    """Return a line for each client."""
    head = (
        "CLIENT", "ROOM", "MAC", "ADDRESS", "STAGE", "IMAGE", "GENERATION", "ROOT", "KEY", "LAST SEEN",
        "ERROR",
    )  # fmt: skip
    rows = [
        (
            each["Hostname"],
            ", ".join(each["Rooms"]),
            each["Mac"],
            each["Address"],
            each["Stage"],
            each["Image"],
            each["Generation"],
            each["Transport"],
            each["Identity"],
            show.moment(each["LastSeen"]),
            each["Error"],
        )
        for each in clients
    ]
    return show.table(head, rows, coloured) if rows else "No client has reported."


def counted(clients: Sequence[server.Properties]) -> str:
    """Return how many clients there are, and at which stages, the usual order first."""
    stages: dict[str, int] = {}
    for each in clients:
        stages[str(each["Stage"])] = stages.get(str(each["Stage"]), 0) + 1
    order = sorted(stages, key=lambda stage: (STAGES.index(stage) if stage in STAGES else len(STAGES), stage))
    told = ", ".join(f"{stages[stage]} {show.clean(stage) or 'unknown'}" for stage in order)
    return f"{len(clients)} ({told})" if clients else "none has reported"


def _list(client: Client, options: argparse.Namespace) -> int:
    found = server.objects(client, "Client")
    if options.room is not None:
        room = options.room.lower().removeprefix("room:")
        known = server.manager(client)["Rooms"]
        if room not in known:
            raise server.NoSuch(
                f"There is no room {room!r} in ltsp.conf; there is: {', '.join(known) or 'none'}."
            )
        found = [each for each in found if room in each["Rooms"]]
    if options.json:
        return as_json(found)
    print(table(found, coloured()) if found or options.room is None else f"Nobody of {room} has reported.")
    return server.OK


def _show(client: Client, options: argparse.Namespace) -> int:
    options.name = server.client_mac(client, options.name)
    return shows("Client")(client, options)


def _approve(client: Client, options: argparse.Namespace) -> int:
    mac = server.client_mac(client, options.name)
    key = options.key or server.one(client, "Client", mac)["Key"]
    server.act(client, object_path("client", mac), "Client", "Approve", "s", [key])
    return done(options, f"The key {key} is that of {options.name} now", Mac=mac, Key=key)


def _forget(client: Client, options: argparse.Namespace) -> int:
    if not options.names and not options.address:
        raise server.NoSuch("Name the clients to forget, or an address with --address.")
    macs = dict.fromkeys(server.client_mac(client, name) for name in options.names)
    for mac in macs:
        server.one(client, "Client", mac)
    if options.address:
        found = server.objects(client, "Client")
        same = [
            each["Mac"] for each in found if each["Address"] == options.address and each["Identity"] != "none"
        ]
        if not same:
            raise server.NoSuch(f"No client with the address {options.address[:64]!r} has reported a key.")
        macs |= dict.fromkeys(same)
    for mac in macs:
        server.act(client, object_path("client", mac), "Client", "Forget")
    label = options.names[0] if len(macs) == 1 and options.names else f"each of {len(macs)} clients"
    return done(options, f"The next key of {label} is its first one again", Mac=", ".join(macs))


def _names(found: server.Objects, _before: str) -> list[str]:
    # Shells split words at the colons of a MAC address.
    return [each["Hostname"] or each["Address"] for each in server.select(found, "Client")]


def _targets(found: server.Objects, before: str) -> list[str]:
    rooms = {room for each in server.select(found, "Client") for room in each["Rooms"]}
    return [*sorted(rooms), *_names(found, before)]


_NAME = Argument(("name",), "a client's MAC address, host name or IP address", "NAME", complete="client")

COMMANDS = (
    Command(
        "list",
        "list clients and how far each has come",
        _list,
        (Argument(("--room",), "only those of a room", "ROOM"),),
        more="Clients tell this themselves, when they boot and when they are shut down, and send nothing "
        "in between; LAST SEEN of one that runs may be long ago.",
    ),
    Command("show", "show a client", _show, (_NAME,)),
    Command(
        "approve",
        "let the key that a client reported last be its own",
        _approve,
        (_NAME, Argument(("key",), "its fingerprint, to be sure which one", "KEY", nargs="?")),
        more="Needed where ltsp.conf says ENROL=ask, and where a machine that keeps its key has got another. "
        "Compare the key: 'ssh-keygen -l -f /run/ltsp/login/key.pub' on the client shows it.",
    ),
    Command(
        "forget",
        "forget a client's key and boot program, so that it begins anew",
        _forget,
        (
            Argument(
                ("names",),
                "clients' MAC addresses, host names or IP addresses",
                "NAME",
                "*",
                complete="client",
            ),
            Argument(("--address",), "also all that reported a key from this address", "ADDRESS"),
        ),
        more="For machines that are gone, or whose card is another's now, and for keys that were invented. "
        "Until such a machine reports a key, at its next boot at the latest, it opens no account. "
        "The boot program that was found for it (BOOT_TRIES) is forgotten, too.",
    ),
    *orders.COMMANDS,
)
NOUNS = (
    Noun(
        "client",
        50,
        "machines that boot from this server",
        COMMANDS,
        names={"client": _names, "target": _targets},
    ),
)
