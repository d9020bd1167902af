"""SESSION=rdp: people are asked once, and see a desktop of a real xrdp, by the FreeRDP of each release."""

import subprocess
from pathlib import Path

import pytest

from tests.lab.net import SERVER_ADDRESS
from tests.sessions.conftest import NAME, PASSWORD, Hall, lets_in, reads

pytestmark = [pytest.mark.lab, pytest.mark.slow]
ASKED = "This screen shows a desktop of"
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


def stick(file: Path) -> tuple[str, ...]:
    """Make a USB stick with vfat, and return what plugs it in."""
    subprocess.run(["mkfs.vfat", "-C", "-n", "HOMEWORK", file, "65536"], check=True, capture_output=True)
    drive = f"if=none,id=stick,format=raw,file={file}"
    return ("-drive", drive, "-device", "qemu-xhci", "-device", "usb-storage,drive=stick")


@pytest.mark.parametrize("image", ["sessions", "trixie-sessions"])
def test_a_desktop_by_rdp(hall: Hall, image: str, tmp_path: Path) -> None:
    server, mac = hall.server, f"52:54:00:67:f7:3{len(image) % 8}"
    server.run(_AUTORUN)
    with hall.switched_on(
        image,
        mac,
        extra=stick(tmp_path / "stick"),
        SESSION="rdp",
        RDP_SERVER=SERVER_ADDRESS,
        RDP_FINGERPRINT=server.run(_FINGERPRINT).strip(),
    ) as desk:
        lets_in(desk, ASKED, "name")
        reads(desk, f"Session on the server for {NAME}", "session")
        words = desk.client.shell("tr '\\0' ' ' </proc/$(pgrep -u ltsp-session xfreerdp)/cmdline")
        assert f"/u:{NAME}" in words
        assert PASSWORD not in words
        # The stick is where FreeRDP looks for drives, and nothing on it can be run here.
        assert "noexec" in desk.client.shell("findmnt -no OPTIONS /media/stick-sda")
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
