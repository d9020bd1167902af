"""What docs/ says to type, to write and to look at is there: commands, settings, pages, pictures.

Commands of ours are held against their grammar. Every other one must be in RUN, which names the test that
runs it; so a new example without a test fails here.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ltspd
from ltspd.cli.__main__ import parser
from ltspd.cli.applets import APPLETS
from ltspd.cli.nouns import commands
from ltspd.config.configuration import load
from ltspd.config.parameters import find
from tests import REPOSITORY
from tests.worlds.pages import RUN, blocks, is_command, is_conf

PAGES = sorted([*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"])

PARSER = parser()
VERBS = {each.noun for each in commands() if each.verb}


def every_command() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page):
            if is_conf(block):
                continue
            for line in "\n".join(block).replace("\\\n", " ").splitlines():
                if is_command(line):
                    words = re.split(r" && \(?|\)$| #.*$", line.removesuffix(")"))
                    yield from ((page.name, each.strip()) for each in words if each and each.strip())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_of_a_kind_that_is_looked_at(page: Path) -> None:
    for block in blocks(page):
        lines = [each for each in "\n".join(block).replace("\\\n", " ").splitlines() if each.strip()]
        shown = is_conf(block) or any(re.match(r"ltsp: |.*[─►└│├]|/srv|// |\s*\*", each) for each in lines)
        assert shown or all(map(is_command, lines)), f"neither commands nor known text: {lines}"


def of_ours(text: str) -> bool:
    return text.split()[0] in ("ltspctl", "ltsp")


@pytest.mark.parametrize(("page", "command"), [each for each in every_command() if not of_ours(each[1])])
def test_every_example_has_a_test_that_runs_it(page: str, command: str) -> None:
    (start,) = [each for each in RUN if command.startswith(each)][:1] or pytest.fail(
        f"{page}: {command}: no test"
    )
    assert (REPOSITORY / RUN[start]).exists()


def spoken() -> Iterator[tuple[str, str]]:
    """Yield commands of ours within sentences and tables."""
    for page in PAGES:
        if page.name in ("ltspctl.md", "ltsp.md", "status.md"):
            continue  # made from the grammar itself, or of what is to come
        for text in re.findall(r"`(ltspctl [^`]+)`", re.sub(r"\s+", " ", page.read_text())):
            yield page.name, text.replace("*", "")


@pytest.mark.parametrize(
    ("page", "command"), [*spoken(), *(each for each in every_command() if of_ours(each[1]))]
)
def test_commands_of_ours_are_right(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(command, comments=True)
    if program == "ltsp":
        assert words[0] in APPLETS
        return
    if len(words) == 1 and words[0] in VERBS:
        return  # only the noun is spoken of
    # In a sentence, "ltspctl image show" stands for the command with whatever words it takes.
    for missing in range(3):
        try:
            PARSER.parse_args([*words, *["x"] * missing])
        except SystemExit as end:
            if not end.code:
                return
        else:
            return
    pytest.fail(f"{page}: {command}: {capsys.readouterr().err}")


@pytest.mark.parametrize(
    ("page", "text"),
    [(page.name, "\n".join(block)) for page in PAGES for block in blocks(page) if is_conf(block)],
)
def test_examples_of_ltsp_conf_have_no_mistakes(page: str, text: str) -> None:
    assert [str(each) for each in load({page: text}).findings] == []


def test_parameters_that_pages_name_exist() -> None:
    for page in PAGES:
        if page.name in ("ltsp.conf.md", "ltsp.md", "CONTRIBUTING.md"):
            continue
        for name in re.findall(r"`([A-Z][A-Z0-9_]{3,})=[^`]*`", page.read_text()):
            known = name.startswith(("LTSPD_", "CAP_", "BOOT", "INCLUDE")) or find(name)
            assert known, f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in heads}, (
                target
            )


@pytest.mark.parametrize(
    "picture", sorted(REPOSITORY.glob("docs/pictures/*.svg")), ids=lambda each: each.name
)
def test_pictures_are_small_have_a_title_and_two_sets_of_colours(picture: Path) -> None:
    text = picture.read_text()
    root = ElementTree.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 10_000
    assert any(f"pictures/{picture.name}" in page.read_text() for page in PAGES)


def test_the_page_of_the_daemon_has_each_unit() -> None:
    page = (REPOSITORY / "docs/ltspd.md").read_text()
    units = [each.name for kind in ("service", "socket") for each in REPOSITORY.glob(f"systemd/*.{kind}")]
    assert [each for each in units if f"`{each}`" not in page] == []


def test_the_package_has_the_programs_version() -> None:
    first, *_ = (REPOSITORY / "debian/changelog").read_text().splitlines()
    assert re.match(r"ltspd \((.+)-\d+\) ", first)[1] == ltspd.__version__  # type: ignore[index]


# A file of ours, by its path from the top.
_FILE = re.compile(
    r"(?<![\w/.~-])(?:ltspd|client|tests|bench|nbd|docs)/[a-z\d_./-]+\.(?:py|md|sh|c)(?![\w.])"
)
_TEXTS = [
    path
    for place in ("ltspd", "client", "bench", "systemd", "docs")
    for path in sorted((REPOSITORY / place).rglob("*"))
    if path.suffix in (".py", ".sh", ".md", ".service", ".conf")
]


def test_files_that_texts_name_exist() -> None:
    named = {(str(path), name) for path in _TEXTS for name in _FILE.findall(path.read_text())}
    assert "ltspd/gateway/connections.py" in {name for _, name in named}
    assert [(path, name) for path, name in sorted(named) if not (REPOSITORY / name).exists()] == []
