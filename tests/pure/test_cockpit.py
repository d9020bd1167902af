"""The laws of the page in Cockpit: all is translated, nothing reads HTML, everything is installed."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests import REPOSITORY

PAGE = REPOSITORY / "cockpit"
SCRIPTS = sorted(PAGE.glob("*.js"))
LANGUAGES = ("de", "fr")
_COMMENTS = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)


def _translate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cockpit_translate", PAGE / "translate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


translate = _translate()


def code(script: Path) -> str:
    return _COMMENTS.sub("", script.read_text())


def test_the_manifest_is_one_that_both_releases_read() -> None:
    manifest = json.loads((PAGE / "manifest.json").read_text())
    assert set(manifest) <= {"requires", "menu", "tools", "content-security-policy", "conditions"}
    # Debian 12 has 287.
    assert int(manifest["requires"]["cockpit"]) <= 287
    assert set(manifest["menu"]) == {"index"}


def test_every_module_is_reached_from_the_page() -> None:
    page = (PAGE / "index.html").read_text()
    reached, ahead = set(), ["index.js"]
    assert 'src="index.js"' in page
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += re.findall(r'from "\./([\w.]+)"', (PAGE / name).read_text())
    assert reached == {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_nothing_reads_html_or_runs_text(script: Path) -> None:
    # What clients report is hostile: it is text, never markup or code.
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    assert not re.findall(forbidden + r"|createContextualFragment|setHTML|srcdoc|javascript:", code(script))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_styles_are_in_the_style_sheet(script: Path) -> None:
    # Cockpit's policy forbids inline styles, and a colour of its own would be wrong in the dark.
    assert not re.findall(r'"#[0-9a-fA-F]{3,8}"|\bstyle:\s|setAttribute\("style"|\brgb\(', code(script))


def test_the_page_has_no_inline_code_or_style() -> None:
    page = (PAGE / "index.html").read_text()
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", page)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_what_is_shown_is_translated(script: Path) -> None:
    # Strings in the places where our pieces take words for people.
    text = re.sub(r"(?<![\w.])(_|ngettext)\((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*\)", "", code(script))
    text = re.sub(r"^import .*?;", "", text, flags=re.DOTALL | re.MULTILINE)
    shown = re.findall(r"(?:el|svg)\(\"\w+\", \{[^{}]*\}, \"([^\"]*[A-Za-z]{2}[^\"]*)\"", text)
    shown += re.findall(
        r"(?:\"aria-label\"|title|caption|placeholder|alt): \"([^\"]*[A-Za-z]{2}[^\"]*)\"", text
    )
    shown += re.findall(r"(?:button|card|alert|toast|label)\((?:\"\w+\", )?\"([A-Z][^\"]*)\"", text)
    assert shown == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_all_sentences_and_no_other(language: str) -> None:
    known = translate.read(language)
    assert set(known) == set(translate.sentences()), "python3 cockpit/translate.py"
    for sentence, forms in known.items():
        assert len(forms) == (2 if sentence.plural else 1)
        for form in forms:
            assert form.strip(), f"{language}: {sentence.one!r} is not translated"
            assert set(re.findall(r"\$\w+", form)) <= set(
                re.findall(r"\$\w+", sentence.one + sentence.plural)
            )
            assert set(re.findall(r"\$\w+", sentence.plural or sentence.one)) <= set(
                re.findall(r"\$\w+", form)
            )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_file_of_translations_is_sorted(language: str) -> None:
    # Two people who add sentences then seldom touch the same lines.
    text = (PAGE / f"po/{language}.po").read_text()
    assert text == translate.document(language, translate.read(language)), "python3 cockpit/translate.py"
    assert translate.script(language).startswith("cockpit.locale({")


def test_a_script_has_its_sentences_found() -> None:
    found = translate.in_script(
        'a(_("One"), ngettext("$0 b", "$0 bs", n), /* _("no") */ _("Two " +\n  "parts"))'
    )
    assert [(each.one, each.plural) for each in found] == [("One", ""), ("$0 b", "$0 bs"), ("Two parts", "")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_a_script_is_one(script: Path) -> None:
    node = shutil.which("node")
    if node is None:
        found = importlib.util.find_spec("playwright")
        node = str(Path(found.origin).parent / "driver/node") if found and found.origin else None
    if node is None:
        pytest.skip("no JavaScript here; tests/cockpit run it in a browser")
    # It takes what it reads for a module only so.
    check = [node, "--input-type=module", "--check"]
    done = subprocess.run(check, input=script.read_text(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_is_installed() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    kinds = {path.suffix for path in PAGE.iterdir() if path.is_file()} - {".md", ".py"}
    assert kinds == {".js", ".json", ".html", ".css"}
    for kind in kinds:
        assert f"cockpit/*{kind}" in makefile
    assert "translate.py" in makefile


def test_all_colours_have_a_dark_form() -> None:
    style = (PAGE / "page.css").read_text()
    light, dark = (
        set(re.findall(r"(--[\w-]+):", style.split(head)[1].split("}")[0]))
        for head in (":root {", ":root.dark {")
    )
    assert light - dark == {"--mono"}
    used = set(re.findall(r"var\((--[\w-]+)\)", style))
    assert used <= light
    assert not re.findall(r"#[0-9a-f]{3,6}\b", style.split("* { box-sizing")[1])
