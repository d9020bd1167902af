"""The page's words in other languages: collects them into po/LANG.po, and makes Cockpit's po.LANG.js.

``python3 cockpit/translate.py`` adds new sentences to each po/LANG.po, without translations, and removes
those that are gone; the files stay sorted. ``python3 cockpit/translate.py DIRECTORY`` writes the po.LANG.js
there.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Which form of a sentence a number takes, as gettext's header and as JavaScript say it.
PLURALS = {
    "de": ("nplurals=2; plural=n != 1;", "n => n != 1"),
    "fr": ("nplurals=2; plural=n > 1;", "n => n > 1"),
}
_STRING = r'"((?:[^"\\]|\\.)*)"'
# A sentence stands as one string, or as several that are joined by +.
_STRINGS = rf"{_STRING}(?:\s*\+\s*{_STRING})*"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CALL = re.compile(rf"(?<![\w.])(_|ngettext)\(\s*({_STRINGS})(?:,\s*({_STRINGS}))?")


@dataclass(frozen=True, slots=True, order=True)
class Sentence:
    """A sentence of the page; ``plural`` is its form for many, or empty."""

    one: str
    plural: str = ""


def _joined(source: str) -> str:
    return "".join(json.loads(f'"{each}"') for each in re.findall(_STRING, source))


def in_script(text: str) -> Iterator[Sentence]:
    """Yield the sentences that a module has translated."""
    for call in _CALL.finditer(_COMMENT.sub("", text)):
        plural = re.search(rf"{_STRINGS}\Z", call[0]) if call[1] == "ngettext" else None
        first = call[2]
        yield Sentence(_joined(first), _joined(plural[0]) if plural else "")


def sentences() -> list[Sentence]:
    """Return all sentences of the page and of its entry in Cockpit's menu, sorted."""
    found: set[Sentence] = set()
    for script in HERE.glob("*.js"):
        found.update(in_script(script.read_text("utf-8")))
    for entry in json.loads((HERE / "manifest.json").read_text("utf-8"))["menu"].values():
        found.add(Sentence(entry["label"]))
    return sorted(found)


def read(language: str) -> dict[Sentence, tuple[str, ...]]:
    """Return the translations of a language: one form, or as many as its plurals have."""
    found: dict[Sentence, tuple[str, ...]] = {}
    for block in (HERE / f"po/{language}.po").read_text("utf-8").split("\n\n"):
        values = {
            line.split(" ", 1)[0]: str(json.loads(line.split(" ", 1)[1]))
            for line in block.splitlines()
            if line and not line.startswith(("#", '"'))
        }
        if values.get("msgid"):
            forms = tuple(value for name, value in values.items() if name.startswith("msgstr"))
            found[Sentence(values["msgid"], values.get("msgid_plural", ""))] = forms
    return found


def document(language: str, known: Mapping[Sentence, tuple[str, ...]]) -> str:
    """Return the text of a po file with all sentences of the page and what is known of them."""
    blocks = [
        f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        f'"Plural-Forms: {PLURALS[language][0]}\\n"'
    ]
    for each in sentences():
        lines = [f"msgid {_quoted(each.one)}"]
        if each.plural:
            forms = known.get(each, ("", ""))
            lines.append(f"msgid_plural {_quoted(each.plural)}")
            lines += [f"msgstr[{number}] {_quoted(form)}" for number, form in enumerate(forms)]
        else:
            lines.append(f"msgstr {_quoted(known.get(each, ('',))[0])}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def script(language: str) -> str:
    """Return what cockpit.js reads: the translations, and the rule for numbers."""
    rule = PLURALS[language][1]
    head = f'"": {{"plural-forms": {rule}, "language": "{language}", "language-direction": "ltr"}}'
    rows = [f"{_quoted(each.one)}: {_list(forms)}" for each, forms in read(language).items() if all(forms)]
    return "cockpit.locale({\n" + ",\n".join([head, *rows]) + "\n});\n"


def _list(forms: tuple[str, ...]) -> str:
    return json.dumps([None, *forms], ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Write the po files anew, or the scripts into the directory that was named."""
    for language in PLURALS:
        if len(sys.argv) > 1:
            Path(sys.argv[1], f"po.{language}.js").write_text(script(language), "utf-8")
        else:
            path = HERE / f"po/{language}.po"
            path.write_text(document(language, read(language) if path.exists() else {}), "utf-8")


if __name__ == "__main__":
    main()
