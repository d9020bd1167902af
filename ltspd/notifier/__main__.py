"""``ltspd-notifier``: hears the daemon on the system bus, notifies on the session's, does what is clicked."""

import argparse
import grp
import os
import select
import sys
from collections.abc import Sequence

from ltspd.api import remote as server
from ltspd.dbus import wire
from ltspd.dbus.caller import CallError, Client, Unreachable
from ltspd.names import ROOT_PATH, STEM, interface, object_path
from ltspd.notifier import log, notice
from ltspd.notifier.notice import Notice

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
# Groups of those who may administer a machine: Debian's, Fedora's, and those who may read the journal.
ADMINISTRATORS = ("sudo", "wheel", "adm")


class Notifier:
    """Both connections, what was told, and which notification stands for what."""

    def __init__(self, system: Client, session: Client) -> None:
        """Subscribe to what is to be heard; raises Unreachable."""
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
        """Work until one of the connections ends, which raises Unreachable."""
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
        """Tell what is wrong already; a daemon that doesn't run is not started for that."""
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
                pass  # forgotten already, or the daemon went away: nothing that could be told
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
        """Do what was clicked; the signal is also heard for other programs' notifications."""
        if signal.member != "ActionInvoked" or signal.body[0] not in self._shown.values():
            return
        action, _, name = str(signal.body[1]).partition(" ")
        try:
            if action == "log":
                log.show(name)
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
        except log.CantShow as error:
            self._tell(Notice("log", "The log can't be shown", str(error), notice.NORMAL))


def administrator() -> bool:
    """Whether whoever runs this is one of those whom the news concern."""
    mine = {*os.getgroups(), os.getegid()}
    return os.geteuid() == 0 or any(
        each.gr_name in ADMINISTRATORS and each.gr_gid in mine for each in grp.getgrall()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Notify until the session ends; for anyone but administrators, do nothing."""
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
