"""polkit on a real server: refused without a rule, allowed by the rule of the docs, asked on a terminal."""

import json
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests import REPOSITORY
from tests.lab.server import Server
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab

RULES = "/etc/polkit-1/rules.d/50-teachers.rules"
PASSWORD = "correct horse"
ACTION = "org.ltsp.Server1."


@pytest.fixture(scope="module")
def people(server: Server) -> Iterator[None]:
    """Have an administrator (Debian's: group sudo), a teacher and a pupil on the server."""
    try:
        server.run(
            "groupadd teachers && useradd -G sudo boss && useradd -G teachers teacher && useradd pupil "
            "&& chpasswd",
            stdin=f"boss:{PASSWORD}\n",
        )
        yield
    finally:
        for command in (
            "userdel boss",
            "userdel teacher",
            "userdel pupil",
            "groupdel teachers",
            f"rm -f {RULES}",
        ):
            server.run(command, check=False)


def docs_rule(image: str) -> str:
    """Return the rule that docs/security.md shows, for another image."""
    text = (REPOSITORY / "docs" / "security.md").read_text()
    (rule,) = re.findall(r"```\n// /etc/polkit-1/.*?\n(.*?)```", text, re.DOTALL)
    assert "classroom" in rule
    return str(rule).replace("classroom", image)


def told(server: Server, user: str, words: str) -> tuple[int, str]:
    """Run ltspctl as somebody without a terminal; return its status and its words."""
    text = server.run(f"runuser -u {user} -- ltspctl {words} 2>&1; echo $?")
    said, _, status = text.rstrip().rpartition("\n")
    return int(status), said


@dataclass(slots=True)
class Terminal:
    """A command on a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    shown: str = ""

    def until(self, text: str, timeout: float = 20.0) -> None:
        """Wait until something was shown; fail with all that was."""
        deadline = time.monotonic() + timeout
        while text not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} was never shown: {self.shown}"
            if not self._read():
                pytest.fail(f"{text!r} was never shown: {self.shown}")

    def type(self, line: str) -> None:
        """Type a password, once the terminal doesn't show it: what comes before is thrown away."""
        deadline = time.monotonic() + PATIENCE
        while termios.tcgetattr(self.descriptor)[3] & termios.ECHO:
            assert time.monotonic() < deadline, f"the password would be shown: {self.shown}"
            time.sleep(0.02)
        os.write(self.descriptor, line.encode() + b"\n")

    def end(self) -> int:
        """Read what is still shown, and return the exit status."""
        deadline = time.monotonic() + PATIENCE
        while select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
            if not self._read():
                return self.process.wait(PATIENCE)
        pytest.fail(f"it never ended: {self.shown}")

    def _read(self) -> bool:
        try:
            piece = os.read(self.descriptor, 4096)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)


@pytest.fixture
def terminal(server: Server, people: None, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """Log somebody in on a terminal and run a command there: the test's parameters."""
    user, words, *login = request.param
    ours, theirs = pty.openpty()
    script = f"cat /proc/self/cgroup; exec ltspctl {words}"
    how = ["runuser", "-u", user, "--", "sh", "-c", script]
    if login:  # PAM starts a session, so that systemd-logind knows it
        how = ["su", "-l", "-s", "/bin/sh", user, f"--session-command={script}"]
    command = server.command(how)
    # With a controlling terminal, as a login has it: that is where pkttyagent asks.
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        os.close(ours)  # a hang-up, which ends what still runs there
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def jobs(server: Server, image: str) -> set[str]:
    """Return the ids of an image's jobs."""
    found = json.loads(server.run("ltspctl job list --json"))
    return {each["Id"] for each in found if each["Subject"] == image}


def audited(server: Server, user: str, action: str, result: str = "allowed") -> str:
    """Return the last audit line about somebody's action, found by its fields.

    The daemon may answer before its journal has the line, so it is waited for.
    """
    uid = server.run(f"id -u {user}").strip()
    fields = f"LTSPD_UID={uid} LTSPD_USER={user} LTSPD_ACTION={ACTION}{action} LTSPD_RESULT={result}"
    line = f"journalctl -q --no-pager -o cat -n 1 -u ltspd {fields}"
    server.wait_for(lambda: server.run(line).strip())
    return server.run(line).strip()


@pytest.mark.usefixtures("people")
def test_the_rule_of_the_docs_lets_teachers_build_and_revert_one_image(server: Server) -> None:
    for user in ("teacher", "pupil"):
        status, said = told(server, user, "image build --no-wait bookworm")
        assert (status, f"{ACTION}build-image: you are not authorized" in said) == (3, True), said
    line = audited(server, "pupil", "build-image", "denied")
    uid = server.run("id -u pupil").strip()
    assert line.startswith(
        f"{ACTION}build-image Manager.BuildImage (image 'bookworm') by user {uid} (pupil, :"
    )
    assert "): denied: " in line
    subject = "journalctl -q -o json -n 1 -u ltspd LTSPD_USER=pupil"
    found = json.loads(server.run(subject))
    assert (found["LTSPD_SUBJECT"], found["LTSPD_METHOD"]) == ("image 'bookworm'", "Manager.BuildImage")

    server.write(RULES, docs_rule("bookworm"))
    deadline = time.monotonic() + PATIENCE
    while (found := told(server, "teacher", "image revert bookworm"))[0] == 3:
        assert time.monotonic() < deadline, f"polkit never read the rule: {found}"
        time.sleep(0.2)
    assert found[0] in (0, 1), "allowed; whether there is something to revert is another question"
    assert audited(server, "teacher", "revert-image").endswith("allowed: polkit")
    status, job = told(server, "teacher", "image build --no-wait bookworm")
    assert status == 0, job
    # Who may build may cancel the build.
    assert told(server, "teacher", f"job cancel {job}")[0] == 0
    server.run(f"ltspctl job watch {job} 2>/dev/null", check=False)
    assert "image 'bookworm'" in audited(server, "teacher", "build-image")

    for user, words in (
        ("teacher", "image build --no-wait trixie"),
        ("teacher", "reload"),
        ("teacher", "config show"),
        ("pupil", "image build --no-wait bookworm"),
        ("pupil", "image revert bookworm"),
    ):
        assert told(server, user, words)[0] == 3, (user, words)
    # Allowed, and then refused by what is done: both are told.
    assert told(server, "teacher", "image revert bookworm none-such")[0] == 1
    assert "none-such" in audited(server, "teacher", "revert-image", "failed")
    server.run(f"rm {RULES}")


@pytest.mark.usefixtures("people")
def test_only_the_gateways_user_hands_clients_over(server: Server) -> None:
    call = "busctl call org.ltsp.Server1 /org/ltsp/Server1 org.ltsp.Server1.Gateway ReportClients 'aa{sv}' 0"
    server.run(f"runuser -u ltspd-gateway -- {call}")
    server.run(call)
    for user in ("boss", "pupil"):
        assert "Access denied" in server.run(f"runuser -u {user} -- {call} 2>&1", check=False)


@pytest.mark.parametrize(
    "terminal",
    [("boss", "config check"), ("boss", "config check", "login")],
    indirect=True,
    ids=["bare", "login"],
)
def test_on_a_terminal_the_password_is_asked_for(
    server: Server, terminal: Terminal, request: pytest.FixtureRequest
) -> None:
    terminal.until("Authentication is required to apply the configuration of the network boot server")
    terminal.until("assword:")
    terminal.type(PASSWORD)
    status = terminal.end()
    assert status == 0, terminal.shown
    assert "AUTHENTICATION COMPLETE" in terminal.shown
    assert ("/user.slice/" in terminal.shown) == ("login" in request.node.callspec.id)
    assert audited(server, "boss", "configure").endswith("allowed: polkit")
    assert PASSWORD not in terminal.shown


@pytest.mark.parametrize("terminal", [("teacher", "image build --no-wait trixie")], indirect=True)
def test_a_wrong_password_is_refused_and_the_question_names_the_image(
    server: Server, terminal: Terminal
) -> None:
    before = jobs(server, "trixie")
    terminal.until("Authentication is required to build the network boot image trixie")
    terminal.until("assword:")
    terminal.type("guess")
    assert terminal.end() == 3, terminal.shown
    assert "not authorized" in terminal.shown
    assert "image 'trixie'" in audited(server, "teacher", "build-image", "denied")
    assert jobs(server, "trixie") <= before


@pytest.mark.parametrize("terminal", [("boss", "config check")], indirect=True)
def test_hanging_up_during_the_question_leaves_nothing_behind(server: Server, terminal: Terminal) -> None:
    terminal.until("assword:")
    assert server.run("pgrep -c pkttyagent").strip() != "0"
    terminal.process.kill()
    os.write(terminal.descriptor, b"\x03")
    server.wait_for("! pgrep pkttyagent")
    server.run("ltspctl status")
