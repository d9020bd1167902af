"""Somebody at a client's desktop: types at its greeter and in a session, and looks at the screen."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.client import Client
from tests.lab.screen import Picture
from tests.lab.server import Server
from tests.patience import PATIENCE

# The first window of a session ends above this row of the screen; below are the middles of other windows.
_BELOW = 390
# So many rows of it change when a window comes, and fewer when the pointer moves.
_COVERED = 48
# What the window of a session shows is kept here, in the home of whoever types in it.
SCRIPT = "window-text"
# How a session ends, by openbox or by sway: the file in the home that says it.
_LEAVE = "leave-session"


@dataclass(slots=True)
class Desk:
    """A client that is on, with a screen, and the server that its people are known to."""

    server: Server
    client: Client

    def keep(self, name: str, until: Callable[[], object] | None = None) -> Picture:
        """Wait until the screen stands still, and keep what it shows among the logs of the run."""
        picture = self.client.screen.still(until=until)
        picture.save(self.server.session.logs / f"{self.client.name}-{name}.png")
        return picture

    def shows(self, words: str) -> str:
        """Wait until a regular expression is on the screen, in any letters; return all that is there."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(words, seen := self.client.screen.look().words(), re.IGNORECASE):
            if time.monotonic() > deadline:
                self.keep("not-shown")
                raise TimeoutError(f"{words!r} is not on the screen of {self.client.name}: {seen}")
            time.sleep(1)
        self.keep(re.sub(r"\W+", "-", words))
        return seen

    def watch(self, name: str, until: Callable[[], object]) -> str:
        """Return all words that are on the screen before something has happened, and keep the pictures."""
        pictures: dict[Picture, None] = {}
        while not until():
            pictures[self.client.screen.look()] = None
        for number, picture in enumerate(pictures):
            picture.save(self.server.session.logs / f"{self.client.name}-{name}-{number}.png")
        return " ".join(picture.words() for picture in pictures)

    def enter(self, name: str) -> "Window":
        """Wait for the session of somebody who has just been let in, and for the shell in its window."""
        window = Window(self, name)
        window.expect(r"\$ $")
        self.server.path(f"/home/{name}/{_LEAVE}").write_text("swaymsg exit || openbox --exit\n")
        assert self.client.shell(f"findmnt -n -o FSTYPE /home/{name}").strip() == "fuse.sshfs"
        self.keep(f"session-of-{name}")
        return window

    def leave(self, name: str) -> None:
        """Log out; nothing of the person is left then."""
        self.end()
        self.wait_for(f"! findmnt -n /home/{name} && ! pgrep -u {name} && [ ! -e /run/user/$(id -u {name}) ]")
        self.forget(name)

    def end(self) -> None:
        """End the session that has the screen."""
        self.type(f". ./{_LEAVE}")

    def forget(self, name: str) -> None:
        """Remove what a session has shown: each one writes a new file, and its commands are new files."""
        self.server.run(f"cd /home/{name} && rm -f {SCRIPT} do-*")

    def type(self, line: str, end: str = "\n") -> None:
        """Type a line on the client's keyboard."""
        self.client.screen.type(f"{line}{end}")

    def wait_for(self, script: str, timeout: float = PATIENCE) -> None:
        """Wait until a script of root succeeds on the client; TimeoutError comes with its journal."""
        deadline = time.monotonic() + timeout
        while self.client.shell(f"({script}) >/dev/null 2>&1; echo $?").strip() != "0":
            if time.monotonic() > deadline:
                said = self.client.shell("journalctl --no-pager -q -n 60")
                raise TimeoutError(f"after {timeout:g} s still not on {self.client.name}: {script}\n{said}")
            time.sleep(0.5)

    def wait_until(self, happened: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until a function says true."""
        deadline = time.monotonic() + timeout
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not happen in {timeout:g} s on {self.client.name}")
            time.sleep(0.5)

    def comes(self) -> Callable[[], bool]:
        """Return what tells whether something has come on the screen below the session's first window."""

        def below() -> list[bytes]:
            return self.client.screen.look().rows()[_BELOW:]

        before = below()
        return lambda: sum(mine != theirs for mine, theirs in zip(before, below(), strict=True)) > _COVERED

    def lines(self, file: str, words: str) -> Callable[[], bool]:
        """Return what tells whether a file of the client has more lines with these words than now."""
        count = f"grep -c '{words}' {file} || :"
        before = int(self.client.shell(count))
        return lambda: int(self.client.shell(count)) > before

    def judged(self, name: str) -> Callable[[], bool]:
        """Return what tells whether the server has accepted or refused somebody since now."""
        words = f"(Accepted keyboard-interactive/pam|error: PAM: Authentication failure) for {name} from"
        count = f"journalctl -q -u ltspd-login | grep -cE '{words}' || :"
        before = int(self.server.run(count))
        return lambda: int(self.server.run(count)) > before


@dataclass(slots=True)
class Window:
    """The window that a session shows, with a shell; what is in it is read through the person's home."""

    desk: Desk
    name: str
    _position: int = 0
    _begun: int = 0
    _commands: int = 0

    @property
    def text(self) -> str:
        path = self.desk.server.path(f"/home/{self.name}/{SCRIPT}")
        return path.read_text(errors="replace") if path.exists() else ""

    def expect(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """Wait for a regular expression in what the window showed since the last match."""
        deadline = time.monotonic() + timeout
        while not (found := re.compile(pattern, re.MULTILINE).search(self.text, self._position)):
            if time.monotonic() > deadline:
                rest = self.text[self._position :]
                raise TimeoutError(f"{pattern!r} is not in {self.name}'s window: {rest!r}")
            time.sleep(0.3)
        self._position = found.end()
        return found

    def begin(self, command: str) -> None:
        """Type a command."""
        # What is long to type comes by the home, in a new file, as sshfs keeps the size of one for 20 s.
        self._commands += 1
        script = f"{command}\nprintf '\\n=%s=\\n' $?\n"
        self.desk.server.path(f"/home/{self.name}/do-{self._commands}").write_text(script)
        self._begun = self._position
        self.desk.type(f". ./do-{self._commands}")

    def end(self) -> str:
        """Wait until the command has ended, and return what it said; RuntimeError if its status isn't 0."""
        end = self.expect(r"^=(\d+)=\r?$")
        said = self.text[self._begun : end.start()]
        if end[1] != "0":
            raise RuntimeError(f"in {self.name}'s window, a command ended with {end[1]}: {said}")
        return said

    def do(self, command: str, *answers: tuple[str, str]) -> str:
        """Type a command, and each answer when its prompt has come; return what the command said."""
        self.begin(command)
        for prompt, answer in answers:
            self.expect(prompt)
            self.desk.type(answer)
        return self.end()
