"""Pages, manual and completions are what their generators make of the program; their examples work."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltspd.api.contract import NOUNS, contract
from ltspd.api.introspection import described, document
from ltspd.api.noun import Method, signature
from ltspd.api.service import Service
from ltspd.cli.nouns import names, nouns
from ltspd.manual.__main__ import docs, shared
from ltspd.manual.roff import Page, roff
from ltspd.names import STEM
from tests import REPOSITORY
from tests.bus.documents import declared, parse
from tests.patience import PATIENCE
from tests.worlds.bus_fakes import FakeServer

RELEASED = Path(__file__).parent / "contract-1.txt"


def read(name: str) -> str:
    return (REPOSITORY / name).read_text()


DOCS, SHARED = docs(), shared(read)
PAGES = [name for name in SHARED if name.startswith("man/") and not SHARED[name].startswith(".so ")]


@pytest.mark.parametrize("name", DOCS)
def test_the_made_pages_in_the_repository_are_current(name: str) -> None:
    assert read(name) == DOCS[name], "run: make docs"


def test_it_is_made_with_nothing_but_python(tmp_path: Path) -> None:
    """The libraries that the daemon needs may be missing where a package is built; -S leaves them out."""
    subprocess.run([sys.executable, "-S", "-B", "-m", "ltspd.manual", tmp_path], cwd=REPOSITORY, check=True)
    made = {str(each.relative_to(tmp_path)): each for each in tmp_path.rglob("*") if each.is_file()}
    assert {name: path.read_text() for name, path in made.items()} == SHARED


@pytest.mark.skipif(not shutil.which("man"), reason="needs man-db")
@pytest.mark.parametrize("name", PAGES)
def test_man_shows_it_without_a_warning(name: str, tmp_path: Path) -> None:
    page = tmp_path / Path(name).name
    page.write_text(SHARED[name])
    ran = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-P", "cat", "-l", page],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stderr == ""
    assert "NAME\n" in ran.stdout
    assert not re.search(r"\*\*|`|\]\(|\\f", ran.stdout), "Markdown or troff shows through"


def test_roff_keeps_text_from_being_read_as_requests() -> None:
    page = roff(Page("x", 1, "y", "'.'\n\n.so /etc/passwd\n\n```\n.so a\\b\n'x\n```\n\n- `.c`\n"))
    body = [line for line in page.splitlines() if not re.match(r"\.(\\\"|TH|SH|PP|RS|RE|EX|EE|IP)", line)]
    assert body == ["x \\- y", "\\&'.'", "\\&.so /etc/passwd", "\\&.so a\\eb", "\\&'x", "\\fB.c\\fR"]


# ---- the contract ----------------------------------------------------------------------------


def members() -> Iterator[str]:
    for name, interface in sorted(contract().items()):
        for method in interface.methods:
            assert isinstance(method, Method)
            way = f"({signature(method.inputs)}) -> {signature(method.outputs)}".rstrip()
            yield f"{name}.{method.name}{way} since {method.since}"
        for signal in interface.signals:
            yield f"{name}.{signal.name} signal {signature(signal.outputs)} since {signal.since}"
        for each in interface.properties:
            yield f"{name}.{each.name} property {each.signature} read {each.emits} since {each.since}"


def test_nothing_is_taken_out_of_the_contract_or_changed_in_it() -> None:
    """The rule of versions: what was once there stays. Add new members to the file, never take one out."""
    released, present = RELEASED.read_text().splitlines(), list(members())
    assert [each for each in released if each not in present] == [], "these were there once, and must stay"
    new = [each for each in present if each not in released]
    assert new == [], f"if they are to stay, add these lines to {RELEASED.name}"
    assert len(released) == len(present)


def test_every_method_and_signal_is_described() -> None:
    for noun in NOUNS:
        for each in (*noun.methods, *noun.signals):
            assert re.match(r"[A-Z].*[a-z0-9]\.( |$)", described(each)), each.name


def test_the_file_of_interfaces_says_the_same_as_introspection_and_since_when() -> None:
    text = SHARED[f"dbus-1/interfaces/{STEM}.xml"]
    assert text == document(NOUNS)
    assert parse(text) == {each.name: declared(each) for each in NOUNS}
    told = re.findall(r"Since [0-9.]+\. -->", " ".join(text.split()))
    assert len(told) == len(RELEASED.read_text().splitlines())


# ---- examples --------------------------------------------------------------------------------


@pytest.mark.skipif(not all(map(shutil.which, ("busctl", "gdbus"))), reason="needs busctl and gdbus")
async def test_the_examples_of_the_page_work(service: Service, server: FakeServer, bus_address: str) -> None:
    server.go.set()
    examples = re.findall(r"^    (.*)$", DOCS["docs/dbus.md"], re.MULTILINE)
    assert len(examples) == 7
    script = "\n".join(["set -eu", *examples]).replace("--system", f"--address={bus_address}")
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, err) == (0, b"")
    for text in (b"x86_5f64", b"PropertiesChanged", b's "in-sync"', b'o "/org/ltsp/Server1/job/'):
        assert text in out
    assert [call[0] for call in server.calls] == ["build", "apply"]


# ---- completions -----------------------------------------------------------------------------

BASH = """
source bash-completion/completions/ltspctl
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ltspctl
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
_describe() { print -rl -- ${(P)2%%:*} }
words=("$@") CURRENT=$#
source zsh/vendor-completions/_ltspctl
"""
FISH = "source fish/vendor_completions.d/ltspctl.fish; complete --do-complete (string join ' ' -- $argv)"
SHELLS = {
    "bash": ["bash", "-c", BASH, "bash"],
    "zsh": ["zsh", "-f", "-c", ZSH, "zsh"],
    "fish": ["fish", "--no-config", "-c", FISH],
}


async def offered(shell: str, address: str, folder: Path, *words: str) -> set[str]:
    """Return what a shell offers for the last word."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    program = folder / "ltspctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ltspd.cli "$@"\n')
    program.chmod(0o755)
    for name, text in SHARED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    process = await asyncio.create_subprocess_exec(
        *SHELLS[shell], *words,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}", "DBUS_SYSTEM_BUS_ADDRESS": address,
            "HOME": str(folder), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(REPOSITORY),
        },
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, err) == (0, b"")
    found = {line.partition("\t")[0] for line in out.decode().splitlines()}
    # zsh itself chooses among what is offered; bash and fish are asked to.
    return {each for each in found if each.startswith(words[-1])} - {""}


@pytest.mark.parametrize("shell", SHELLS)
async def test_shells_complete(
    shell: str, service: Service, server: FakeServer, bus_address: str, tmp_path: Path
) -> None:
    async def ask(*words: str) -> set[str]:
        return await offered(shell, bus_address, tmp_path, "ltspctl", *words)

    assert await ask("") == set(nouns())
    assert await ask("st") == {"status"}
    assert await ask("image", "re") == {"revert", "remove"}
    assert await ask("image", "build", "--json", "") == {"x86_64", "/"}, (
        "a name that shells would read is not"
    )
    assert await ask("image", "revert", "x86_64", "") == {"g1", "g2"}
    assert await ask("image", "revert", "x86_64", "g1", "") == set()
    assert await ask("output", "preview", "d") == {"dnsmasq"}
    assert await ask("link", "show", "") == {"eth0"}
    assert await ask("image", "build", "--") == {
        "--background", "--direct", "--full", "--initrd", "--kernel", "--test", "--no-test", "--no-wait",
        "--json", "--help",
    }  # fmt: skip
    assert await ask("image", "build", "--kernel", "6.*", "x") == {"x86_64"}
    assert await ask("image", "build", "--kernel", "x") == set(), "a pattern, not an image"
    assert await ask("image", "keep", "x86_64", "g") == {"g1", "g2"}
    assert await ask("apply", "--f") == {"--force"}


async def test_completion_without_a_daemon_is_silent(bus_address: str, tmp_path: Path) -> None:
    assert await offered("bash", bus_address, tmp_path, "ltspctl", "image", "show", "") == set()


def test_jobs_are_offered_too() -> None:
    found = {"/j": {f"{STEM}.Job": {"Id": "0a1b", "StartedAt": 1}}}
    assert names()["job"](found, "") == ["0a1b"]
