"""Somebody at a text console of a client: types a name, answers what is asked, and reads what is said."""

import time
from dataclasses import dataclass

from tests.lab.client import Client
from tests.lab.console import TOLD, Console
from tests.patience import PATIENCE

# getty and login ask for a name in the same words; what login says of the last time is no question.
# The kernel may say something behind the host's name.
PROMPT = r"^(?:(?!Last )\S+ )?login: "
PASSWORD = r"[Pp]assword: "


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of a try to log in: what was on the screen after the name, and whether there is a shell."""

    text: str
    inside: bool
    seconds: float


@dataclass(slots=True)
class Person:
    """Somebody at a console, whose login prompt has been seen already if ``asked``."""

    name: str
    console: Console
    asked: bool = False
    _settled: bool = False

    def log_in(self, *answers: tuple[str, str], name: str = "", timeout: float = PATIENCE) -> Visit:
        """Type the name, and each answer when its prompt (a regular expression) has come.

        Returns when a shell or the next login prompt is there, whatever has been asked by then. ``seconds``
        is the time from the last answer to that.
        """
        name = name or self.name
        if not self.asked:
            self.console.expect(PROMPT, timeout)
        # The name's echo is no prompt of the shell.
        self.console.type(f"{name}\n")
        since = len(self.console.text)
        end = rf"({PROMPT})|(^{TOLD}*{name}@\S+ ?[$#] {TOLD}*$)"
        typed = time.monotonic()
        for prompt, answer in answers:
            seen = self.console.expect(rf"{end}|(?:{prompt})", timeout)
            if seen.groups[0] or seen.groups[1]:
                break
            self.console.type(f"{answer}\n")
            typed = time.monotonic()
        else:
            seen = self.console.expect(end, timeout)
        self.asked = seen.groups[0] is not None
        self._settled = False
        return Visit(self.console.text[since:], not self.asked, time.monotonic() - typed)

    def run(self, command: str, *answers: tuple[str, str], timeout: float = PATIENCE) -> tuple[str, int]:
        """Run a command in the shell that ``log_in`` has opened; return what it said and its status.

        Each answer is typed when its prompt has come.
        """
        if not self._settled:
            self.console.settle(timeout)
            self._settled = True
        return self.console.run(command, timeout, answers or None)

    def do(self, command: str, *answers: tuple[str, str], timeout: float = PATIENCE) -> str:
        """Run a command as ``run`` does; raises RuntimeError with its words if its status isn't 0."""
        said, status = self.run(command, *answers, timeout=timeout)
        if status != 0:
            raise RuntimeError(f"{self.name}'s {command!r} ended with {status}: {said}")
        return said

    def log_out(self, timeout: float = PATIENCE) -> None:
        """Leave the shell, and wait for the next login prompt."""
        self.console.type("exit\n")
        self.console.expect(PROMPT, timeout)
        self.asked = True


def at_console(client: Client, name: str) -> Person:
    """Put somebody at the console of a client that has shown its login prompt there."""
    return Person(name, client.console, asked=True)


def at_next_console(client: Client, name: str, number: int = 0) -> Person:
    """Put somebody at a further console of a client, and have a login prompt there."""
    client.shell(f"systemctl start serial-getty@ttyS{2 + number}.service")
    return Person(name, client.consoles[number])
