"""Changes of the server's accounts reach a client that is up, and no session suffers."""

import pytest

from tests.lab.reading import reading, reads_on
from tests.lab.server import Server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:f5:11"
GETENT = """#!/bin/sh
case "$(id -u) $*" in
    '65534 -s ldap passwd') echo 'dora:*:200001:200001::/home/dora:/bin/sh' ;;
    *) exec /usr/bin/getent "$@" ;;
esac
"""
CLOSED = "grep -q '^{}:.*:1:$' /etc/shadow"


def test_accounts_come_change_and_go_while_a_client_runs(server: Server, images: tuple[str, ...]) -> None:
    del images
    with reading(server, "live", MAC, "nfs") as client:

        def until(condition: str) -> None:
            client.shell(f"until {condition}; do sleep 0.2; done", 180)

        try:
            until("systemctl is-active --quiet ltsp-live")
            server.run("useradd --shell /bin/sh lena && echo lena:Grey-Heron-4 | chpasswd && groupadd class")
            until("getent passwd lena")
            assert client.shell("su lena -c 'id -un'").strip() == "lena"
            assert "lena" not in server.run("grep -a -o 'Grey-Heron' /var/lib/ltspd/documents/accounts; true")
            server.run("gpasswd --add lena class")
            until("id -nG lena | grep -qw class")

            server.run("usermod --lock lena")
            until(CLOSED.format("lena"))
            assert "expired" in client.shell("su lena -c id 2>&1; true")
            server.run("usermod --unlock lena")
            until(f"! {CLOSED.format('lena')}")
            assert client.shell("su lena -c 'id -un'").strip() == "lena"

            # A session as logind knows them.
            client.shell("systemd-run --quiet --unit=person -p User=lena -p PAMName=su-l sleep 10000")
            until('test -e "/run/systemd/users/$(id -u lena)"')
            uid = client.shell("id -u lena").strip()
            server.run("userdel lena")
            until(CLOSED.format("lena"))
            assert "expired" in client.shell("su lena -c id 2>&1; true")
            assert client.shell("systemctl is-active person").strip() == "active"
            assert client.shell(f"ps -o user= -p $(pgrep -u {uid} sleep)").strip() == "lena"
            client.shell("systemctl stop person")
            until("! getent passwd lena")
            assert client.shell("grep lena /etc/passwd /etc/shadow /etc/group; true").strip() == ""
            # Who comes next has the same number on the server, and not here before the next boot.
            server.run(f"useradd --uid {uid} --shell /bin/sh otto")
            until(
                "journalctl -q -u ltsp-live | grep -q 'account otto is left out until this client restarts'"
            )

            # A directory: the daemon asks for its people in its own sandbox, as a user without rights.
            server.write("/usr/local/bin/getent", GETENT)
            server.run("chmod 755 /usr/local/bin/getent; cp /etc/nsswitch.conf /etc/nsswitch.before")
            server.run("sed -i 's/^passwd:.*/& ldap/' /etc/nsswitch.conf")
            until("getent passwd dora | grep -q ':200001:'")

            server.run("systemctl restart ltspd ltspd-gateway")
            server.run("useradd --shell /bin/sh mara")
            until("getent passwd mara")
            assert client.shell("systemctl show --value -p NRestarts ltsp-live").strip() == "0"

            # Where machines that boot get no answer, one that runs loses nothing.
            server.run("ltspctl serve off && ! systemctl is-active --quiet ltspd-dnsmasq ltspd-tftp")
            reads_on(server, client, "while serving is off")
            server.run("useradd --shell /bin/sh nora")
            until("getent passwd nora")
        finally:
            server.run("mv /etc/nsswitch.before /etc/nsswitch.conf; rm /usr/local/bin/getent", check=False)
            server.run("ltspctl serve on; groupdel class", check=False)
            server.run("for each in lena otto mara nora; do userdel -f $each; done", check=False)
