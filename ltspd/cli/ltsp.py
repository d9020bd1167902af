"""``ltsp``: LTSP's applets for old habits and scripts. Each is a D-Bus call, and says what it did.

An option that asks for something that the call can't do is refused before anything is done; one that
makes no difference here is accepted.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import coloured, fail, guarded
from ltspd.cli.applets import APPLETS, GLOBAL, Applet, Option, Usage, leading, read, shown
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH, object_path

CONF = "/etc/ltsp/ltsp.conf"
# LTSP's applets for clients, which only its own scripts call.
ON_CLIENTS = ("init", "initrd-bottom", "login", "service", "session")

Given = Mapping[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one applet and return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        at = leading(words)
        name, rest = (words[at], words[at + 1 :]) if at < len(words) else ("", [])
        if {"-V", "--version"} & set(words[:at]):
            from ltspd import __version__

            print(f"ltsp (ltspd {__version__})")
            return server.OK
        if not name or "--help" in rest or {"-h", "--help"} & set(words[:at]):
            # LTSP's own way is "ltsp --help APPLET"; a later "-h" is an option of some applets.
            print(usage(name if name in APPLETS else ""), file=sys.stdout if words else sys.stderr)
            return server.OK if words else server.USAGE
        common, _ = read(words[:at], GLOBAL)
        applet = find(name)
        given, images = read(rest, applet.options)
        if images and not applet.words:
            raise Usage(f"ltsp {name} takes no arguments, and got {images[0]!r}.")
    except Usage as error:
        print(f"ltsp: {error} 'ltsp --help' shows what there is.", file=sys.stderr)
        return server.USAGE
    except server.NoSuch as error:
        return fail("ltsp", str(error), server.FAILED)
    return guarded("ltsp", lambda client: run(client, applet, {**given, **common}, images))


def find(name: str) -> Applet:
    """Return an applet by its name; raises NoSuch for one that LTSP had, or Usage with what was meant."""
    if found := APPLETS.get(name):
        return found
    if name in ON_CLIENTS:
        raise server.NoSuch(f"{name} is a step of LTSP's own clients, and those of ltspd don't run it.")
    if name == "remoteapps":
        raise server.NoSuch(
            "There is no remoteapps here: REMOTEAPPS='PROGRAM …' in ltsp.conf has clients run programs on "
            "this server, from their next boot on; 'ssh -X server PROGRAM' on a client runs one at once."
        )
    import difflib

    near = difflib.get_close_matches(name, APPLETS, 1, 0.6)
    raise Usage(f"There is no applet {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))


def usage(name: str = "") -> str:
    """Return the help of an applet, or of all."""
    if not name:
        rows = [(f"  {each.name}", each.about) for each in APPLETS.values()]
        return (
            "usage: ltsp [OPTIONS] APPLET [APPLET-OPTIONS] [ARGUMENTS]\n\n"
            "LTSP's commands, as far as they still mean something: ltspd keeps everything up to date by "
            "itself.\n'ltspctl --help' shows the commands of today.\n\n"
            f"applets:\n{_aligned(rows)}\n\n{listed(GLOBAL)}"
        )
    applet = APPLETS[name]
    words = f" [{applet.words} …]" if applet.words else ""
    text = f"usage: ltsp {name}{' [OPTIONS]' if applet.options else ''}{words}\n\n"
    text += f"{applet.about[0].upper()}{applet.about[1:]}."
    return f"{text}\n\n{listed(applet.options)}" if applet.options else text


def listed(options: Sequence[Option]) -> str:
    """Return the help of options."""
    rows = [(f"  {shown(each)}", each.about) for each in options]
    return f"options:\n{_aligned(rows)}"


def _aligned(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"{left:<{width}}  {right}" for left, right in rows)


# ---- what applets do -------------------------------------------------------------------------------


def run(client: Client, applet: Applet, given: Given, words: list[str]) -> int:
    """Check the options against the settings in force, do the applet's work, and print what was done."""
    manager = server.manager(client)
    _check_places(given, manager)
    if applet.name == "info":
        return _info(client, manager)
    _check_file(client)
    _check_settings(client, applet, given)
    if applet.name == "image":
        return _image(client, given, [image_name(each, manager) for each in words])
    force = {"force": ("b", True)} if given.get("overwrite") == "1" else {}
    server.act(client, ROOT_PATH, "Manager", "Apply", "a{sv}", [force])
    print("Everything is up to date. ltspd sees to that by itself, so this command is not needed any more.")
    for name in applet.outputs:
        output = server.one(client, "Output", name)
        state = show.word(str(output["State"]), coloured())
        print(f"  {name}: {state}" + (f" ({show.clean(output['Message'])})" if output["Message"] else ""))
    if applet.name == "kernel":
        _kernels(client, [image_name(each, manager) for each in words])
    return server.OK


def image_name(word: str, manager: server.Properties) -> str:
    """Return the image that LTSP's word means: a name, or a path; what follows a comma is the daemon's."""
    word, comma, options = word.partition(",")
    base = str(manager["BaseDirectory"]).rstrip("/")
    name = word.rstrip("/").removeprefix(f"{base}/images/").removeprefix(f"{base}/").removesuffix(".img")
    named = word == "/" or "/" not in name
    return ((name or "/") if named else os.path.abspath(word)) + comma + options


def _check_places(given: Given, manager: server.Properties) -> None:
    for option, name in (("base-dir", "BaseDirectory"), ("tftp-dir", "TftpDirectory")):
        wanted, have = given.get(option, "").rstrip("/"), str(manager[name])
        if wanted and wanted not in (have, have.removesuffix("/ltsp") if name == "TftpDirectory" else have):
            raise server.NoSuch(f"--{option}: the daemon uses {have}, and a command can't change that.")


def _check_file(client: Client) -> None:
    """Fail as LTSP's applets do if ltsp.conf can't be read, instead of using the last good settings."""
    (findings,) = server.act(client, ROOT_PATH, "Manager", "CheckConfig")
    errors = [each for each in findings if each["Severity"] == "error"]
    if errors:
        lines = " ".join(f"{each['File']}:{each['Line']}: {each['Message']}." for each in errors)
        raise server.NoSuch(f"{lines} Mend that first; 'ltspctl config check' tells when it is.")


def _check_settings(client: Client, applet: Applet, given: Given) -> None:
    """Refuse options that ask for something else than ltsp.conf does, instead of ignoring them."""
    if given.get("cleanup") == "0":
        raise server.NoSuch(
            "--cleanup=0: images never hold accounts and secrets, because everyone can read them."
        )
    asked = [each for each in applet.options if each.setting and each.long in given]
    if not asked:
        return
    (settings,) = server.act(client, ROOT_PATH, "Manager", "ExplainConfig", "a{sv}", [{}])
    in_force = {each["Name"]: str(each["Value"]) for each in settings}
    for option in asked:
        wanted, have = given[option.long], in_force.get(option.setting, "")
        if option.setting == "ROOT_TRANSPORT":
            wanted = "http" if wanted == "1" else have if have != "http" else "nfs"
        elif option.value == "0|1":
            have = have or "0"
        if wanted.split() != have.split():
            line = f"{option.setting}={_quoted(wanted)}"
            raise server.NoSuch(
                f"--{option.long}: this is set in {CONF} now. Write {line} into its section [server]; "
                "ltspd follows by itself."
            )


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _info(client: Client, manager: server.Properties) -> int:
    from ltspd.cli.nouns import image

    print(show.fields([("Version", manager["Version"]), ("State", manager["State"])], coloured()))
    print("\n" + image.table(server.objects(client, "Image"), coloured()))
    if manager["Problems"]:
        print("\nProblems:\n" + "\n".join(f"  {show.clean(each)}" for each in manager["Problems"]))
    return server.OK


def _kernels(client: Client, names: list[str]) -> None:
    for image in server.objects(client, "Image"):
        if image["Current"] and (not names or image["Name"] in names):
            print(f"  {show.clean(image['Name'])}: kernel {image['Kernel']} of {image['Current']}")
    built = {image["Name"] for image in server.objects(client, "Image") if image["Current"]}
    if missing := [each for each in names if each not in built]:
        raise server.NoSuch(
            f"{missing[0]} was never built: 'ltsp image {missing[0]}' builds it with its kernel."
        )


def _image(client: Client, given: Given, names: list[str]) -> int:
    found = server.objects(client, "Image")
    names = names or [str(each["Name"]) for each in found if each["Current"]]
    if not names:
        known = ", ".join(str(each["Name"]) for each in found if each["Source"]) or "none"
        raise server.NoSuch(f"Say which image to build. Sources: {known}; '/' is this server's own root.")
    return max([_revert(client, found, name) for name in names] if given.get("revert") == "1" else
               [_build(client, name, given) for name in names])  # fmt: skip


def _revert(client: Client, found: Sequence[server.Properties], name: str) -> int:
    if name == "/":
        name = next((str(each["Name"]) for each in found if each["Source"] == "/"), name)
    server.one(client, "Image", name)
    server.act(client, object_path("image", name), "Image", "Revert", "s", [""])
    print(f"{name}: new clients boot {server.one(client, 'Image', name)['Current']}")
    return server.OK


def _build(client: Client, name: str, given: Given) -> int:
    from ltspd.cli.nouns.image import build

    # In LTSP a pattern for the initrd follows that for the kernel.
    kernel = next(iter(given["kernel-initrd"].split()), "") if "kernel-initrd" in given else None
    background = bool(given.get("ionice"))
    wanted = {"name": name, "background": background, "kernel": kernel, "initrd": None, "full": False}
    rest = {"test": False, "no_test": False, "no_wait": False, "json": False}
    return build(client, argparse.Namespace(**wanted, **rest))


if __name__ == "__main__":
    sys.exit(main())
