"""Every page of ltspctl against its snapshot, and every method of the contract against the commands.

``LTSPD_GOLDEN=write pytest tests/bus/test_pages.py`` writes them anew; read the difference before committing.
"""

import os
import re
from pathlib import Path

import pytest

from ltspd.api.contract import NOUNS
from ltspd.cli.__main__ import parser
from ltspd.cli.applets import APPLETS
from ltspd.cli.ltsp import usage
from ltspd.cli.nouns import commands, names, nouns
from ltspd.model.job import Job, JobState
from ltspd.model.state import ConfigFinding
from tests import REPOSITORY
from tests.worlds.bus_fakes import STATE, FakeServer
from tests.worlds.program import Ltspctl

FOLDER = Path(__file__).parent / "snapshots"
JOBS = (
    Job(
        "0a1b2c3d", "build", "x86_64", 0, JobState.RUNNING, "packing", 0.25, 1_234_567_890, 3_100_000_000,
        started_at=1_700_000_000_000_000,
    ),
    Job(
        "4e5f6071", "build", "old", 1000, JobState.FAILED, "", 0.4, 0, 0,
        "org.ltsp.Server1.Error.NoSpace", "The store's file system has 10 MB free, 200 MB are needed.", "",
        1_700_000_100_000_000, 1_700_000_107_500_000,
    ),
)  # fmt: skip

# The words that a command is given on its page: by what its arguments name …
NAMED = {
    "image": "x86_64", "generation": "g1", "link": "eth0", "client": "pc01", "output": "dnsmasq",
    "job": "0a1b2c3d",
}  # fmt: skip
# … or others, which show more, or are refused before something begins that does not end.
GIVEN = {
    "job watch": ["4e5f6071"], "job cancel": ["nope"], "config show": ["pc01", "--all"],
    "config explain": ["--mac", "52:54:00:00:00:01", "--hostname", "pc01", "--applet", "init"],
    "setup": ["--yes"],
    "setup dual": ["--wan", "eth0", "--lan", "eth1"],
    "image build": ["nothing"], "image test": ["x86_64", "g9"], "image revert": ["x86_64", "g1"],
    "image remove": ["x86_64", "g2"], "client message": ["lab1", "Class", "ends", "--no-wait"],
    "client logout": ["--all", "pc01"], "client reboot": ["nobody"], "client poweroff": ["empty"],
    "client wake": ["room:lab2"], "client forget": ["pc01"],
    "foreign": ["eth0", "kea"], "config import": ["tests/worlds/lts.conf"],
    "config save": ["tests/worlds/lts.conf"],
}  # fmt: skip
PAGES = {
    each.words: [*each.words.split(), *GIVEN.get(each.words, words)]
    for each in commands()
    for words in [[NAMED[one.complete] for one in each.arguments if one.complete and not one.nargs]]
}
EMPTY = ["status", "image list", "link list", "client list", "output list", "job list"]


def compare(name: str, text: str) -> None:
    path = FOLDER / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("LTSPD_GOLDEN") == "write":
        path.write_text(text)
    assert text == (path.read_text() if path.exists() else ""), "LTSPD_GOLDEN=write writes it anew"


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.mark.parametrize("page", PAGES)
async def test_pages(ltspctl: Ltspctl, running: FakeServer, page: str) -> None:
    running.set(jobs=JOBS)
    running.findings = (
        ConfigFinding("warning", "/etc/ltsp/ltsp.conf", 3, 0, "HOSTNAM is unknown; is HOSTNAME meant?"),
    )
    ran = await ltspctl(*PAGES[page])
    assert "unforeseen" not in ran.err, "what the method asks of the daemon is not in worlds/bus_fakes.py"
    compare(page, f"$ ltspctl {' '.join(PAGES[page])}\n{ran.out}{ran.err}exit status {ran.status}\n")


@pytest.mark.parametrize("page", EMPTY)
async def test_pages_of_a_server_with_nothing(ltspctl: Ltspctl, running: FakeServer, page: str) -> None:
    running.set(images=(), links=(), clients=(), outputs=(), problems=())
    ran = await ltspctl(*page.split())
    compare(f"{page} empty", f"$ ltspctl {page}\n{ran.out}{ran.err}exit status {ran.status}\n")


@pytest.mark.parametrize("words", ["", *dict.fromkeys(w for n in PAGES for w in (n.split()[0], n))])
def test_help(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args([*words.split(), "--help"])
    assert end.value.code == 0
    compare(f"help {words}".rstrip(), capsys.readouterr().out)


@pytest.mark.parametrize("applet", ["", *APPLETS])
def test_help_of_ltsp(applet: str) -> None:
    compare(f"ltsp help {applet}".rstrip(), usage(applet) + "\n")


def test_every_snapshot_has_its_page() -> None:
    names = {*PAGES, *(f"{each} empty" for each in EMPTY), "help"}
    names |= {f"help {each}" for name in PAGES for each in (name, name.split()[0])}
    names |= {f"ltsp help {each}".rstrip() for each in ("", *APPLETS)}
    unused = {path.stem for path in FOLDER.iterdir()} - {name.replace(" ", "-") for name in names}
    assert not unused, "remove these snapshots"


def test_the_rows_of_the_commands_fit_together() -> None:
    for noun in nouns().values():
        verbs = [each.verb for each in noun.commands]
        assert len(set(verbs)) == len(verbs)
        assert "" not in verbs[1:]
    assert len({noun.place for noun in nouns().values()}) == len(nouns())
    assert {each.complete for one in commands() for each in one.arguments} - {""} == set(names())
    assert not any(each.nargs and each.option for one in commands() for each in one.arguments)


def test_every_method_of_the_contract_has_its_command() -> None:
    sources = "".join(path.read_text() for path in (REPOSITORY / "ltspd" / "cli").rglob("*.py"))
    uncalled = {
        f"{noun.word}.{each.name}"
        for noun in NOUNS
        for each in noun.methods
        if not re.search(rf'"{noun.word.capitalize()}"\)?,\s*"{each.name}"', sources)
    }
    # The hook of the package manager; two for programs that hold a path where a person has a name; one for
    # pages, which show what a person may do before that is tried.
    not_for_people = {"manager.PackagesChanged", "manager.GetImage", "image.Build", "manager.MayCall"}
    assert uncalled == not_for_people | {
        name for name in uncalled if name.startswith(("gateway.", "listener."))
    }


def test_the_state_of_the_pages_shows_something_of_everything() -> None:
    assert STATE.images
    assert STATE.links
    assert STATE.outputs
    assert STATE.problems
