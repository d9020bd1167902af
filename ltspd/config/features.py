"""What the first lines of a client's script say: which parameters of ltsp.conf it reads. Pure.

One line for each, among the comments that the script begins with::

    # parameter: NAME KIND "DEFAULT" One sentence of help

``NAME`` may end in ``*``, ``KIND`` is one of KINDS, and ``DEFAULT`` may be empty. What the server reads as
well is not declared here, but with BOTH where the server uses it. A line ``# live`` says that clients follow
changes of all of them while they run.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ltspd.config.names import is_parameter_name, is_reserved
from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import (
    ADDRESSES,
    EXPRESSION,
    FLAG,
    HOSTNAME,
    LINE,
    PATH,
    TEXT,
    Reader,
    count,
)
from ltspd.model.image import Want

KINDS: Mapping[str, Reader[Any]] = MappingProxyType(
    {
        "text": TEXT,
        "line": LINE,
        "bool": FLAG,
        "count": count(),
        "hostname": HOSTNAME,
        "addresses": ADDRESSES,
        "path": PATH,
        "expression": EXPRESSION,
    }
)
_MARK = "# parameter: "
_WANTS = "# wants: "
_LTSP = re.compile(r"^# ltsp: (.+)$", re.MULTILINE)
_ROW = re.compile(r'(?P<name>[A-Z0-9_]+\*?) (?P<kind>[a-z]+) "(?P<default>[^"]*)" (?P<help>\S.*)')
_WANT = re.compile(
    r"(?P<setting>(?:login|[A-Z0-9_]+\*?(?:[=~][^\s!]+)?)(?:![A-Z0-9_]+)?) (?P<files>[/@]\S+)"
    r" (?P<packages>\S+) (?P<what>\S.*)"
)
_LIVE = re.compile(r"^# live$", re.MULTILINE)
_NAME_OF_ROW = re.compile(rf"^{_MARK}([A-Z0-9_]+\*?) ", re.MULTILINE)
_NEEDS = re.compile(r"# needs: LTSP_API [0-9]+[ \t]*")


def rows(script: str) -> Iterator[tuple[int, str]]:
    """Yield each line that declares something, and its number."""
    for number, line in enumerate(script.splitlines(), 1):
        if not line.startswith("#"):
            return
        if line.startswith((_MARK, _WANTS)):
            yield number, line


def want(row: str) -> Want | None:
    """Return what a line wants of the image; None: it declares a parameter.

    Raises ValueError if it can't be read.
    """
    if not row.startswith(_WANTS):
        return None
    found = _WANT.fullmatch(row, len(_WANTS))
    if found is None or not all(each[:1] in ("/", "@") for each in found["files"].split("|")):
        raise ValueError(f"{row[:80]!r} is not {_WANTS}SETTING FILES PACKAGES What it is")
    packages = tuple("" if each == "-" else each for each in found["packages"].split("|"))
    return Want(found["setting"], tuple(found["files"].split("|")), packages, found["what"])


def declared(row: str) -> Parameter[Any]:
    """Return the parameter that a line declares; raises ValueError with the reason if it can't be read."""
    found = _ROW.fullmatch(row, len(_MARK))
    if found is None or found["kind"] not in KINDS:
        raise ValueError(f'{row[:80]!r} is not {_MARK}NAME {"|".join(KINDS)} "DEFAULT" Help')
    name, default = found["name"], found["default"]
    if not is_parameter_name(name.removesuffix("*")) or is_reserved(name.removesuffix("*")):
        raise ValueError(f"{name} can't be the name of a parameter")
    each = Parameter(name, KINDS[found["kind"]], default, CLIENT, found["help"].removesuffix("."))
    if default and each.stem:
        raise ValueError(f"{name} is a family, which has no default")
    if why := each.problem(default):
        raise ValueError(f"the default of {name}, {default!r}, {why}")
    return each


def is_live(script: str) -> bool:
    """Whether the first lines say that a running client can do this again, when a setting has changed."""
    head = script.partition("\n\n")[0]
    return _LIVE.search(head) is not None


def for_clients(scripts: Mapping[str, str]) -> str:
    """Return shell text that tells clients what the first lines of features say; to read them costs time.

    ``scripts`` are the features by their names, such as ``20-hosts``. The text sets ``newer`` to those that
    need more than LTSP_API=1, as ``NAME:LEVEL``, ``live_features`` to those that can be done again, and
    ``live_settings`` to what these read; ``wanted NAME`` sets ``wants`` to what a feature wants, a line each.
    """
    ordered = dict(sorted(scripts.items()))
    levels = {name: (text.partition("\n")[0].split() + [""] * 4)[3] for name, text in ordered.items()}
    newer = "".join(f" {name}:{level}" for name, level in levels.items() if level != "1")
    live = {name: text for name, text in ordered.items() if is_live(text)}
    read = [each for text in live.values() for each in _NAME_OF_ROW.findall(text)]
    lines = [f"newer='{newer} '", f"live_features='{' '.join(live)}'", f"live_settings='{' '.join(read)}'"]
    lines += ["wanted() {", '    case "$1" in']
    for name, text in ordered.items():
        found = [row.removeprefix(_WANTS) for _, row in rows(text) if row.startswith(_WANTS)]
        if found:
            value = "".join(f"{each}\n" for each in found).replace("'", "'\\''")
            lines.append(f"        {name}) wants='{value}' ;;")
    lines += ["        *) wants='' ;;", "    esac", "}"]
    return "\n".join(lines) + "\n"


def names(feature: str, script: str) -> tuple[str, ...]:
    """Return the names by which OMIT_FUNCTIONS can leave a feature out; ``feature`` is that of its file."""
    own = feature.partition("-")[2]
    theirs = _LTSP.findall(script.partition("\n\n")[0])
    return (own, f"{own}_main", *(name for each in theirs for name in each.split()))


def says_its_needs(script: str) -> bool:
    """Whether a feature's first line says in which boot initrds it can run."""
    return _NEEDS.fullmatch(script.partition("\n")[0]) is not None
