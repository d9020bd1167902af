"""What each command asks of the daemon, and prints. Every function returns the exit status."""

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from ltspd.api import remote as server
from ltspd.cli import complete, configuration, setup, show
from ltspd.cli.answer import Command, as_json, coloured, done
from ltspd.cli.grammar import HIDDEN
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH, object_path


def _status(client: Client, options: argparse.Namespace) -> int:
    from ltspd.cli import overview

    manager, found = server.manager(client), server.everything(client)
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
    print(overview.status(manager, groups, coloured()))
    return server.OK


def _list(noun: str) -> Command:
    def command(client: Client, options: argparse.Namespace) -> int:
        from ltspd.cli import overview

        found = server.objects(client, noun)
        if options.json:
            return as_json(found)
        print(overview.LISTS[noun](found, coloured()))
        return server.OK

    return command


def _show(noun: str) -> Command:
    def command(client: Client, options: argparse.Namespace) -> int:
        from ltspd.cli import overview

        found = server.one(client, noun, options.id if noun == "Job" else options.name)
        if options.json:
            return as_json(found)
        print(overview.details(noun, found, coloured()))
        return server.OK

    return command


def _client_show(client: Client, options: argparse.Namespace) -> int:
    options.name = server.client_mac(client, options.name)
    return _show("Client")(client, options)


def build_image(client: Client, options: argparse.Namespace) -> int:
    """Build an image and follow the job to its end, unless that is not wanted."""
    from ltspd.cli.follow import follow

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
    status = _report(job, options)
    if status == server.OK and not options.json:
        _show_notes(client, job)
    return status


def _show_notes(client: Client, job: Mapping[str, Any]) -> None:
    """Print what a person should know of the content of what was built."""
    from ltspd.cli.overview import notes

    for image in server.objects(client, "Image"):
        for each in image["Generations"]:
            if image["Name"] == job["Subject"] and each["Id"] == job["Result"] and each["Notes"]:
                print(notes(each))


def _absolute(word: str | None) -> str:
    """Return what the caller named, a path as it is for a daemon with another working directory."""
    image, comma, rest = (word or "").partition(",")
    return (os.path.abspath(image) if "/" in image else image) + comma + rest


def _image_test(client: Client, options: argparse.Namespace) -> int:
    from ltspd.cli.follow import follow

    server.one(client, "Image", options.name)
    wanted = {"generation": ("s", options.generation)} if options.generation else {}

    def start() -> str:
        path = object_path("image", options.name)
        (job,) = server.act(client, path, "Image", "Test", "a{sv}", [wanted])
        return str(job).rpartition("/")[2]

    if options.no_wait:
        job_id = start()
        return done(options, job_id, Id=job_id)
    return _report(follow(client, start), options)


def _only_image(client: Client) -> str:
    known = [str(image["Name"]) for image in server.objects(client, "Image")]
    if len(known) == 1:
        return known[0]
    listed = ", ".join(known) or "none"
    raise server.NoSuch(f"Say which image to build; known images: {listed}.")


def _report(job: Mapping[str, Any], options: argparse.Namespace) -> int:
    from ltspd.cli.follow import verdict

    sentence, status = verdict(job)
    if options.json:
        as_json(job)
    else:
        print(sentence, file=sys.stdout if status == server.OK else sys.stderr)
    return status


def _image_revert(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Revert", "s", [options.generation])
    current = server.one(client, "Image", options.name)["Current"]
    return done(options, f"{options.name}: new clients boot {current}", Name=options.name, Current=current)


def _image_remove(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Remove", "s", [options.generation])
    text = f"{options.name}: generation {options.generation} is removed"
    return done(options, text, Name=options.name, Removed=options.generation)


def _image_keep(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Image", options.name)
    path = object_path("image", options.name)
    server.act(client, path, "Image", "Keep", "sb", [options.generation, not options.undo])
    what = "goes when its time comes" if options.undo else "is kept"
    text = f"{options.name}: generation {options.generation} {what}"
    return done(options, text, Name=options.name, Generation=options.generation, Kept=not options.undo)


def _output_preview(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Output", options.name)
    (text,) = server.act(client, object_path("output", options.name), "Output", "Preview")
    if options.json:
        return as_json({"Name": options.name, "Preview": text})
    if text:
        print(show.clean_lines(text) if sys.stdout.isatty() else text.removesuffix("\n"))
    return server.OK


def _job_watch(client: Client, options: argparse.Namespace) -> int:
    from ltspd.cli.follow import follow

    return _report(follow(client, lambda: str(options.id)), options)


def _job_cancel(client: Client, options: argparse.Namespace) -> int:
    server.one(client, "Job", options.id)
    server.act(client, object_path("job", options.id), "Job", "Cancel")
    return done(options, f"Job {options.id} was asked to stop", Id=options.id)


def _reload(client: Client, options: argparse.Namespace) -> int:
    server.act(client, ROOT_PATH, "Manager", "Reload")
    return _after_pass(client, options)


def _apply(client: Client, options: argparse.Namespace) -> int:
    wanted = {"force": ("b", True)} if options.force else {}
    server.act(client, ROOT_PATH, "Manager", "Apply", "a{sv}", [wanted])
    return _after_pass(client, options)


def _after_pass(client: Client, options: argparse.Namespace) -> int:
    """Say how the server is after everything was brought up to date."""
    manager = server.manager(client)
    lines = [str(manager["State"]), *(f"  {show.clean(each)}" for each in manager["Problems"])]
    return done(options, "\n".join(lines), State=manager["State"], Problems=manager["Problems"])


COMMANDS: Mapping[tuple[str, str | None], Command] = {
    ("status", None): _status,
    ("setup", None): setup.setup,
    ("image", "list"): _list("Image"),
    ("image", "show"): _show("Image"),
    ("image", "build"): build_image,
    ("image", "test"): _image_test,
    ("image", "revert"): _image_revert,
    ("image", "remove"): _image_remove,
    ("image", "keep"): _image_keep,
    ("link", "list"): _list("Link"),
    ("link", "show"): _show("Link"),
    ("client", "list"): _list("Client"),
    ("client", "show"): _client_show,
    ("output", "list"): _list("Output"),
    ("output", "show"): _show("Output"),
    ("output", "preview"): _output_preview,
    ("job", "list"): _list("Job"),
    ("job", "show"): _show("Job"),
    ("job", "watch"): _job_watch,
    ("job", "cancel"): _job_cancel,
    ("config", "show"): configuration.explain,
    ("config", "check"): configuration.check,
    ("reload", None): _reload,
    ("apply", None): _apply,
    (HIDDEN, None): complete.complete,
}
