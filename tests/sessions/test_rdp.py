"""SESSION=rdp: people are asked once, and see a desktop of a real xrdp, by the FreeRDP of each release."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.desk import Desk
from tests.lab.net import SERVER_ADDRESS
from tests.sessions.conftest import DEBIAN_13, NAME, PASSWORD, Hall, lets_in, reads

pytestmark = [pytest.mark.lab, pytest.mark.slow]
ASKED = "This screen shows a desktop of"
# Where xrdp has the drives of its clients, in the home.
_DRIVES = "thinclient_drives"
# Two of one label, and where each is mounted.
_STICKS = {"first": "/media/usb-sda", "second": "/media/usb-sdb"}
_FINGERPRINT = "openssl x509 -in /etc/xrdp/cert.pem -noout -fingerprint -sha256 | cut -d = -f 2"
# It shows a session at once if the client has sent a name and a password.
# Debian's can't read its key by itself.
_AUTORUN = """usermod -aG ssl-cert xrdp
sed -i 's/^autorun=.*/autorun=Xvnc/' /etc/xrdp/xrdp.ini && systemctl restart xrdp
"""
_OTHER = """cd /etc/xrdp && rm key.pem cert.pem
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout key.pem -out cert.pem 2>/dev/null
chown xrdp key.pem && systemctl restart xrdp
"""


def make_sticks(directory: Path) -> tuple[str, ...]:
    """Make USB sticks with vfat, and return what a machine needs that gets them later."""
    words = ["-device", "qemu-xhci,id=usb"]
    for stick in _STICKS:
        file = directory / stick
        subprocess.run(["mkfs.vfat", "-C", "-n", "HOMEWORK", file, "65536"], check=True, capture_output=True)
        words += ["-blockdev", f"driver=raw,node-name={stick},file.driver=file,file.filename={file}"]
    return tuple(words)


def plug_in(desk: Desk, stick: str) -> None:
    """Plug a stick in, and wait until it is mounted. Nothing on it can be run here."""
    desk.client.screen.plug_in(stick, "usb-storage", drive=stick, bus="usb.0")
    desk.wait_for(f"findmnt -no OPTIONS {_STICKS[stick]} | grep noexec")


def give_sticks(desk: Desk, drives: str, words: str) -> None:
    """See in the session that the host has each stick, to read and to write, in a directory of the home."""
    for stick, path in _STICKS.items():
        there, copy = f"~/{drives}/{Path(path).name}", f"/home/{NAME}/by-{stick}"
        desk.client.shell(f"echo {words} >{path}/{stick}")
        # There is a moment in which a stick is mounted, and the host has not heard of it.
        desk.server.wait_for(f"runuser -u {NAME} -- env HOME=/home/{NAME} sh -c 'test -e {there}/{stick}'")
        desk.type(f"cd {there}; cp {stick} answer; cp {stick} ~/by-{stick}; cd")
        desk.server.wait_for(f"[ \"$(cat {copy})\" = '{words}' ]")
        desk.wait_for(f"[ \"$(cat {path}/answer)\" = '{words}' ]")
        desk.client.shell(f"rm {path}/{stick} {path}/answer")
        desk.server.run(f"rm {copy}")


def work_with_sticks(desk: Desk, drives: str) -> None:
    """Have one stick from the beginning of the session and another one later; the first comes once more."""
    plug_in(desk, "second")
    give_sticks(desk, drives, "before")
    desk.client.screen.pull_out("first")
    desk.wait_for(f"! findmnt {_STICKS['first']}")
    plug_in(desk, "first")
    give_sticks(desk, drives, "after")


@contextmanager
def shown(hall: Hall, mac: str, sticks: Path, image: str = "") -> Iterator[Desk]:
    """Switch on a client of an xrdp on the server, with one of its sticks, and log in."""
    server = hall.server
    # A session that was left would go on.
    server.run(f"{_AUTORUN} pkill -u {NAME} || :")
    with hall.switched_on(
        mac,
        image=image,
        extra=make_sticks(sticks),
        SESSION="rdp",
        RDP_SERVER=SERVER_ADDRESS,
        RDP_FINGERPRINT=server.run(_FINGERPRINT).strip(),
    ) as desk:
        plug_in(desk, "first")
        lets_in(desk, ASKED, "name")
        reads(desk, f"Session on the server for {NAME}", "session")
        yield desk


def test_a_desktop_by_rdp(hall: Hall, tmp_path: Path) -> None:
    server = hall.server
    with shown(hall, "52:54:00:67:f7:30", tmp_path) as desk:
        words = desk.client.shell("tr '\\0' ' ' </proc/$(pgrep -u ltsp-session xfreerdp)/cmdline").split()
        assert f"/u:{NAME}" in words
        assert not any(PASSWORD in each for each in words)
        assert "/sound" in words
        # Debian 12's xrdp gets no drives of FreeRDP: it does not announce that it says when somebody is in.
        if hall.image != "sessions":
            work_with_sticks(desk, _DRIVES)
        desk.type("echo secret letter; touch by-rdp")
        server.wait_for(f"[ $(stat -c %U /home/{NAME}/by-rdp) = {NAME} ]")
        reads(desk, "(?i)secret letter", "letter")
        desk.type("exit")
        assert "secret" not in reads(desk, f"{ASKED}.*Name:", "name-after")
        # The host goes away, and comes back as another one.
        lets_in(desk, ASKED, "name-again")
        assert "secret" not in reads(desk, "Session on the server", "session-again")
        server.run("systemctl stop xrdp")
        reads(desk, "The server .* does not answer.*refused", "away")
        server.run(_OTHER)
        lets_in(desk, ASKED, "name-other")
        reads(desk, "is not the host that it should be", "other")
    server.run(f"rm /home/{NAME}/by-rdp")


@pytest.mark.parametrize("hall", [pytest.param(DEBIAN_13, id="trixie")], indirect=True)
def test_sticks_of_a_client_with_freerdp_2(hall: Hall, tmp_path: Path) -> None:
    with shown(hall, "52:54:00:67:f7:31", tmp_path, "sessions") as desk:
        work_with_sticks(desk, f"{_DRIVES}/usb")
