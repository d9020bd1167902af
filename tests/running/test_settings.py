"""What ltsp.conf says about the system of a client is so when the client has booted."""

import subprocess
from pathlib import Path

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f9:41"
SETTINGS = {
    "DEFAULT_IMAGE": "bookworm",
    "TIMEZONE": "Asia/Kathmandu",
    "LANG": "de_DE.UTF-8",
    "CRONTAB_A": "@reboot root date +\\%z >/run/by-cron",
    "DISABLE_SYSTEM_SERVICES": "systemd-pstore",
}


def swap(directory: Path, label: str) -> tuple[str, ...]:
    """Return QEMU's words for a disk that was made for swap under a label."""
    file = directory / f"{label}.raw"
    with file.open("wb") as image:
        image.truncate(16 << 20)
    subprocess.run(["mkswap", "-q", "-L", label, file], check=True)
    return ("-drive", f"if=virtio,format=raw,file={file}")


def until(client: Client, condition: str) -> None:
    client.shell(f"until {condition}; do sleep 0.2; done", 180)


def test_a_client_has_what_its_settings_say(server: Server, images: tuple[str, ...], tmp_path: Path) -> None:
    del images
    extra = (*swap(tmp_path, "OTHER"), *swap(tmp_path, "LTSP_SWAP"))
    with product.configured(server, {MAC: SETTINGS}):
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="settings", extra=extra)
        try:
            client.login_prompt()
            until(client, "grep -q /dev/ /proc/swaps")
            assert client.shell("tail -n +2 /proc/swaps | cut -d ' ' -f 1").split() == ["/dev/vdb"]
            assert client.shell("systemctl show -p ActiveState --value ltsp-swap@vda").strip() == "inactive"
            until(client, "[ -s /run/by-cron ]")
            assert client.shell("cat /run/by-cron").strip() == "+0545"
            assert "LANG=de_DE.UTF-8" in client.shell("systemctl show-environment")
            assert client.shell("systemctl is-enabled systemd-pstore || :").strip() == "disabled"
        finally:
            client.off()
