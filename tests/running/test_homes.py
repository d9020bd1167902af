"""Homes by NFS: written on a client, kept by the server, while that ends, is cut off, and is full."""

import time
from collections.abc import Iterator

import pytest

from tests.lab import homes, product
from tests.lab.client import Client, power_on
from tests.lab.homes import ends, goes_on, person, write
from tests.lab.server import Server
from tests.lab.units import kill, show

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MAC = "52:54:00:67:e5:01"
# The line is the one that users of LTSP have with NFS_HOME; it must not be in the way.
CONF = {"DEFAULT_IMAGE": "bookworm", "FSTAB_HOME": "server:/home /home nfs defaults,nolock 0 0"}
# Seconds that a client's cable is out.
CUT = 60


@pytest.fixture(scope="module")
def client(server: Server, images: tuple[str, ...]) -> Iterator[Client]:
    """Boot a client with homes by NFS; they are switched on while its server serves roots."""
    del images  # they must be built, that is all
    roots = show(server, "MainPID", "ltspd-nfs")
    with (
        homes.file_system(server, 64),
        product.configured(server, {"server": {"NFS_HOME": "1"}, MAC: CONF}),
    ):
        server.wait_for("systemctl is-active --quiet ltspd-homes")
        assert show(server, "MainPID", "ltspd-nfs") == roots, "roots are served as before"
        client = power_on(server.session, server.lan, "bios", mac=MAC, name="homes")
        try:
            client.login_prompt()
            yield client
        finally:
            client.off()


def _mounted(client: Client) -> str:
    return client.shell("findmnt -n -t nfs4 -o SOURCE,OPTIONS /home || :").strip()


def test_a_person_works_in_the_home_and_nobody_else_does(server: Server, client: Client) -> None:
    assert ":/home " in _mounted(client), "before anybody has used it"
    assert "nosuid,nodev" in _mounted(client)
    client.shell(
        person("alice", "pwd; mkdir -m 2770 shared; echo text >file; chmod 600 file; ln file shared/g")
    )
    told = server.run("stat -c '%u %g %a %h' /home/alice/file /home/alice/shared; cat /home/alice/file")
    assert told.splitlines() == ["1500 1500 600 2", "1500 1500 2770 2", "text"]
    # Root of a client is nobody, a person is only that person, and one whom the server does not know is none.
    for command in (
        "cat /home/alice/file",
        "echo x >/home/by-root",
        "chown root /home/alice",
        person("bob", "cat /home/alice/file"),
        person("bob", "echo x >/home/alice/by-bob"),
        "setpriv --reuid 1777 --regid 1777 --clear-groups ls /home",
        # From a port that anybody on a client may use.
        "umount /home; mkdir -p /mnt/any; mount -t nfs4 -o noresvport,vers=4.1,port=2050,addr=192.168.67.1 "
        "192.168.67.1:/home /mnt/any && ls /mnt/any",
        # What is not exported.
        "mount -t nfs4 -o vers=4.1,port=2050,addr=192.168.67.1 192.168.67.1:/srv /mnt/any",
    ):
        with pytest.raises(RuntimeError, match=r"denied|not permitted|No such file|not exist|Stale"):
            client.shell(command)
    assert server.run("ls -A /home").split() == ["alice", "bob"]


def test_work_goes_on_when_the_server_restarts_or_is_killed(server: Server, client: Client) -> None:
    write(client)
    goes_on(server, client)
    server.run("systemctl restart ltspd-homes")
    goes_on(server, client)
    kill(server, "ltspd-homes")
    goes_on(server, client)
    ends(server, client)


def test_work_goes_on_when_the_network_comes_back(server: Server, client: Client) -> None:
    # Who has a session is told.
    client.shell("systemctl start user@1500")
    write(client)
    goes_on(server, client)
    homes.cut(client, off=True)
    time.sleep(CUT)
    homes.cut(client, off=False)
    goes_on(server, client)
    ends(server, client)
    told = client.shell("journalctl -q --no-pager -o cat -u ltsp-homes-told")
    assert [told.count(each) for each in ("The server does not answer.", "The server is back.")] == [1, 1]


def test_a_full_disk_is_told_and_loses_nothing(server: Server, client: Client) -> None:
    client.shell(person("alice", "echo before >kept; sync kept"))
    with pytest.raises(RuntimeError, match="No space left on device"):
        client.shell(person("alice", "dd if=/dev/zero of=more bs=1M count=100 conv=fsync"))
    # What is kept for root alone is still there, so a quota would count, too: one capability goes past both.
    free, blocks = server.run("stat -f -c '%f %b' /home").split()
    assert int(free) > 0.15 * int(blocks)
    client.shell(person("alice", "rm -f more; echo after >>kept; sync kept"))
    assert server.run("cat /home/alice/kept").split() == ["before", "after"]
    # What a program of the server itself writes is seen, too.
    server.run("echo theirs >>/home/alice/kept")
    assert client.shell(person("alice", "cat kept")).split() == ["before", "after", "theirs"]


def test_nothing_is_written_beside_the_homes_while_there_are_none(server: Server, client: Client) -> None:
    client.shell("umount /home")
    server.run("systemctl stop ltspd-homes")
    with pytest.raises(RuntimeError):
        client.shell(person("alice", "echo lost >/home/alice/lost"))
    with pytest.raises(RuntimeError):
        client.shell("mkdir /home/lost")
    client.shell("mkdir -p /mnt/root && mount --bind / /mnt/root")
    assert client.shell("ls -A /mnt/root/home").strip() == ""
    server.run("systemctl start ltspd-homes")
    server.wait_for(lambda: "alice" in client.shell(person("alice", "echo back >back; ls /home 2>&1; :")))
    assert server.run("cat /home/alice/back").strip() == "back"
