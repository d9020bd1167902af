"""Every command that the client's scripts call is the one that is meant, whatever applets a busybox has.

A busybox shell may prefer its applets to programs of the same name, and each version has more applets. So a
bare name is an applet that we put into the boot initrd, or a function; a program is called by its path.
"""

import re
from pathlib import Path

import pytest

from ltspd.initrd.boot import _APPLETS
from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
SCRIPTS = [CLIENT / "boot/init", *sorted(CLIENT.rglob("*.sh"))]
NEWEST = {
    word
    for line in Path(__file__).with_name("busybox.applets").read_text().splitlines()
    if not line.startswith("#")
    for word in line.split()
}
# For each LTSP_API the applets that its generations have. Generations never change, so neither do these.
GENERATIONS = {
    int(path.parent.name.removeprefix("api-")): set(path.read_text().split())
    for path in (REPOSITORY / "tests/unit/initrd/generations").glob("api-*/applets")
}
# What is built into the shell, and the words of its grammar that a command may follow.
BUILTINS = frozenset(
    """
    . : [ cd command continue break echo eval exec exit export kill local read return set shift test trap
    umask unset wait
    """.split()  # noqa: SIM905
)
GRAMMAR = frozenset("if then elif else fi while until do done ! { } esac".split())  # noqa: SIM905
# Functions of the distribution's initrd and of ltsp.img, and what the image's own shell runs.
ELSEWHERE = {"panic", "ltsp_settings", "ltsp_is_setting", "systemctl", "loginctl", "take_order", "udevadm"}
# What ltsp.img has made of the first lines of features (ltspd/config/features.py).
ELSEWHERE |= {"wanted"}
# What a TPM needs; the script looks whether the image has them.
ELSEWHERE |= {"openssl", "tpm2_createprimary", "tpm2_hmac"}
# What a person's program of the server is started by, with the image's PATH.
ELSEWHERE |= {"ssh", "ssh-keygen"}
# What code of ltsp.conf finds: LTSP's echo, and in the booted system the image's programs.
FOR_CODE = {CLIENT / "live/code.sh": {"echo", "id"}}
# Each busybox-static since Debian 12 has these, too; the scripts of the booted system call them by its path.
WHOLE = {"chmod", "cmp", "date", "mkswap", "od", "rmdir", "sha256sum", "sort", "swapon", "xargs"}
# Commands that start another one, after so many words of their own.
STARTERS = {"exec": 0, "setsid": 0, "cttyhack": 0, "timeout": 1, "retry": 1, "chroot": 1}


class Script:
    """A shell script, read as far as it takes to know which words are commands: they are in ``found``."""

    def __init__(self, text: str) -> None:
        self.text = re.sub(r"<<'EOF'\n(.*?)\nEOF\n", r"\n\1\n", text, flags=re.DOTALL)
        self.text = re.sub(r"<<-?END\n(.*?)\n\t?END\n", "\n", self.text, flags=re.DOTALL)
        self.at = 0
        self.found: set[str] = set()
        self.commands("")

    def commands(self, end: str) -> None:
        """Read up to the unquoted character ``end``."""
        expected, pattern, skipped = True, False, 0
        while self.at < len(self.text):
            here = self.text[self.at]
            if here == end and not pattern:
                break
            if self.text.startswith(";;", self.at):
                pattern = True
            if here in "\n;&|":
                expected, skipped = True, 0
            if here == "#":
                self.at = self.text.index("\n", self.at)
            elif here == "(":
                self.at += 1
                self.commands(")")
                expected = True
            elif here in "<>":
                self.at = re.compile(r"[<>]+&?[ ]*").match(self.text, self.at).end()  # type: ignore[union-attr]
                self.word()
            elif here in " \t\n;&|" or self.text.startswith("\\\n", self.at):
                self.at += 1 + (here == "\\")
            else:
                word = self.word()
                if pattern:
                    if word != "esac":
                        self.at = self.text.index(")", self.at) + 1
                    expected, pattern = word != "esac", False
                elif not expected or word in GRAMMAR or re.match(r"\w+=|[0-9]$", word):
                    pass
                elif skipped or word.startswith("-"):
                    skipped += 1 if word == "-s" else -(not word.startswith("-"))
                elif word in ("case", "for"):
                    self.at += 1
                    self.word()
                    self.at = self.text.index(" in", self.at) + 3
                    expected, pattern = False, word == "case"
                elif "$" in word and not re.search(r"busybox|^.box$", word):
                    expected = False
                else:
                    if "$" not in word:
                        self.found.add(word)
                    expected, skipped = "$" in word or word in STARTERS, STARTERS.get(word, 0)
        self.at += 1

    def word(self) -> str:
        """Read one word and return it without quotes; what it calls by $() is read as well."""
        word, quoted = "", False
        while self.at < len(self.text):
            here = self.text[self.at]
            if not quoted and here in " \t\n;&|()<>":
                break
            self.at += 1
            if self.text.startswith("((", self.at) and here == "$":
                self.at = self.text.index("))", self.at) + 2
            elif self.text.startswith("(", self.at) and here == "$":
                self.at += 1
                self.commands(")")
            elif here == "'" and not quoted:
                end = self.text.index("'", self.at)
                word, self.at = word + self.text[self.at : end], end + 1
            elif here == '"':
                quoted = not quoted
            elif here == "\\":
                self.at += 1
            else:
                word += here
        return word


def called(script: Path) -> set[str]:
    """Return the names that a script calls; paths are not among them."""
    return {each for each in Script(script.read_text()).found if "/" not in each}


def functions() -> set[str]:
    return {
        name
        for script in SCRIPTS
        for name in re.findall(r"^\s*(\w+)\(\) \{", script.read_text(), re.MULTILINE)
    }


def test_the_reader_finds_commands() -> None:
    text = """
# no comment
case "$(one x)" in
    two | thr*) four "five $(six)" | seven >eight ;;
esac
for each in nine ten; do A=b eleven $((twelve)) && "$box" thirteen 'fourteen; x'; done 2>/dev/null
timeout -s KILL 20 fifteen || { ! /bin/sixteen & }
seventeen() { (eighteen); }
"""
    found = " ".join(sorted(Script(text).found))
    assert found == "/bin/sixteen eighteen eleven fifteen four one seven seventeen six thirteen timeout"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_bare_name_is_an_applet_that_is_meant(script: Path) -> None:
    needs = re.match(r"# needs: LTSP_API ([0-9]+)", script.read_text())
    # Scripts that say nothing run in every generation.
    applets = GENERATIONS[int(needs[1]) if needs else min(GENERATIONS)]
    known = BUILTINS | applets | functions() | ELSEWHERE | WHOLE | FOR_CODE.get(script, set())
    assert called(script) - known == set()


def test_a_new_boot_initrd_has_what_its_number_promises() -> None:
    (level,) = re.findall(r"^LTSP_API=([0-9]+)$", (CLIENT / "boot/init").read_text(), re.MULTILINE)
    assert set(_APPLETS) >= GENERATIONS[int(level)]


def test_no_function_and_no_program_has_the_name_of_an_applet() -> None:
    assert "nbd-client" in NEWEST
    assert (functions() | ELSEWHERE) & NEWEST == set().union(*FOR_CODE.values()) - {"id"}


def test_every_applet_that_is_meant_is_in_the_newest_busybox() -> None:
    assert (set(_APPLETS) | WHOLE) - NEWEST == set()
