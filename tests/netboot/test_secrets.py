"""A server full of secrets that boots its clients from its own root: nobody on the network gets any."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import product, trees
from tests.lab.client import power_on
from tests.lab.net import SERVER_ADDRESS, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STORE = "/srv/ltsp/images"
IMAGE = "x86_64"
CANARY = "Canary0f6c2a91"
KEY = "-----BEGIN RSA PRIVATE KEY-----"
HASH = f"$6$Salt$Canary0f6c2a91{'x' * 60}"
# Files of real programs, with the modes and owners that those give them (name, mode, owner:group, content).
FILES = """
    etc/davfs2/secrets 600 0:0
    etc/rsyncd.secrets 600 0:0
    etc/samba/credentials 600 0:0
    etc/hostapd/hostapd.conf 600 0:0
    etc/x2go/x2gosql/passwords/x2gouser 640 0:50
    etc/nut/upsd.users 640 0:120
    etc/asterisk/sip.conf 640 121:121
    etc/freeradius/3.0/clients.conf 640 0:122
    etc/freeradius/3.0/mods-enabled/ldap 640 0:122
    etc/sssd/sssd.conf 600 0:0
    etc/nslcd.conf 640 0:123
    etc/pam_ldap.conf 600 0:0
    etc/pihole/setupVars.conf 640 0:0
    etc/zabbix/zabbix_server.conf 640 0:124
    etc/icinga2/conf.d/api-users.conf 640 125:125
    etc/postgresql/15/main/pg_hba.conf 640 126:126
    etc/mysql/conf.d/backup.cnf 600 0:0
    etc/proftpd/sql.conf 640 0:0
    etc/dovecot/dovecot-sql.conf.ext 640 0:127
    etc/prosody/prosody.cfg.lua 640 0:128
    etc/turnserver.conf 640 0:129
    etc/ddclient.conf 600 130:0
    etc/msmtprc 640 0:131
    etc/restic/password 600 0:0
    etc/borgmatic/config.yaml 600 0:0
    etc/guacamole/user-mapping.xml 640 0:132
    etc/vsftpd/virtual_users.txt 600 0:0
    etc/snmp/snmpd.local.conf 600 0:0
    etc/default/veyon-api 640 0:0
    boot/grub/custom.cfg 600 0:0
    usr/local/etc/moodle/config.php 640 0:33
    usr/local/sbin/nightly-backup 700 0:0
    opt/fog/.fogsettings 600 0:0
    opt/gitlab/etc/gitlab-secrets.json 600 0:0
    var/lib/tailscale/tailscaled.state 600 0:0
    var/lib/cloud/instance/user-data.txt 600 0:0
    var/lib/grafana/grafana.db 640 133:133
    var/lib/systemd/coredump/core.sshd.0.zst 640 0:0
    var/lib/shim-signed/mok/MOK.priv 600 0:0
    var/spool/asterisk/voicemail/1000/INBOX/msg0000.txt 660 121:121
"""
# What others may not look into (directory, mode, what is in it, for others to read).
CLOSED = """
    var/lib/jenkins 750 secrets/master.key
    var/lib/nextcloud-data 770 teacher/files/grades.csv
    var/lib/vaultwarden 700 db.sqlite3
    opt/app/private 711 no-list.txt
"""
# Secrets by their content, for others to read: copies of the system, and elsewhere.
FETCHED = ("'*.squashfs'", "vmlinuz", "initrd.img", "layers", "kept", "replaced")
SECRETS = {
    "data/old/2026-01-01/etc/shadow": f"root:{HASH}:1::::::\n",
    "data/old/2026-01-01/root/.ssh/id_rsa": f"{KEY}\n{CANARY}\n",
    "data/old/2026-01-01/etc/ssh/ssh_host_ed25519_key": CANARY,
    "timeshift/snapshots/1/localhost/etc/plain": CANARY,
    "opt/site/.htpasswd": f"ann:{HASH}\n",
    "skole/tjener/home0/bob/letter": CANARY,
}


@pytest.fixture(scope="module")
def full() -> Iterator[Server]:
    """Boot a server with sudo and cups, put the secrets on it, and build the image of its root."""
    with open_session() as session:
        server = start_server(session, make_lan(session), tree="private-server")
        product.wait_until_up(server)
        product.configure(server, {})
        _hide(server)
        said = product.build(server, "/")
        assert "/etc/davfs2/secrets is left out: others may not read it" in said
        yield server
    assert leftovers(session.name) == []


def _hide(server: Server) -> None:
    trees.add_shell(server.path("/"))
    server.run("useradd --uid 1000 --groups sudo teacher; useradd --uid 1001 -d /skole/tjener/home0/bob bob")
    server.run("visudo -c && echo '%lab ALL=(ALL) ALL' >/etc/sudoers.d/lab && chmod 440 /etc/sudoers.d/lab")
    server.run("mkdir -p /etc/cups/ppd && echo ppd >/etc/cups/ppd/lab.ppd && chmod 640 /etc/cups/ppd/lab.ppd")
    script = ["set -e"]

    def write(name: str, content: str) -> None:
        script.append(f"mkdir -p {shlex.quote(str(Path(name).parent))}")
        script.append(f"printf %s {shlex.quote(content)} >{shlex.quote(name)}")

    for line in FILES.split("\n"):
        if words := line.split():
            name, mode, owner = words
            write(f"/{name}", CANARY)
            script += [f"chown {owner} /{name}", f"chmod {mode} /{name}"]
    for line in CLOSED.split("\n"):
        if words := line.split():
            name, mode, inside = words
            write(f"/{name}/{inside}", CANARY)
            script.append(f"chmod {mode} /{name}")
    for name, content in SECRETS.items():
        write(f"/{name}", content)
    server.run("\n".join(script))


def canaries_in(server: Server, tmp_path: Path) -> list[str]:
    """Return where in the layers of all generations there is one, in a name or in a file."""
    found = []
    for layer in sorted((server.srv / "images").glob("*/layers/*.squashfs")):
        out = tmp_path / layer.name
        command = ["unsquashfs", "-no-progress", "-quiet", "-dest", str(out), str(layer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        search = ["grep", "-ralF", "--devices=skip", "-e", CANARY, str(out)]
        done = subprocess.run(search, capture_output=True, text=True, check=False)
        found += done.stdout.splitlines()
    return found


def test_no_layer_has_a_secret_and_all_is_told(full: Server, tmp_path: Path) -> None:
    names = [words[0] for line in (FILES + CLOSED).split("\n") if (words := line.split())]
    assert len(names) >= 40
    assert canaries_in(full, tmp_path) == []
    shown = full.run(f"ltspctl image show {IMAGE}")
    quiet = ("boot/grub/", "var/lib/systemd/")
    missing = [each for each in names if each not in shown and not each.startswith(quiet)]
    assert missing == []


def test_nothing_but_finished_layers_is_ever_reachable(full: Server) -> None:
    """By NFS, TFTP, HTTP and NBD, before, during and after a build; and the client has what it needs."""
    client = power_on(full.session, full.lan, "bios", mac="52:54:00:67:f6:01", name="private")
    try:
        client.login_prompt()
        assert "FAILED" not in client.console.text
        assert "ALL" in client.shell("sudo -l -U teacher")
        assert "parsed OK" in client.shell("visudo -c")
        assert "%lab" in client.shell("cat /etc/sudoers.d/lab")
        client.shell("test -s /etc/cups/ppd/lab.ppd && test -s /etc/cups/cups-files.conf")
        assert CANARY not in client.shell(
            f"grep -rlF {CANARY} /etc /opt /var /usr/local /boot 2>&1 || :", 240
        )
        client.shell(
            "mkdir -p /run/all &&"
            f" mount -t nfs4 -o ro,vers=4.1,addr={SERVER_ADDRESS} {SERVER_ADDRESS}:{STORE} /run/all"
        )
        reach = (
            "find /run/all -type f 2>/dev/null |"
            ' while read -r file; do head -c1 "$file" >/dev/null 2>&1 && echo "$file"; done; :'
        )
        before = set(client.shell(reach, 120).split())
        assert before == {f"/run/all/{each}" for each in _finished(full)}
        full.run(
            "ltspctl image build --no-wait --full /;"
            "while ! pid=$(pgrep -x mksquashfs); do sleep 0.02; done; kill -STOP $pid"
        )
        work = full.run(f"find {STORE} -path '*/.work-*' -type f").split()
        assert work
        assert set(client.shell(reach, 120).split()) == before
        assert _fetched(full, work) == []
        full.run("pkill -CONT -x mksquashfs")
        full.wait_for(lambda: all(each["State"] == "done" for each in product.status(full)["Jobs"]), 300)
        # A client may know directories as they were a minute ago.
        assert set(client.shell(reach, 120).split()) <= {f"/run/all/{each}" for each in _finished(full)}
    finally:
        client.off()
    every = full.run(f"find {STORE} -type f").split()
    finished = {f"{STORE}/{each}" for each in _finished(full)}
    assert set(_fetched(full, every)) <= finished
    # What is not in the store: boot programs, menus, add-on initrds.
    table = json.loads(full.run("cat /var/lib/ltspd/outputs/gateway.json"))
    urls = [f"http://{SERVER_ADDRESS}{each}" for each in table["files"]]
    urls += [f"tftp://{SERVER_ADDRESS}/ltsp/{each}" for each in full.run("ls /srv/tftp/ltsp").split()]
    search = f'curl -sf -m 60 "$url" | grep -qaF {CANARY} && echo "$url"'
    assert full.run(f"for url in {shlex.join(urls)}; do {search}; done; :", timeout=300) == ""
    exports = full.run("sed -n 's/.*exportname = //p' /var/lib/ltspd/outputs/nbd-server.conf").split()
    assert exports
    assert set(exports) <= finished


def _finished(server: Server) -> set[str]:
    """Return what clients may read, below the store."""
    kinds = " -o ".join(f"-name {each}" for each in FETCHED)
    script = f"cd {STORE} && find . -path '*/.work-*' -prune -o -type f \\( {kinds} \\) -print"
    return {each.removeprefix("./") for each in server.run(script).split()}


def _fetched(server: Server, files: list[str]) -> list[str]:
    """Return those of the files of the store that TFTP or HTTP hand out."""
    script = ""
    for file in files:
        name = file.removeprefix(STORE)
        for url in (
            f"tftp://{SERVER_ADDRESS}/ltsp/images{name}",
            f"http://{SERVER_ADDRESS}/ltsp/images{name}",
        ):
            script += f"curl -sf -m 60 -o /dev/null {shlex.quote(url)} && echo {shlex.quote(file)}\n"
    return server.run(script + ":", timeout=600).split()
