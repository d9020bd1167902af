"""What the scripts of SESSION do, beside the programs that only a booted client has."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

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
        while "refused" not in said:
            said += script.stdout.read(1)
        assert "The server 127.0.0.1 does not answer." in said
        script.stdin.write("\n")
        with socket.create_server(("127.0.0.1", port)):
            rest, _ = script.communicate("\n" * 100, PATIENCE)
            # Nothing is said of a server that is there.
            assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "on\n"
    assert rest.endswith("on\n")


def run(kind: str, commands: str, typed: str = "") -> str:
    scripts = "; ".join(f". {LIVE}/session{each}.sh" for each in ("", "-screen", f"-{kind}"))
    words = [f"{BUSYBOX}", "sh", "-c", f"{scripts}\n{commands}"]
    return subprocess.run(words, input=typed, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://www.example.org/a:b?c=d:e@f", "www.example.org 80"),
        ("https://www.example.org", "www.example.org 443"),
        ("https://anna@www.example.org:8443/", "www.example.org 8443"),
        ("http://[fd00::1]/", "fd00::1 80"),
        ("http://[fd00::1]:8080?x", "fd00::1 8080"),
        ("http://10.0.0.9:81#top", "10.0.0.9 81"),
        ("file:///usr/share/doc/index.html", " "),
        ("about:blank", " "),
    ],
)
def test_the_server_of_a_page(url: str, server: str) -> None:
    assert run("kiosk", f"page_server '{url}'; echo \"$host $port\"") == f"{server}\n"


@pytest.mark.parametrize(
    ("browser", "words"),
    [("chromium", "--window-size=801,601"), ("firefox-esr", "--no-remote")],
)
def test_a_browser_gets_one_page_as_large_as_the_screen(tmp_path: Path, browser: str, words: str) -> None:
    program = tmp_path / browser
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    url = "https://www.example.org/?a=1&b=$(touch hit) *"
    known = f"HOME={tmp_path} WIDTH=800 HEIGHT=600 browser={program}"
    shown = run("kiosk", f"{known}; browse '{url}'").splitlines()
    assert {"--kiosk", words} < set(shown)
    assert shown[-1] == url
    profile = tmp_path / "profile"
    if browser == "chromium":
        assert json.loads((profile / "Default/Preferences").read_text()) == {"translate": {"enabled": False}}
    else:
        assert shown[shown.index("--profile") + 1] == str(profile)
        (windows,) = json.loads((profile / "xulstore.json").read_text()).values()
        assert (windows["main-window"]["width"], windows["main-window"]["height"]) == ("800", "600")


@pytest.mark.parametrize("command", ["", "mate-session", "sh -c 'echo \"$HOME\" it''s \\'"])
def test_a_command_on_the_server_is_one_word_for_its_script_of_sessions(tmp_path: Path, command: str) -> None:
    program = tmp_path / "Xsession"
    program.write_text('#!/bin/sh\nprintf \'%s|\' "$#" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "command").write_text(command)
    remote = run("x11", f'remote_command "$(cat {tmp_path}/command)"')
    remote = remote.replace("/etc/X11/Xsession", str(program))
    shown = subprocess.run(["bash", "-c", remote], capture_output=True, text=True, check=True).stdout
    assert shown == (f"1|{command}|" if command else "0|")


@pytest.mark.parametrize(
    ("version", "words"),
    [("2.11.7", ["-sec-rdp", "/drive:usb,/media"]), ("3.15.0", ["/sec:rdp:off", "/drive:hotplug,*"])],
)
def test_freerdp_gets_the_password_by_its_input_alone(tmp_path: Path, version: str, words: list[str]) -> None:
    program, said = tmp_path / "xfreerdp", tmp_path / "said"
    program.write_text(
        f"#!/bin/sh\n[ $1 != --version ] || exec echo This is FreeRDP version {version}\n"
        f"printf '%s\\n' \"$@\" >{said}\ncat >{tmp_path}/input\nexit 132\n"
    )
    program.chmod(0o755)
    for name, text in {"host": "[fd00::9]:3390", "domain": "SCHOOL", "options": "/network:lan *"}.items():
        (tmp_path / name).write_text(text)
    stubs = 'start_x() { WIDTH=800 HEIGHT=600; }; stop_x() { :; }; wait_for() { echo "waits for $*"; }'
    known = f"place={tmp_path} rdp={program} fingerprint=ab:cd"
    shown = run("rdp", f"{known}; {stubs}; session", " an na \n Blue\\Whale '7 \n\n")
    assert (tmp_path / "input").read_text() == " Blue\\Whale '7 \n"
    assert said.read_text().splitlines() == [
        *("/v:[fd00::9]:3390", "/u:an na", "/d:SCHOOL", "/from-stdin:force"),
        *("/cert:deny,fingerprint:sha256:ab:cd", "/size:800x600", "/f", "+clipboard", "/sound"),
        *(*words, "/network:lan", "*"),
    ]
    assert "waits for fd00::9 3390" in shown
    assert "The name or the password is not right." in shown
    assert "Whale" not in shown
    run("rdp", f"{known} fingerprint=; {stubs}; session", "anna\nx\n\n")
    assert "/cert:deny" in said.read_text().splitlines()


@pytest.mark.parametrize("status", [0, 1, 2, 11, 12])
def test_the_end_of_a_session_is_no_mistake(status: int) -> None:
    assert run("rdp", f"why {status}") == ""
