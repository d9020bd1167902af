"""What LTSP 23.02 reads otherwise in an ltsp.conf than we do, and why it is so here. Pure.

``tests/unit/config/test_ltsp.py`` has an example of each, and runs LTSP's own code on it and on much else. So
there is no other difference that anybody knows of, and none of these that is none any more.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Difference(NamedTuple):
    """What LTSP does, and what is done here, with the reason."""

    there: str
    here: str


DIFFERENCES: Mapping[str, Difference] = MappingProxyType(
    {
        "letters": Difference(
            "a client that is called PC05 reads no `[pc05]`, and no section that is written `[PC05]`",
            "host names are compared without regard to upper and lower case, as everywhere in networks",
        ),
        "server": Difference(
            "sections of addresses and host names count for the server, too, if they fit it",
            "they are clients' alone: `[192.168.67.*]` is about a room, and a server may have any address",
        ),
        "own addresses": Difference(
            "`$MAC_ADDRESS`, `$IP_ADDRESS` and `$HOSTNAME` in `[server]` and `[common]` are the server's own",
            "they are empty for the server, which has several cards; write the address",
        ),
        "secrets": Difference(
            "a client reads `[server]` if another section includes it",
            "it doesn't, nor what only `[server]` includes, because passwords may be there",
        ),
        "special": Difference(
            "`[*]` and `[c*]` take the place of `[clients]` and `[common]`, and `[i*]` fits `init/`",
            "globs are for addresses and host names",
        ),
        "same id": Difference(
            "of `[pc*]` and `[pc?]`, of `[pc-1]` and `[pc_1]`, the last one's lines count for both",
            "each has its own lines",
        ),
        "id": Difference(
            "`INCLUDE=crt_monitor` doesn't find `[crt-monitor]`",
            "it does, if no section fits better: to LTSP's hooks both are `section_crt_monitor`",
        ),
        "quoted lines": Difference(
            "in quotes, lines that look like `[sections]`, `INCLUDE=` or `NAME = value` are changed as such",
            "what is in quotes stays as it is",
        ),
        "tests": Difference(
            "a line of code that begins with a bracket, `[ -e /dev/sda ] && LOCAL_SWAP=1`, is a header",
            "it is the test that it is to a shell",
        ),
        "windows": Difference(
            "line ends of Windows become part of values, and a byte order mark part of the first line",
            "both are left out",
        ),
        "blanks": Difference(
            "`INCLUDE=` behind blanks includes nothing, and `NAME=`, a tab and a value set nothing",
            "blanks in these places mean nothing",
        ),
        "comment": Difference(
            "a comment behind `NAME=` and blanks is the value", "it is a comment, and the value is empty"
        ),
        "no name yet": Difference(
            "`HOSTNAME=pc%{IP}` selects the sections that fit this very text, such as `[pc*]`",
            "the name that a client then has selects them, such as `[pc20]`; if `HOSTNAME` is empty, DHCP's",
        ),
        "tilde": Difference(
            "`~` at the begin of a value without quotes is the home of root",
            "it is plain text; write `/root`",
        ),
        "own variables": Difference(
            "`$PATH` and other variables of the shell that reads the file have their values there",
            "only what the file sets has a value, and `$MAC_ADDRESS`, `$IP_ADDRESS`, `$HOSTNAME`, `$SERVER`",
        ),
        "reserved": Difference(
            "`PATH=`, `IFS=`, `LD_PRELOAD=` and the like change the programs that run afterwards",
            "they are left out, with a warning",
        ),
        "other names": Difference(
            "any variable is kept, `nas=10.0.0.1` too",
            "what is no parameter's name is kept only where the file uses it",
        ),
        "typographic": Difference(
            "typographic quotes become part of the value", "the line is left out, with a warning"
        ),
        "dashes": Difference(
            "`[52-54-00-12-34-56]` fits nothing", "it is the MAC address `52:54:00:12:34:56`, with a warning"
        ),
        "test": Difference(
            "a line that begins with a test, such as `[ -e /x ] && A=1`, is a header", "it is code"
        ),
        "menu": Difference(
            "the boot menu takes `DEFAULT_IMAGE` and the like from `[server]` and single MAC addresses alone",
            "all that counts for a client counts for its menu, and `[server]` where a client has none",
        ),
        "unnamed": Difference(
            "`[unnamed]` takes the place of the lines above the first section",
            "it is left out, with a warning",
        ),
        "stops": Difference(
            "a file without any section, or with `[]`, `[a|]` or `[esac]`, keeps LTSP from starting",
            "such a file counts, and such a header costs its own lines at most, with a warning",
        ),
    }
)
