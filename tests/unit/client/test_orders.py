"""Orders on the client: its own loop against the running gateway, with signatures of ssh-keygen."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ltspd.clients.orders import document
from ltspd.clients.table import Order, Orders, Table
from ltspd.model import order
from ltspd.model.order import Target, Verb
from tests.patience import PATIENCE
from tests.worlds.features import NEEDS_BUSYBOX
from tests.worlds.gateways import Gateway, listed, running, served_folder, until
from tests.worlds.obeying import make_loop

pytestmark = [
    NEEDS_BUSYBOX,
    pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen (openssh-client)"),
]

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
ELSEWHEN = "01234567-89ab-cdef-0123-456789abcdef"
TEXT = 'It\'s "ten"; $(id) `id` \\n %41\n\t<b>&amp;</b> äöü -n *'


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


class Client:
    """A client's loop; ``obeyed`` is what it did."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.folder, self.gateway, self.number = folder, gateway, 0
        self.server, self.stranger = key(folder / "server"), key(folder / "stranger")
        base = f"http://127.0.0.1:{gateway.port}/ltsp"
        signer = self.server.with_suffix(".pub").read_text()
        self.store = make_loop(folder, signer, base=base, mac=MAC, address="127.0.0.1")

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                ["busybox", "sh", str(self.folder / "live")], stdout=said, stderr=said, start_new_session=True
            )
        try:
            yield
        finally:
            subprocess.run(["kill", "--", f"-{process.pid}"], check=True)
            process.wait(PATIENCE)

    def sign(self, name: str, data: bytes, signer: Path) -> None:
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(signer), "-n", "ltspd"]
        signature = subprocess.run(argv, input=data, check=True, capture_output=True).stdout
        (self.folder / name).write_bytes(data)
        (self.folder / f"{name}.sig").write_bytes(signature)

    def tell(self, *ids: str) -> None:
        """Have the gateway tell the client of orders."""
        self.number += 1
        names = {f"orders/{each}": each for each in ids}
        names |= {f"{url}.sig": f"{file}.sig" for url, file in names.items()}
        told = Orders(f"r{self.number}", {MAC: Order(ids[-1], " ".join(ids))} if ids else {})
        files = listed(self.folder, self.gateway.port, **names).files
        self.gateway.hang_up(Table(("127.0.0.1",), self.gateway.port, files, ("127.0.0.0/8",), orders=told))
        until(lambda: (self.store / "news/answer").exists())

    def give(
        self, number: str, verb: str, *words: str, mac: str = MAC, boot: str = BOOT, delay: int = 0
    ) -> None:
        targets = (Target(OTHER, BOOT, 3), Target(mac, boot, delay))
        self.sign(number, document(order.Order(number, Verb(verb), words, targets)), self.server)
        self.tell(number)

    @property
    def obeyed(self) -> str:
        return (self.store / "obeyed").read_text()

    def answers(self, number: str, result: str) -> None:
        until(lambda: f"answers order {number}: {result}" in self.gateway.log.read_text())

    def heard(self, number: str) -> None:
        """Wait until the client has looked at an order: a later one, which it obeys, shows that."""
        self.give(number, "message", number)
        self.answers(number, "ok")


@pytest.fixture
def client() -> Iterator[Client]:
    with served_folder() as folder, running(folder) as gateway:
        yield Client(folder, gateway)


def test_orders_are_obeyed_once_and_answered(client: Client) -> None:
    with client.running():
        client.give("101", "message", TEXT)
        client.answers("101", "ok")
        assert client.obeyed == f"message {TEXT}\n"
        client.give("102", "logout", "ada")
        client.answers("102", "ok")
        client.give("103", "logout")
        client.answers("103", "ok")
        client.give("104", "logout", "eve")
        client.answers("104", "nobody of that name is logged in there.")
        client.give("105", "reboot", delay=1)
        client.answers("105", "ok")
        (client.store / "inhibited").write_text('s "handle-lid-switch:shutdown:sleep"\n')
        client.give("106", "poweroff")
        client.answers("106", "a program there forbids it now")
        client.give("107", "poweroff", "force")
        client.answers("107", "ok")
        # Two that come together are obeyed in their order.
        for number in ("108", "109"):
            both = order.Order(number, Verb.LOGOUT, ("bob",), (Target(MAC, BOOT),))
            client.sign(number, document(both), client.server)
        client.tell("108", "109")
        client.answers("109", "ok")
        client.answers("108", "ok")
    until(lambda: client.obeyed.count("systemctl") == 2)
    assert client.obeyed.removeprefix(f"message {TEXT}\n").splitlines() == [
        "call TerminateUser u 1000",
        "call TerminateUser u 1000",
        "call TerminateUser u 1001",
        "systemctl -i --no-wall reboot",
        "systemctl -i --no-wall poweroff",
        "call TerminateUser u 1001",
        "call TerminateUser u 1001",
    ]


def test_a_server_that_was_restarted_is_told_again_what_the_client_is(client: Client) -> None:
    (client.store / "login/report").write_text(
        f"mac={MAC}\nstage=failed\nclock=1.5\nmarks=init=1 login=1.5\nhostname=pc1\nerror=it is up, but no.\n"
    )
    with client.running():
        client.give("301", "message", "x")
        client.answers("301", "ok")
        port = client.gateway.port
        client.gateway.close()
        (client.folder / "notify").unlink()
        gateway = client.gateway = Gateway(client.folder, listed(client.folder, port))
        try:
            gateway.heard("READY=1")
            client.tell()
            until(lambda: f"is {MAC}, pc1 at failed" in gateway.log.read_text())
            client.give("302", "message", "y")
            client.answers("302", "ok")
        finally:
            gateway.close()


def test_an_order_of_anybody_else_does_nothing(client: Client) -> None:
    reboot = document(order.Order("201", Verb.REBOOT, (), (Target(MAC, BOOT),)))
    with client.running():
        # Somebody else's signature, and one of the server under another text.
        client.sign("201", reboot, client.stranger)
        client.tell("201")
        refused = "is not signed by the server that this client booted from"
        until(lambda: refused in (client.folder / "said").read_text())
        client.heard("202")
        client.sign("203", reboot.replace(b"201", b"203"), client.server)
        (client.folder / "203").write_bytes(reboot.replace(b"201", b"203").replace(b"reboot", b"poweroff"))
        client.tell("203")
        client.heard("204")
        # The server's own orders: to another boot or machine, under another name, once more, or older ones.
        client.give("205", "reboot", boot=ELSEWHEN)
        client.heard("206")
        client.give("207", "reboot", mac="52:54:00:00:00:03")
        client.heard("208")
        client.sign("209", reboot, client.server)
        client.tell("209")
        client.heard("210")
        client.give("211", "reboot")
        client.answers("211", "ok")
        client.tell("211")
        client.tell("211", "201")
        client.sign("201", reboot, client.server)
        client.tell("201")
        client.heard("212")
        # What no order looks like.
        client.sign("213", b"213 reboot $(id)\n" + f"{MAC} {BOOT} 0\n".encode(), client.server)
        client.tell("213")
        client.answers("213", "its words are not written as words of an order are.")
        client.sign("214", b"214 dance\n" + f"{MAC} {BOOT} 0\n".encode(), client.server)
        client.tell("214")
        client.answers("214", "this client's software does not know that order.")
        client.sign("215", b"215 reboot\n" + f"{MAC} {BOOT} 0;id\n".encode(), client.server)
        client.tell("215")
        client.heard("216")
    shown = [each for each in client.obeyed.splitlines() if not each.startswith("message")]
    assert shown == ["systemctl -i --no-wall reboot"]
