"""What the scripts of SESSION do, beside the programs that only a booted client has."""

import shutil
import socket
import subprocess

import pytest

from tests import REPOSITORY
from tests.patience import PATIENCE

LIVE = REPOSITORY / "client/live"
BUSYBOX = shutil.which("busybox")
pytestmark = pytest.mark.skipif(not BUSYBOX, reason="needs busybox, the shell of clients")


def test_the_screen_says_that_a_server_is_away_and_goes_on_when_it_is_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    commands = f"sleep() {{ read -r _; }}; wait_for 127.0.0.1 {port}; echo on"
    words = [f"{BUSYBOX}", "sh", "-c", f"busybox={BUSYBOX}; . {LIVE}/session.sh; {commands}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdin
        assert script.stdout
        said = ""
        while "tries again by itself" not in said:
            said += script.stdout.read(1)
        assert "The server 127.0.0.1 does not answer." in said
        script.stdin.write("\n")
        with socket.create_server(("127.0.0.1", port)):
            rest, _ = script.communicate("\n" * 100, PATIENCE)
            # Nothing is said of a server that is there.
            assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "on\n"
    assert rest.endswith("on\n")
