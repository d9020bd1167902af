"""What the first lines of a client's script say: which parameters of ltsp.conf it reads. Pure.

One line for each, among the comments that the script begins with::

    # parameter: NAME KIND "DEFAULT" One sentence of help

``NAME`` may end in ``*``, ``KIND`` is one of KINDS, and ``DEFAULT`` may be empty. What the server reads as
well is not declared here, but with BOTH where the server uses it.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import ADDRESSES, FLAG, HOSTNAME, LINE, PATH, TEXT, Reader, count

KINDS: Mapping[str, Reader[Any]] = MappingProxyType(
    {
        "text": TEXT,
        "line": LINE,
        "bool": FLAG,
        "count": count(),
        "hostname": HOSTNAME,
        "addresses": ADDRESSES,
        "path": PATH,
    }
)
_MARK = "# parameter: "
_ROW = re.compile(r'(?P<name>[A-Z0-9_]+\*?) (?P<kind>[a-z]+) "(?P<default>[^"]*)" (?P<help>\S.*)')


def declared(script: str) -> Iterator[Parameter[Any]]:
    """Yield the parameters that a script reads; raises ValueError for a line that can't be read."""
    for line in script.splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith(_MARK):
            continue
        found = _ROW.fullmatch(line, len(_MARK))
        if found is None or found["kind"] not in KINDS:
            raise ValueError(f'{line!r} is not {_MARK}NAME {"|".join(KINDS)} "DEFAULT" Help')
        reader = KINDS[found["kind"]]
        yield Parameter(found["name"], reader, found["default"], CLIENT, found["help"].removesuffix("."))
