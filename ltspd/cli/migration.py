"""The part of ``ltspctl setup`` for servers that had LTSP: reporting, taking over, and undoing that."""

import argparse
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.cli import show
from ltspd.cli.answer import agree, coloured, done
from ltspd.dbus.caller import Client
from ltspd.names import ROOT_PATH


def take_over(client: Client, manager: server.Properties, options: argparse.Namespace) -> Sequence[str]:
    """Show what LTSP left, move aside what is in the way if the person agrees, and return what was moved."""
    remains = manager["Remains"]
    in_the_way = [str(each["Path"]) for each in remains if each["Moves"]]
    if not options.json:
        if remains:
            print("\n" + _report(remains))
            _check_conf(client)
        if manager["SetAside"]:
            print(
                f"\n{_names(manager['SetAside'])} of LTSP: moved aside; 'ltspctl setup --undo' undoes that."
            )
    if not in_the_way or not _agreed(in_the_way, options):
        return []
    (moved,) = server.act(client, ROOT_PATH, "Manager", "TakeOver")
    if not options.json:
        print(f"Moved aside: {_names(moved)}. 'ltspctl setup --undo' undoes that.")
    return list(moved)


def undo(client: Client, options: argparse.Namespace) -> int:
    """Put everything back that was moved aside."""
    (restored,) = server.act(client, ROOT_PATH, "Manager", "GiveBack")
    text = "Nothing was moved aside, so nothing is put back."
    if restored:
        text = f"Put back: {_names(restored)}. Services read these once ltspd is removed: 'apt install ltsp'."
    left = list(server.manager(client)["SetAside"])
    if left:
        text += f"\nLeft aside, because there are files of these names again: {_names(left)}."
    return done(options, text, Restored=list(restored), SetAside=left)


def _report(remains: Sequence[server.Properties]) -> str:
    lines = [show.colour("LEFT BY LTSP", show.BOLD, coloured())]
    for each in remains:
        step = "it is to be moved aside" if each["Moves"] else show.clean(each["Step"])
        code = show.YELLOW if each["Harms"] else ""
        lines.append(show.colour(show.clean(each["Path"]), code, coloured()))
        lines.append(f"    {show.clean(each['Effect'])}; {step}.")
    return "\n".join(lines)


def _check_conf(client: Client) -> None:
    """Print which lines of LTSP's ltsp.conf have another effect here, or none."""
    (findings,) = server.act(client, ROOT_PATH, "Manager", "CheckConfig")
    if findings:
        print("\nltsp.conf stays as it is, and counts, with these remarks ('ltspctl config check'):")
    for each in findings:
        print(f"  line {each['Line']}: {show.clean(each['Message'])}")


def _agreed(paths: Sequence[str], options: argparse.Namespace) -> bool:
    if options.yes:
        return True
    if options.json:
        return False
    print(
        f"\nTo be moved aside: {_names(paths)}. "
        "Machines that LTSP booted and that still run may lose their roots then: switch them off first."
    )
    return agree("Take over from LTSP now?", "Files of LTSP are to be moved aside")


def _names(paths: Sequence[str]) -> str:
    return ", ".join(show.clean(each) for each in paths)
