"""``ltspctl image``: root images and their generations."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import done, lists, shows
from ltspd.cli.grammar import NO_WAIT, Argument, Command, Noun
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH, object_path


def _state_of(image: server.Properties) -> str:
    if not image["Current"]:
        return "never built"
    return "stale" if image["StaleBecause"] else "in-sync"


def table(images: Sequence[server.Properties], coloured: bool) -> str:
    """Return a line for each image."""
    head = ("IMAGE", "STATE", "CURRENT", "BUILDS", "SIZE", "KERNEL", "SOURCE")
    rows = [
        (
            image["Name"],
            _state_of(image),
            image["Current"],
            len(image["Generations"]),
            show.size(image["Size"]) if image["Current"] else "",
            image["Kernel"],
            image["Source"],
        )
        for image in images
    ]
    return show.table(head, rows, coloured) if rows else "No image, and nothing to build one from."


def _page(image: server.Properties, coloured: bool) -> str:
    """Return everything about an image: its generations, and notes on the current one."""
    current = [each for each in image["Generations"] if each["Id"] == image["Current"]]
    return "\n\n".join(
        [
            show.properties(image, coloured, but="Generations"),
            _generations(image, coloured),
            *(_notes(each) for each in current if each["Notes"]),
        ]
    )


def _notes(generation: server.Properties) -> str:
    """Return what a person should know of a generation's content, a line each."""
    return "\n".join(
        [f"Notes on {generation['Id']}:", *(f"  {show.clean(each)}" for each in generation["Notes"])]
    )


def _generations(image: server.Properties, coloured: bool) -> str:
    head = ("", "GENERATION", "KEPT", "CREATED", "SIZE", "LAYERS", "ORDERED", "KERNEL", "SUMMARY")
    rows = [
        (
            "*" if each["Id"] == image["Current"] else " ",
            each["Id"],
            "kept" if each["Kept"] else "",
            show.moment(each["Created"]),
            show.size(each["Size"]),
            each["Layers"],
            "yes" if each.get("Ordered") else "",
            each["Kernel"],
            each["Summary"],
        )
        for each in image["Generations"]
    ]
    return show.table(head, rows, coloured) if rows else "Never built; 'ltspctl image build' builds it."


def build(client: Client, options: argparse.Namespace) -> int:
    """Build an image and follow the job to its end, unless that is not wanted."""
    from ltspd.cli.follow import follow, report

    name = _absolute(options.name) or _only_image(client)
    wanted: dict[str, tuple[str, object]] = {
        each: ("b", True) for each in ("background", "direct", "full") if getattr(options, each, False)
    }
    for each in ("kernel", "initrd"):
        if getattr(options, each) is not None:
            wanted[each] = ("s", getattr(options, each))
    if options.test or options.no_test:
        wanted["test"] = ("b", bool(options.test))

    def start() -> str:
        (path,) = server.act(client, ROOT_PATH, "Manager", "BuildImage", "sa{sv}", [name, wanted])
        return str(path).rpartition("/")[2]

    if options.no_wait:
        job_id = start()
        return done(options, job_id, Id=job_id)
    job = follow(client, start)
    status = report(job, options)
    if status == server.OK and not options.json:
        _show_notes(client, job)
    return status


def _show_notes(client: Client, job: Mapping[str, Any]) -> None:
    """Print what a person should know of the content of what was built."""
    for image in server.objects(client, "Image"):
        for each in image["Generations"]:
            if image["Name"] == job["Subject"] and each["Id"] == job["Result"] and each["Notes"]:
                print(_notes(each))


def _absolute(word: str | None) -> str:
    """Return what the caller named, a path as it is for a daemon with another working directory."""
    image, comma, rest = (word or "").partition(",")
    return (os.path.abspath(image) if "/" in image else image) + comma + rest


def _only_image(client: Client) -> str:
    known = [str(image["Name"]) for image in server.objects(client, "Image")]
    if len(known) == 1:
        return known[0]
    listed = ", ".join(known) or "none"
    raise server.NoSuch(f"Say which image to build; known images: {listed}.")


def _test(client: Client, options: argparse.Namespace) -> int:
    from ltspd.cli.follow import follow, report

    server.one(client, "Image", options.name)
    wanted = {"generation": ("s", options.generation)} if options.generation else {}

    def start() -> str:
        path = object_path("image", options.name)
        (job,) = server.act(client, path, "Image", "Test", "a{sv}", [wanted])
        return str(job).rpartition("/")[2]

    if options.no_wait:
        job_id = start()
        return done(options, job_id, Id=job_id)
    return report(follow(client, start), options)


def _revert(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Revert", "s", [options.generation])
    current = server.one(client, "Image", options.name)["Current"]
    return done(options, f"{options.name}: new clients boot {current}", Name=options.name, Current=current)


def _remove(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Remove", "s", [options.generation])
    text = f"{options.name}: generation {options.generation} is removed"
    return done(options, text, Name=options.name, Removed=options.generation)


def _keep(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Keep", "sb", [options.generation, not options.undo])
    what = "goes when its time comes" if options.undo else "is kept"
    text = f"{options.name}: generation {options.generation} {what}"
    return done(options, text, Name=options.name, Generation=options.generation, Kept=not options.undo)


def _names(found: server.Objects, _before: str) -> list[str]:
    return [*(each["Name"] for each in server.select(found, "Image")), "/"]


def _generation_names(found: server.Objects, image: str) -> list[str]:
    """Return the generations of an image, newest first."""
    images = [each for each in server.select(found, "Image") if each["Name"] == image]
    return [each["Id"] for one in images for each in reversed(one["Generations"])]


_NAME = Argument(("name",), "an image", "NAME", complete="image")

COMMANDS = (
    Command("list", "list images", lists("Image", table)),
    Command("show", "show an image and its generations", shows("Image", _page), (_NAME,)),
    Command(
        "build",
        "build a new generation and make it the one that clients boot",
        build,
        (
            Argument(
                ("name",),
                "an image, / for this server's own root, or the path of a VM's disk or a live ISO; may be "
                "left out if there is only one",
                "NAME",
                "?",
                "image",
            ),
            Argument(("--background",), "build with low CPU and disk priority"),
            Argument(
                ("--direct",),
                "pack nothing: clients read the chroot itself, by NFS, or a live medium's own squashfs",
            ),
            Argument(("--full",), "pack everything anew, also what did not change"),
            Argument(
                ("--kernel",),
                "take the newest kernel whose version or file this shell pattern fits, now and in later "
                "builds; '' goes back to the source's own choice",
                "GLOB",
            ),
            Argument(
                ("--initrd",),
                "own: boot with our small initrd; distribution: with the image's own one and our client as a "
                "guest in it; now and in later builds",
                "WHOSE",
            ),
            Argument(
                ("--test",),
                "test the new generation first (see 'image test'), and drop it if it fails",
            ),
            Argument(("--no-test",), "don't test it, whatever TEST_IMAGE of ltsp.conf says"),
            NO_WAIT,
        ),
        "Clients that run keep the generation that they booted. Ctrl-C ends the watching, not the build. "
        "A disk with several systems needs to be told which: NAME,partition=2.",
    ),
    Command(
        "test",
        "boot a generation in a machine of its own and see whether it reaches its login",
        _test,
        (
            _NAME,
            Argument(
                ("generation",),
                "the one to test; default: the current",
                "GENERATION",
                "?",
                "generation",
            ),
            NO_WAIT,
        ),
        "No client and no network is touched. What the machine showed on its console is kept on the server, "
        "and its end printed if the login was not reached.",
    ),
    Command(
        "revert",
        "make an older generation the one that new clients boot",
        _revert,
        (
            _NAME,
            Argument(
                ("generation",),
                "the one to go to; default: the one before the current",
                "GENERATION",
                "?",
                "generation",
            ),
        ),
    ),
    Command(
        "remove",
        "remove a generation that is not current and that nothing uses",
        _remove,
        (_NAME, Argument(("generation",), "the one to remove", "GENERATION", complete="generation")),
        "One that was current less than KEEP_GRACE ago stays: a client that is just starting may need it.",
    ),
    Command(
        "keep",
        "keep a generation however old it gets, or stop doing so",
        _keep,
        (
            _NAME,
            Argument(("generation",), "the one to keep", "GENERATION", complete="generation"),
            Argument(("--undo",), "let it go when its time comes"),
        ),
    ),
)
NOUNS = (
    Noun(
        "image",
        30,
        "root images: list, build, test, revert, keep",
        COMMANDS,
        names={"image": _names, "generation": _generation_names},
    ),
)
