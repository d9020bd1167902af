"""The demonstration: from nothing to two clients at their login prompts, each step said as it happens."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import product, trees
from tests.lab.client import Client, power_on
from tests.lab.net import SERVER_ADDRESS, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, leftovers, open_session
from tests.lab.timeline import Mark, table

IMAGE = "bookworm"
_bold, _plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


@contextmanager
def step(words: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    print(f"{_bold}{words}{_plain}", flush=True)
    began = time.monotonic()
    yield
    print(f"    {time.monotonic() - began:.1f} s", flush=True)


def _say(text: str) -> None:
    for line in text.strip().splitlines():
        print(f"    {line}", flush=True)


def _build(server: Server) -> None:
    """Let ltspctl speak for itself, as it comes."""
    argv = server.command(["ltspctl", "image", "build", IMAGE])
    if subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise RuntimeError(f"the build failed; the server's journal is in {server.save_journal()}")


def _boot(client: Client) -> dict[str, Mark]:
    seen = client.login_prompt()
    _say(f"{seen.text.strip()} after {seen.time:.1f} s")
    _say(client.shell("findmnt -n -o FSTYPE,OPTIONS / | cut -c -100; ip -4 -br address; uptime -p"))
    return client.timeline()


def _demonstrate(session: Session) -> None:
    with step("Root trees of a server and of a client (mmdebstrap; the first time takes minutes)"):
        _say("\n".join(str(trees.tree(name)) for name in ("server", "client")))
    with step("A LAN of network namespaces, and a server: Debian 12 with systemd, D-Bus, polkit and ltspd"):
        lan = make_lan(session)
        server = start_server(session, lan, sources={IMAGE: "client"})
        product.wait_until_up(server)
        product.configure(server, {})
        _say(f"server at {SERVER_ADDRESS}\n" + server.run("ltspctl status"))
    with step(f"ltspctl image build {IMAGE}"):
        _build(server)
        _say(server.run("ltspctl image list; ltspctl output list"))
    timelines = {}
    for firmware in ("bios", "uefi"):
        with step(f"A diskless client with {firmware.upper()} boots from the LAN"):
            client = power_on(session, lan, "uefi" if firmware == "uefi" else "bios")
            timelines[firmware] = _boot(client)
            client.off()
    print(f"\n{_bold}When each client reached each stage, and what it had received by then{_plain}")
    print(table(timelines))


def main() -> int:
    """Run the demonstration; return the exit status."""
    name = ""
    status = 1
    logs = ""
    try:
        with open_session() as session:
            name, logs = session.name, str(session.logs)
            print(f"Logs: {logs}", flush=True)
            _demonstrate(session)
        status = 0
    except KeyboardInterrupt:
        print("\nInterrupted.")
        status = 130
    except (RuntimeError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
    left = leftovers(name) if name else []
    print(f"Left behind: {'; '.join(left) or 'nothing'}. Logs of consoles and of the server: {logs}")
    return status or bool(left)


if __name__ == "__main__":
    sys.exit(main())
