"""GRUB itself shows our menu and asks for its password: Debian's grub-emu, which runs as any program does."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltspd.menu.grub import configuration
from tests.lab import releases
from tests.lab.session import end
from tests.patience import PATIENCE
from tests.worlds.planning import decide, image

# Of the word "secret", by grub-mkpasswd-pbkdf2 -c 1000 -l 16 -s 8.
HASH = "grub.pbkdf2.sha512.1000.9EB00A670394F4DB.E6D2691536BE685818AD8A45EA9DC2EC"
TIMEOUT = 30_000_000
# The keys of Emacs for the line below.
DOWN, ENTER = "\x0e", "\r"


class Console:
    """What a program shows on its terminal, and keys for it."""

    def __init__(self, terminal: int) -> None:
        self._terminal, self._shown = terminal, ""

    def keys(self, keys: str) -> None:
        self._shown = ""
        os.write(self._terminal, keys.encode())

    def wait(self, *words: str) -> str:
        """Return the first of these words that is shown from now on."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [each for each in words if each in self._shown]):
            assert time.monotonic() < deadline, self._shown
            if select.select([self._terminal], [], [], 1)[0]:
                self._shown += os.read(self._terminal, 1 << 16).decode(errors="replace")
        return found[0]


@contextmanager
def grub(folder: Path, default: str, timeout: int = TIMEOUT, typed: str = "") -> Iterator[Console]:
    """Run GRUB with our menu; ``typed`` is what was typed before it has begun."""
    text = (
        f"[server]\nMENU_PASSWORD='{HASH}'\nMENU_LOCKED=b\nMENU_TIMEOUT={timeout}\nDEFAULT_IMAGE={default}\n"
    )
    menu = decide(f"{text}[clients]\nBOOT_WAY=shim\n", images=(image("a"), image("b"))).menu
    place = releases.packages(releases.DEBIAN_12, "grub-emu")
    shutil.copytree(place / "usr/lib/grub/x86_64-emu", folder / "x86_64-emu")
    (folder / "grub.cfg").write_text(configuration(menu, 80))
    program = folder / "grub-emu"
    program.write_text(releases.starter(place, "usr/bin/grub-emu"))
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            ["sh", program, "-d", folder], stdin=theirs, stdout=theirs, stderr=theirs, env={"TERM": "vt100"}
        )
        console = Console(ours)
        console.keys(typed)
        try:
            if timeout > 0:
                console.wait("executed automatically")
            yield console
        finally:
            end(process, patience=2.0)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_line_asks_and_begins_with_the_right_password_alone(tmp_path: Path) -> None:
    with grub(tmp_path, "a") as console:
        console.keys(DOWN)
        console.wait("*b (6.1")
        console.keys(ENTER)
        console.wait("Enter username")
        console.keys(f"admin{ENTER}")
        console.wait("Enter password")
        console.keys(f"wrong{ENTER}")
        # The menu again.
        assert console.wait("*a (6.1", "*b (6.1", "Loading") != "Loading"
        console.keys(DOWN)
        console.wait("*b (6.1")
        console.keys(ENTER)
        console.wait("Enter username")
        console.keys(f"admin{ENTER}")
        console.wait("Enter password")
        console.keys(f"secret{ENTER}")
        console.wait("Loading b from")


def test_what_starts_by_itself_and_what_is_not_locked_ask_nothing_and_the_command_line_does(
    tmp_path: Path,
) -> None:
    for default in ("a", "b"):
        folder = tmp_path / default
        folder.mkdir()
        with grub(folder, default) as console:
            console.keys(ENTER)
            assert re.fullmatch(
                rf"Loading {default} .*", console.wait("Enter username", f"Loading {default} from")
            )
    folder = tmp_path / "line"
    folder.mkdir()
    with grub(folder, "a") as console:
        console.keys("c")
        assert console.wait("Enter username", "grub>") == "Enter username"


def test_without_a_menu_it_waits_for_nobody_and_esc_shows_it(tmp_path: Path) -> None:
    for typed, shown in (("", "Loading a from"), ("\x1b", "*a (6.1")):
        folder = tmp_path / (shown.split()[0].strip("*"))
        folder.mkdir()
        with grub(folder, "a", -1, typed) as console:
            assert console.wait("Loading a from", "*a (6.1") == shown
