"""The table of all parameters, which finds the declarations by itself; and lookups by name.

Parameters are declared in the modules that use their values, and in the scripts of clients (see features). A
module that declares some imports the class, by which it is found here. So this module reads the source of our
own package and the clients' scripts, once; else it is Pure.
"""

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ltspd.config import features
from ltspd.config.document import Finding, Severity
from ltspd.config.former import FORMER, Former
from ltspd.config.names import OF_LTSP
from ltspd.config.parameter import CLIENT, SERVER, Parameter, Side
from ltspd.model.image import Want
from ltspd.paths import client_home

# A parameter with such a word in its name holds a secret, also if it is not in the table.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASS|PWD|PASSWD|PASSWORDS?|PASSPHRASE|SSHPASS|SECRETS?|TOKENS?|HASH|API_?KEY|KEY|PSK|CREDENTIALS?)"
    r"(?:_|\Z)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Scripts:
    """What clients' scripts say in their first lines, and each line of them that can't be read.

    ``parts`` are the names by which OMIT_FUNCTIONS leaves features out, each feature's own name first.
    """

    parameters: dict[str, Parameter[Any]] = field(default_factory=dict)
    wants: list[Want] = field(default_factory=list)
    parts: list[tuple[str, ...]] = field(default_factory=list)
    mistakes: list[Finding] = field(default_factory=list)


@cache
def _all() -> tuple[Mapping[str, Parameter[Any]], Scripts]:
    own = collect(_of_modules())
    scripts = of_scripts(client_home(), own)
    return collect((each.name, each) for each in (*own.values(), *scripts.parameters.values())), scripts


def table() -> Mapping[str, Parameter[Any]]:
    """Return every declared parameter by name. The first call takes some ms and may import modules."""
    return _all()[0]


def mistakes() -> tuple[Finding, ...]:
    """Return what is wrong with the clients' scripts, which administrators may add to."""
    return tuple(_all()[1].mistakes)


def wants() -> tuple[Want, ...]:
    """Return what clients' scripts want of an image."""
    return tuple(_all()[1].wants)


def parts() -> tuple[tuple[str, ...], ...]:
    """Return the names by which OMIT_FUNCTIONS leaves each feature out, its own name first."""
    return tuple(_all()[1].parts)


def collect(declared: Iterable[tuple[str, Parameter[Any]]]) -> Mapping[str, Parameter[Any]]:
    """Return declarations by name: the server's, those of both, the clients'.

    They are given with the files that they are in. Raises ValueError for two of one name.
    """
    found: dict[str, Parameter[Any]] = {}
    places: dict[str, str] = {}
    for place, each in declared:
        first = places.setdefault(each.name, place)
        if found.setdefault(each.name, each) is not each:
            raise ValueError(f"{each.name} is declared twice: in {first} and in {place}.")
    ordered = sorted(
        found.values(), key=lambda each: (SERVER not in each.sides, CLIENT in each.sides, each.name)
    )
    return MappingProxyType({each.name: each for each in ordered})


def _of_modules() -> Iterator[tuple[str, Parameter[Any]]]:
    home = Path(__file__).parents[1]
    for path in sorted(home.rglob("*.py")):
        if b"from ltspd.config.parameter import" in path.read_bytes():
            name = ".".join(path.relative_to(home.parent).with_suffix("").parts).removesuffix(".__init__")
            for each in vars(import_module(name)).values():
                if isinstance(each, Parameter):
                    yield name, each


def of_scripts(home: Path, taken: Container[str]) -> Scripts:
    """Return what the scripts below a directory say; each line that can't be read says nothing.

    Names that are ``taken`` can't be declared again. Never raises for what is there.
    """
    found = Scripts()
    for path in sorted(home.rglob("*.sh")):
        # Findings are published, and what is published is UTF-8.
        shown = str(path).encode("utf-8", "surrogateescape").decode(errors="replace")

        def tell(line: int, reason: str, step: str, file: str = shown) -> None:
            found.mistakes.append(Finding(Severity.WARNING, file, line, reason, step))

        try:
            script = path.read_bytes().decode(errors="replace")
        except OSError as error:
            tell(0, f"it can't be read ({error.strerror})", "clients do without it")
            continue
        if path.parent.name == "features":
            found.parts.append(features.names(path.stem, script))
            if not features.says_its_needs(script):
                tell(1, "the first line is not '# needs: LTSP_API 1'", "clients leave this feature out")
        for line, row in features.rows(script):
            try:
                if want := features.want(row):
                    found.wants.append(want)
                    continue
                each = replace(features.declared(row), live=features.is_live(script))
            except ValueError as error:
                tell(line, str(error), "this line declares nothing")
                continue
            if each.name in taken or each.name in found.parameters:
                tell(line, f"{each.name} is declared elsewhere", "that counts; take this line out")
            else:
                found.parameters[each.name] = each
    return found


@lru_cache(maxsize=8192)
def find(name: str) -> Parameter[Any] | None:
    """Return the declaration of a parameter; None: there is none."""
    exact = table().get(name)
    return exact or next((each for each in _families() if each.fits(name)), None)


@cache
def _families() -> tuple[Parameter[Any], ...]:
    return tuple(each for each in table().values() if each.stem)


def sides(name: str) -> Side:
    """Return who reads a parameter; nobody, if it is none."""
    row = find(name)
    return row.sides if row else Side(0)


def unread() -> tuple[str, ...]:
    """Return LTSP's parameters that have no effect here yet."""
    return tuple(each for each in OF_LTSP if each not in table() and each not in FORMER)


def former(name: str) -> Former | None:
    """Return why the name of one of LTSP's parameters means nothing here; None: it may, or is none."""
    return None if find(name) else FORMER.get(name)


def is_unread(name: str) -> bool:
    """Whether the name is one of LTSP's that have no effect here, yet or any more."""
    return find(name) is None and any(
        name == each or (each.endswith("*") and name.startswith(each[:-1]) and len(name) >= len(each))
        for each in OF_LTSP
    )


def is_known(name: str) -> bool:
    """Whether the name is a parameter's, or one of LTSP's that have no effect here."""
    return find(name) is not None or is_unread(name)


def is_secret(name: str) -> bool:
    """Whether values of this name must stay on the server."""
    row = find(name)
    return bool((row and row.secret) or _SECRET_NAME.search(name))


def suggestion(name: str, known: Iterable[str] | None = None) -> str:
    """Return the name that was probably meant, or an empty string; ``known``: else of any parameter."""
    names = (each for each in (*table(), *OF_LTSP) if not each.endswith("*")) if known is None else known
    close = difflib.get_close_matches(name, names, 1, 0.75)
    return close[0] if close else ""
