"""What ltsp.conf says about the system of a client is so when the client has booted."""

import subprocess
from pathlib import Path

import pytest

from tests.lab import product
from tests.lab.client import Client, power_on
from tests.lab.product import Code
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f9:41"
SETTINGS: dict[str, str] = {
    "DEFAULT_IMAGE": "bookworm",
    "TIMEZONE": "Asia/Kathmandu",
    "LANG": "de_DE.UTF-8",
    "CRONTAB_A": "@reboot root date +\\%z >/run/by-cron",
    "DISABLE_SYSTEM_SERVICES": "remote-fs.target",
    # Code, which calls a section, and hooks, each of which leaves a line.
    "PLACE": Code('"$(uname -s)-${MAC_ADDRESS##*:}"\nif [ -x /usr/bin/dpkg ]; then section_of_code; fi'),
    "PRE_INITRD_BOTTOM_A": 'echo "pre initrd $IP_ADDRESS" >/run/hooks',
    "POST_INITRD_BOTTOM_A": "cat /run/hooks >$rootmnt/etc/hooks",
    "PRE_INIT_A": "echo \"pre init $PLACE\" >>/etc/hooks; HOSTS_A='192.168.67.71 by-hook'",
    "POST_INIT_A": "grep -q by-hook /etc/hosts && echo post init >>/etc/hooks",
    "POST_INIT_B": "ls /nowhere",
    "POST_INIT_C": "section_at_the_end",
    "PRE_SERVICE_A": 'echo "service $HOSTS_C" >>/etc/hooks',
    "PRE_LOGIN_A": 'echo "login $USER" >>/etc/hooks',
    "PRE_SESSION_A": 'echo "session $(id -un)" >>~/hooks',
    "POST_SESSION_A": "echo end >>~/hooks",
    "POST_LOGIN_A": "cat /home/tom/hooks >>/etc/hooks",
}
SECTIONS: dict[str, dict[str, str]] = {
    MAC: SETTINGS,
    f"init/{MAC}": {"HOSTS_C": "192.168.67.73 for-init"},
    f"service/{MAC}": {"HOSTS_C": "for-service"},
    "of-code": {"HOSTS_B": Code('"192.168.67.72 by-$PLACE"')},
    "at-the-end": {"LAST": Code("1\ncat >>/etc/hooks <<END\nsection $PLACE\nEND")},
}
HOOKS = [
    "pre initrd {address}",
    "pre init Linux-41",
    "post init",
    "section Linux-41",
    "service for-service",
]


def swap(directory: Path, label: str) -> tuple[str, ...]:
    """Return QEMU's words for a disk that was made for swap under a label."""
    file = directory / f"{label}.raw"
    with file.open("wb") as image:
        image.truncate(16 << 20)
    subprocess.run(["mkswap", "-q", "-L", label, file], check=True)
    return ("-drive", f"if=virtio,format=raw,file={file}")


def until(client: Client, condition: str) -> None:
    client.shell(f"until {condition}; do sleep 0.2; done", 180)


def code_and_hooks(server: Server, client: Client) -> None:
    """See what code has set, that each hook has run at its moment, and that the one that failed is told."""
    until(client, "grep -q ^service /etc/hooks")
    hosts = client.shell("cat /etc/hosts").splitlines()
    assert {"192.168.67.71 by-hook", "192.168.67.72 by-Linux-41", "192.168.67.73 for-init"} <= set(hosts)
    address = product.client(server, MAC)["Address"]
    assert client.shell("cat /etc/hooks").splitlines() == [each.format(address=address) for each in HOOKS]
    server.wait_for(
        lambda: "part of its setup failed: /etc/ltsp/ltsp.conf:" in product.client(server, MAC)["Error"]
    )
    assert "POST_INIT_B: ls: cannot access '/nowhere'" in client.shell("journalctl -k -t ltsp")
    # A person's own systemd is what a session starts first.
    client.shell("useradd -m -u 1700 tom && systemctl start user@1700 && systemctl stop user@1700")
    assert client.shell("tail -n 3 /etc/hooks").splitlines() == ["login tom", "session tom", "end"]


def test_a_client_has_what_its_settings_say(server: Server, images: tuple[str, ...], tmp_path: Path) -> None:
    del images
    extra = (*swap(tmp_path, "OTHER"), *swap(tmp_path, "LTSP_SWAP"))
    with product.configured(server, SECTIONS):
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="settings", extra=extra)
        try:
            client.login_prompt()
            until(client, "grep -q /dev/vdb /proc/swaps && grep -q /dev/zram0 /proc/swaps")
            swaps = client.shell("tail -n +2 /proc/swaps | cut -d ' ' -f 1").split()
            assert sorted(swaps) == ["/dev/vdb", "/dev/zram0"]
            assert client.shell("systemctl show -p ActiveState --value ltsp-swap@vda").strip() == "inactive"
            until(client, "[ -s /run/by-cron ]")
            assert client.shell("cat /run/by-cron").strip() == "+0545"
            assert "LANG=de_DE.UTF-8" in client.shell("systemctl show-environment")
            assert client.shell("systemctl is-enabled remote-fs.target || :").strip() == "disabled"
            code_and_hooks(server, client)
        finally:
            client.off()
