"""A virtual machine's screen, keyboard and what is plugged in, by QEMU's machine protocol (QMP)."""

import json
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

# QEMU's names of keys (QKeyCode) on a US keyboard, where they are not the character itself.
_NAMES = {" ": "spc", "-": "minus", "=": "equal", ".": "dot", ",": "comma", "/": "slash", ";": "semicolon"}
_NAMES |= {"\n": "ret", "\t": "tab", "'": "apostrophe", "[": "bracket_left", "]": "bracket_right"}
_SHIFTED = {
    "!": "1",
    "@": "2",
    "#": "3",
    "$": "4",
    "%": "5",
    "^": "6",
    "&": "7",
    "*": "8",
    "(": "9",
    ")": "0",
}
_SHIFTED |= {
    "_": "minus",
    "+": "equal",
    ":": "semicolon",
    "?": "slash",
    "~": "grave_accent",
    '"': "apostrophe",
}
# A screen on which so many rows of pixels change is still: a cursor blinks, a clock goes on.
_BLINKING = 48
# Letters of a screen are this much too small for a program that reads scanned pages.
_LARGER = 3
# Pictures are so many seconds apart, and so many of them must be alike.
_LOOK, _ALIKE = 1.0, 4
# So long ago a screen that is found still has become what it is.
STILL = _LOOK * (_ALIKE - 1)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a screen showed: its size, and three bytes a pixel, row by row."""

    width: int
    height: int
    pixels: bytes

    def rows(self) -> list[bytes]:
        return [self.pixels[at : at + 3 * self.width] for at in range(0, len(self.pixels), 3 * self.width)]

    def changed(self, other: "Picture") -> int:
        """Return how many rows of pixels differ; all of them if the sizes do."""
        if (self.width, self.height) != (other.width, other.height):
            return self.height
        return sum(mine != theirs for mine, theirs in zip(self.rows(), other.rows(), strict=True))

    def words(self) -> str:
        """Read it, and return what is written there, with single spaces. Letters may be mistaken."""
        gray = self.pixels[1::3]
        rows = [gray[at : at + self.width] for at in range(0, len(gray), self.width)]
        larger = [bytes(each for each in row for _ in range(_LARGER)) for row in rows for _ in range(_LARGER)]
        header = f"P5 {_LARGER * self.width} {_LARGER * self.height} 255\n".encode()
        # Lines of one block of text; one core, as emulators have the others.
        read = subprocess.run(
            ["tesseract", "--psm", "6", "-", "-"],
            input=header + b"".join(larger),
            capture_output=True,
            check=False,
            env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin"},
        )
        # It fails if there is nothing at all.
        return " ".join(read.stdout.decode().split())

    def save(self, path: Path) -> Path:
        """Write it as a PNG."""

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        rows = b"".join(b"\0" + row for row in self.rows())
        data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
        return path


class Screen:
    """The screen of a machine that is on; ``file`` is written at each look."""

    def __init__(self, line: socket.socket, file: Path) -> None:
        self._line = line
        self._line.settimeout(PATIENCE)
        self._answers = line.makefile("rb")
        self._file = file
        self._ready = False

    def look(self) -> Picture:
        """Return what is on the screen now."""
        self._do("screendump", filename=str(self._file))
        kind, width, height, _, pixels = self._file.read_bytes().split(maxsplit=4)
        assert kind == b"P6", kind
        return Picture(int(width), int(height), pixels[-3 * int(width) * int(height) :])

    def press(self, *keys: str) -> None:
        """Press keys at once, by QEMU's names: ``press("ctrl", "alt", "f2")``."""
        self._do("send-key", keys=[{"type": "qcode", "data": key} for key in keys])

    def put_pointer_away(self) -> None:
        """Move the mouse to the lower right corner, where its pointer covers no words."""
        steps = [{"type": "rel", "data": {"axis": axis, "value": 5000}} for axis in ("x", "y")]
        self._do("input-send-event", events=steps)

    def type(self, text: str) -> None:
        """Type on a US keyboard, one key after the other."""
        for each in text:
            shifted = each.isupper() or each in _SHIFTED
            key = _SHIFTED.get(each) or _NAMES.get(each) or each.lower()
            self.press(*(("shift",) if shifted else ()), key)
            # A key is held for 100 ms (QEMU's default), and none is lost if the next one comes after it.
            time.sleep(0.15)

    def plug_in(self, name: str, driver: str, **properties: str) -> None:
        """Plug a device in, by QEMU's name of its driver."""
        self._do("device_add", id=name, driver=driver, **properties)

    def pull_out(self, name: str) -> None:
        """Pull a device out that was plugged in."""
        self._do("device_del", id=name)

    def still(
        self,
        *,
        unlike: Picture | None = None,
        until: Callable[[], object] | None = None,
        timeout: float = PATIENCE,
    ) -> Picture:
        """Wait until the screen goes on showing one thing, which is no longer ``unlike``; return it.

        ``until`` is asked first, again and again, until it says something true. Raises TimeoutError.
        """
        deadline = time.monotonic() + timeout
        while until is not None and not until():
            self._wait(deadline)
        last, alike = self.look(), 1
        while alike < _ALIKE or (unlike is not None and last.changed(unlike) <= _BLINKING):
            self._wait(deadline)
            now = self.look()
            alike = alike + 1 if now.changed(last) <= _BLINKING else 1
            last = now
        return last

    def _wait(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            picture = self.look().save(self._file.with_suffix(".png"))
            raise TimeoutError(f"the screen did not become what it should; see {picture}")
        time.sleep(_LOOK)

    def _do(self, command: str, **arguments: Any) -> None:
        if not self._ready:
            # It greets first, and takes no other command before this one.
            json.loads(self._answers.readline())
            self._ready = True
            self._do("qmp_capabilities")
        self._line.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "return" not in (answer := json.loads(self._answers.readline())):
            if "error" in answer:
                raise RuntimeError(f"QEMU refuses {command}: {answer['error'].get('desc')}")

    def close(self) -> None:
        """Let go of the machine."""
        self._answers.close()
        self._line.close()
