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
from ltspd.cli.applets import APPLETS
from ltspd.cli.grammar import COMMANDS
from ltspd.cli.parser import parser
from ltspd.config import load
from ltspd.config.parameters import find

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"])

# How an example begins -> the test (or the tool of the lab) that runs it, and words that show that it does.
RUN = {
    "apt install ./ltspd_*.deb": ("tests/package/test_package.py", 'commands("first-boot.md")'),
    "apt install /tmp/build/ltspd_*.deb": ("tests/package/test_package.py", 'commands("first-boot.md")'),
    "apt install ltsp": ("tests/package/test_migration.py", "install {packages.LTSP}/*.deb"),
    "debian/make-source": ("tests/package/packages.py", '"debian/make-source"'),
    "cd /tmp/build/ltspd-*": ("tests/package/packages.py", "dpkg-buildpackage"),
    "dpkg-buildpackage": ("tests/package/packages.py", '"dpkg-buildpackage", "-us", "-uc"'),
    **dict.fromkeys(
        (
            "make install", "systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload",
            "systemctl reload dbus", "systemctl enable --now ltspd",
        ),
        ("tests/package/test_package.py", 'commands("install.md")'),
    ),
    "journalctl LTSPD_JOB=": ("tests/unit/test_jobs.py", "LTSPD_JOB"),
    "journalctl -u ltspd LTSPD_": ("tests/bus/test_authorization.py", "LTSPD_ACTION"),
    **dict.fromkeys(
        ("S=org.ltsp.Server1", "busctl ", "gdbus "), ("tests/bus/test_manual.py", '"busctl", "gdbus"')
    ),
    "cp classroom.qcow2": ("tests/netboot/disks.py", "/srv/ltsp/{name}.img"),
    # These run the tests.
    "./demo": ("demo", "tests.lab.demo"),
    "./check": ("check", "pytest"),
}  # fmt: skip
PROGRAMS = {
    *(start.split()[0] for start in RUN),
    *("ltspctl", "ltsp"),
}
VERBS = {each.noun for each in COMMANDS if each.verb}


def blocks(page: Path) -> Iterator[list[str]]:
    """Yield the lines of each example: fenced, or indented by four or (in a list) more."""
    fenced: list[str] | None = None
    indented: list[str] = []
    for line in [*page.read_text().splitlines(), ""]:
        if line.startswith("```"):
            if fenced is not None:
                yield fenced
            fenced = [] if fenced is None else None
        elif fenced is not None:
            fenced.append(line)
        elif re.match(r" {4,8}\S", line):
            indented.append(line.strip())
        elif indented and line.strip():
            yield indented
            indented = []


def is_conf(block: list[str]) -> bool:
    """Whether an example is a piece of ltsp.conf."""
    return any(re.fullmatch(r"\[[^]]+\]( +#.*)?", line) for line in block)


def is_command(line: str) -> bool:
    """Whether a line is one to type."""
    return line.split(" ")[0] in PROGRAMS


def commands(name: str) -> list[str]:
    """Return the commands of a page's examples, in their order."""
    found = []
    for block in blocks(REPOSITORY / "docs" / name):
        text = "\n".join(block).replace("\\\n", " ")
        found += [line for line in text.splitlines() if is_command(line)]
    return found


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
def test_every_example_is_run_by_a_test(page: str, command: str) -> None:
    (start,) = [each for each in RUN if command.startswith(each)][:1] or pytest.fail(
        f"{page}: {command}: no test"
    )
    file, words = RUN[start]
    assert words in (REPOSITORY / file).read_text()


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
            parser().parse_args([*words, *["x"] * missing])
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


def test_the_package_has_the_programs_version() -> None:
    first, *_ = (REPOSITORY / "debian/changelog").read_text().splitlines()
    assert re.match(r"ltspd \((.+)-\d+\) ", first)[1] == ltspd.__version__  # type: ignore[index]
