"""``ltspd-notifier``: listens to the daemon, shows desktop notifications, and runs the action clicked."""

import argparse
import grp
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ltspd.api import remote as server
from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client, Unreachable
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from ltspd.notifier import notice
from ltspd.notifier.notice import Notice

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
# Groups of administrators on Debian and on Fedora, and the group that may read the journal.
ADMINISTRATORS = ("sudo", "wheel", "adm")


class Notifier:
    """Both connections, the problems shown, and the id of each topic's notification."""

    def __init__(self, system: Client, session: Client) -> None:
        """Subscribe to the signals; raises Unreachable."""
        self._system = system
        self._session = session
        self._problems: Sequence[str] = ()
        self._shown: dict[str, int] = {}
        job = f"type='signal',sender='{STEM}',path='{ROOT_PATH}',member='JobFinished'"
        changes = f"type='signal',sender='{STEM}',path='{ROOT_PATH}',interface='{server.PROPERTIES}'"
        for rule in (job, changes):
            system.subscribe(rule)
        session.subscribe(f"type='signal',sender='{NAME}',member='ActionInvoked'")

    def run(self) -> None:
        """Run until one of the connections ends, which raises Unreachable."""
        self._look()
        while True:
            for client, hear in ((self._system, self._hear), (self._session, self._clicked)):
                while client.waiting:
                    hear(client.signal())
            ready, _, _ = select.select([self._system, self._session], [], [])
            for client, hear in ((self._system, self._hear), (self._session, self._clicked)):
                if client in ready:
                    hear(client.signal())

    def _look(self) -> None:
        """Notify about present problems; a daemon that doesn't run is not started for this."""
        try:
            (found,) = self._system.call(
                ROOT_PATH, server.PROPERTIES, "GetAll", "s", [interface("Manager")], flags=wire.NO_AUTO_START
            )
        except CallError:
            return
        self._wrong(found["Problems"])

    def _hear(self, signal: wire.Message) -> None:
        if signal.member == "JobFinished":
            job_id = str(signal.body[0]).rpartition("/")[2]
            try:
                self._tell(notice.finished(server.one(self._system, "Job", job_id)))
            except (server.NoSuch, CallError):
                pass  # the daemon has forgotten the job or has stopped, so there is nothing to show
        elif signal.member == "PropertiesChanged" and "Problems" in signal.body[1]:
            self._wrong(signal.body[1]["Problems"])

    def _wrong(self, problems: Sequence[str]) -> None:
        self._tell(notice.attention(self._problems, problems))
        self._problems = problems

    def _tell(self, what: Notice | None) -> None:
        if what is None:
            return
        actions = [word for pair in what.actions for word in pair]
        hints = {"urgency": ("y", what.urgency), "desktop-entry": ("s", "ltspd-notifier")}
        replaced = self._shown.get(what.topic, 0)
        body = notice.markup(what.body)
        wanted = ["ltspd", replaced, "network-server", what.summary, body, actions, hints, -1]
        try:
            (number,) = self._session.call(PATH, NAME, "Notify", "susssasa{sv}i", wanted, destination=NAME)
        except CallError as error:
            print(f"ltspd-notifier: {error.message}", file=sys.stderr)
            return
        self._shown[what.topic] = number

    def _clicked(self, signal: wire.Message) -> None:
        """Run the action clicked. The signal also arrives for other programs' notifications."""
        if signal.member != "ActionInvoked" or signal.body[0] not in self._shown.values():
            return
        action, _, name = str(signal.body[1]).partition(" ")
        try:
            if action == "log":
                show_log(name)
            elif action == "revert":
                # The desktop's own agent asks for the password.
                self._system.call(
                    object_path("image", name), interface("Image"), "Revert", "s", [""],
                    flags=wire.ALLOW_INTERACTIVE, timeout=None,
                )  # fmt: skip
                self._tell(
                    Notice(f"image {name}", f"New clients boot the image {name} of before", "", notice.LOW)
                )
        except CallError as error:
            summary = f"The image {name} was left as it is"
            self._tell(Notice(f"image {name}", summary, error.message, notice.NORMAL))
        except (OSError, subprocess.SubprocessError) as error:
            self._tell(Notice("log", "The log can't be shown", str(error), notice.NORMAL))


def show_log(job_id: str) -> None:
    """Write a job's log below the user's runtime directory and open it; raises OSError, SubprocessError."""
    if not re.fullmatch(r"[A-Za-z0-9]+", job_id):
        return  # the notification server returned the id, and it becomes a file name
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    path = folder / f"ltspd-job-{job_id}.txt"
    words = ["journalctl", "--no-pager", "--quiet", "--output=short", f"LTSPD_JOB={job_id}"]
    with path.open("w") as out:
        out.write(f"journalctl LTSPD_JOB={job_id}\n\n")
        out.flush()
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=30)
    if opener := shutil.which("xdg-open"):
        subprocess.run([opener, str(path)], stdin=subprocess.DEVNULL, check=False, timeout=30)


def administrator() -> bool:
    """Whether the user of this process administers the machine."""
    mine = {*os.getgroups(), os.getegid()}
    return os.geteuid() == 0 or any(
        each.gr_name in ADMINISTRATORS and each.gr_gid in mine for each in grp.getgrall()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Notify until the session ends; do nothing if the user is no administrator."""
    parser = argparse.ArgumentParser(
        prog="ltspd-notifier", description="Desktop notifications about network boot images."
    )
    parser.add_argument("--always", action="store_true", help="also if you are no administrator")
    if not parser.parse_args(arguments).always and not administrator():
        return 0
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    address = address or f"unix:path={os.environ.get('XDG_RUNTIME_DIR', '/nonexistent')}/bus"
    try:
        Notifier(Client(), Client(address)).run()
    except KeyboardInterrupt:
        return 130
    except Unreachable as error:
        print(f"ltspd-notifier: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
