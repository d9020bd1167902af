"""A message on a desktop: the real busctl calls a person's notification service, as that person."""

import asyncio
import os
import shutil

import pytest
from dbus_next import Message, MessageType

from ltspd.dbus import connection
from ltspd.dbus.connection import Connection, daemon_call
from tests import REPOSITORY
from tests.patience import PATIENCE
from tests.worlds.bus import ALL_GRANTED, CONFIG
from tests.worlds.gateways import served_folder

NOTIFICATIONS = "org.freedesktop.Notifications"
NOBODY = 65534
TEXT = '-n <b>It\'s "ten"</b> & $(id) `id` \\n %41\n\täöü'
# A person who is logged in at a desktop has a bus in this place.
LOGGED_IN = """
mkdir -p /run/user; mount -t tmpfs tmpfs /run/user
mkdir -m 700 /run/user/65534; chown 65534:65534 /run/user/65534
setpriv --reuid 65534 --regid 65534 --clear-groups dbus-daemon --config-file="$1" --nofork & bus=$!
while [ ! -S /run/user/65534/bus ]; do kill -0 "$bus"; sleep 0.05; done
echo there; read -r _
status=0; busybox sh "$2" "$3" "$4" || status=$?
kill "$bus"; wait "$bus" || :
exit "$status"
"""

PROGRAMS = ("unshare", "setpriv", "busctl", "dbus-daemon", "busybox")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0
    or not all(map(shutil.which, ("unshare", "setpriv", "busctl", "dbus-daemon", "busybox"))),
    reason="needs root, unshare, setpriv, busctl, dbus-daemon and busybox",
)


class Desktop:
    """A notification service; ``shown`` is what it was told to show, and by whom."""

    def __init__(self, bus: Connection, capabilities: list[str]) -> None:
        self.bus, self.capabilities = bus, capabilities
        self.shown: list[list[object]] = []
        bus.add_message_handler(self._handle)

    def _handle(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member == "GetCapabilities":
            self.bus.send(Message.new_method_return(message, "as", [self.capabilities]))
        else:
            self.shown.append([message.sender, *message.body])
            self.bus.send(Message.new_method_return(message, "u", [1]))
        return True


@pytest.mark.parametrize(
    ("capabilities", "text"),
    [
        (["body"], TEXT),
        (["body", "body-markup"], TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")),
    ],
)
async def test_text_is_text_on_every_desktop(capabilities: list[str], text: str) -> None:
    with served_folder() as folder:
        os.chown(folder, NOBODY, NOBODY)
        config = CONFIG.format(socket="x", policy=ALL_GRANTED)
        places = (f"<listen>unix:path={each}/bus</listen>" for each in ("/run/user/65534", folder))
        config = config.replace("<listen>unix:abstract=x</listen>", "".join(places))
        (folder / "bus.conf").write_text(config)
        script = (REPOSITORY / "client/live/orders.sh").read_text()
        (folder / "script").write_text(
            f'busybox={shutil.which("busybox")}\n{script}\nnotify 65534 "$1" "$2"\n'
        )
        process = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "--propagation", "private", "sh", "-euc", LOGGED_IN, "sh",
            str(folder / "bus.conf"), str(folder / "script"), TEXT, "The server",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"there\n"
            bus = await connection.connect(f"unix:path={folder}/bus")
            try:
                await daemon_call(bus, "RequestName", "su", [NOTIFICATIONS, 4])
                desktop = Desktop(bus, capabilities)
                await process.communicate(b"\n")
            finally:
                await bus.close()
    assert process.returncode == 0
    (shown,) = desktop.shown
    _, _, _, _, summary, body, actions, hints, timeout = shown
    assert (summary, body, actions, timeout) == ("The server", text, [], 0)
    assert isinstance(hints, dict)
    assert hints["urgency"].value == 2
