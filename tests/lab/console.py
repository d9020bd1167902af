"""A serial line of a virtual machine: read by a thread, searchable with times, kept in a file, typed on."""

import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Colours, cursor movements and character sets: firmware and systemd write them between the words.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c78M]|\][^\x07]*\x07)")
# Carriage returns, padding, and what a terminal says (XON, XOFF) when more is typed than it can take at once.
_UNWANTED = dict.fromkeys(map(ord, "\r\0\x11\x13"))
_UNFINISHED_ESCAPE = re.compile(r"\x1b[^A-Za-z=>]{0,40}$")


# What systemd (since 257) has shells, su and login tell the terminal of what runs there: control sequences.
TOLD = r"(?:\x1b\][^\x1b\x07]*(?:\x1b\\|\x07))"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found on a line: the text, its groups, and the seconds since power-on."""

    text: str
    groups: tuple[str | None, ...]
    time: float


class Console:
    """One serial line. Text comes without escapes and carriage returns.

    ``watch`` is called by the reading thread with the text of each piece and its time.
    """

    def __init__(
        self, line: socket.socket, log: Path, began: float, watch: Callable[[str, float], None] | None = None
    ) -> None:
        self._line = line
        self._log = log
        self._began = began
        self._watch = watch
        self._text = ""
        self._pieces: list[tuple[int, float]] = []
        self._position = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name=f"console {log.name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        held = ""
        line = ""
        with self._log.open("w") as log:
            while True:
                try:
                    data = self._line.recv(65536)
                except OSError:
                    data = b""
                now = time.monotonic() - self._began
                if not data:
                    break
                raw = held + data.decode(errors="replace")
                cut = _UNFINISHED_ESCAPE.search(raw)
                held, raw = (raw[cut.start() :], raw[: cut.start()]) if cut else ("", raw)
                text = _ESCAPES.sub("", raw).translate(_UNWANTED)
                if self._watch is not None:
                    self._watch(text, now)
                with self._changed:
                    self._pieces.append((len(self._text), now))
                    self._text += text
                    self._changed.notify_all()
                *whole, line = (line + text).split("\n")
                log.writelines(f"{now:9.3f} {each}\n" for each in whole)
                log.flush()
            log.write(f"{now:9.3f} {line}\n" if line else "")
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def expect(self, pattern: str, timeout: float) -> Seen:
        """Wait for a regular expression in what came since the last match; return it.

        Raises TimeoutError with the console's end after ``timeout`` seconds, ConnectionError
        as soon as the machine is off.
        """
        compiled = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = compiled.search(self._text, self._position)
                if found:
                    self._position = found.end()
                    return Seen(found[0], found.groups(), self._time_at(found.start()))
                if self._closed:
                    raise ConnectionError(f"the machine is off, and {pattern!r} never came: {self._end()}")
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"{pattern!r} did not come in {timeout:g} s: {self._end()}")

    def _time_at(self, offset: int) -> float:
        return next((moment for start, moment in reversed(self._pieces) if start <= offset), 0.0)

    def _end(self) -> str:
        return f"the console ends with {self._text[-1500:]!r} (all of it: {self._log})"

    @property
    def text(self) -> str:
        """All that came so far."""
        with self._changed:
            return self._text

    def type(self, text: str) -> None:
        """Type on the line; a command needs its own line end."""
        self._line.sendall(text.encode())

    def settle(self, timeout: float) -> None:
        """Have the shell here neither echo nor prompt, so that ``run`` gets only what commands say."""
        token = secrets.token_hex(6)
        quiet = "stty -echo -onlcr columns 1000; PS0=; PS1=; PS2=; unset PROMPT_COMMAND"
        self.type(f"{quiet}; printf 'ready-%s\\n' {token}\n")
        self.expect(rf"ready-{token}$", timeout)

    def run(
        self, command: str, timeout: float, answers: Sequence[tuple[str, str]] | None = None
    ) -> tuple[str, int]:
        """Run a command in a settled shell; return what it printed, both streams, and its status.

        ``answers`` are typed one by one, each when its prompt (a regular expression) has come; if one never
        comes, the command's end is the answer. Without any, the command reads from /dev/null.
        """
        token = secrets.token_hex(6)
        nobody = "</dev/null " if answers is None else ""
        end = rf"\nend-{token}-(\d+)\n"
        self.type(f"printf 'begin-%s\\n' {token}; {{ {command}\n}} {nobody}2>&1; ")
        self.type(f"printf '\\nend-%s-%s\\n' {token} $?\n")
        self.expect(rf"^begin-{token}\n", timeout)
        with self._changed:
            since = self._position
        for prompt, answer in answers or ():
            seen = self.expect(rf"(?:{prompt})|{end}", timeout)
            if seen.groups[-1] is not None:
                break
            self.type(f"{answer}\n")
        else:
            seen = self.expect(end, timeout)
        with self._changed:
            said = self._text[since : self._position - len(seen.text)]
        return re.sub(TOLD, "", said), int(seen.groups[-1] or 0)

    def close(self) -> None:
        """Stop reading and close the line."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the machine was faster
        self._thread.join()
        self._line.close()
