"""Each ltsp.conf means here what LTSP 23.02's own shell code makes of it, but for the known differences."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltspd.config.configuration import load
from ltspd.config.differences import DIFFERENCES
from ltspd.config.document import Host, Severity
from ltspd.config.evaluate import PREDEFINED, Index, effective, effective_menu
from ltspd.config.headers import SPECIAL
from ltspd.config.hooks import hook
from ltspd.config.names import is_parameter_name
from ltspd.config.parameter import CLIENT
from ltspd.config.parameters import find, former, is_secret, is_unread, parts, sides
from ltspd.config.parse import parse
from ltspd.config.settings import quote, render_settings
from tests import REPOSITORY
from tests.lab.ltsp import Ltsp, Machine, ltsp
from tests.lab.manuals import parameters, snippets
from tests.worlds.conf_texts import values
from tests.worlds.examples import drawn

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("mmdebstrap", "unshare"))),
    reason="needs root, mmdebstrap and unshare: LTSP's code is run from Debian's package",
)
SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.conf"))
# How many files are drawn, each for seven machines. Without LTSPD_CORPUS they are the same each time; with
# LTSPD_CORPUS=5000 it takes some minutes.
DRAWN = int(os.environ.get("LTSPD_CORPUS", "150"))
ALWAYS_THE_SAME = "LTSPD_CORPUS" not in os.environ
PC01 = Machine(hostname="pc01")
SERVER = Machine("02:00:00:00:00:01", "192.168.67.1", "server", "server", "ipxe")


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Ltsp]:
    with ltsp(tmp_path) as running:
        yield running


def read(text: bytes) -> Index:
    """Return what this file says here; nothing in it may be more than a warning, but for values."""
    document = parse(text.decode(errors="surrogateescape"))
    assert [str(each) for each in document.mistakes if each.severity is Severity.ERROR] == []
    return Index(document)


def ours(index: Index, machine: Machine) -> Mapping[str, str]:
    """Return the values that count here. A machine's HOSTNAME is its name until the file says another."""
    client = Host(machine.mac, machine.ip, machine.hostname)
    match machine.kind:
        case "client":
            found = effective(index, client)
        case "menu":
            found = effective_menu(index, client)
        case _:
            found = effective(index, Host(kind="server"))
    return {"HOSTNAME": machine.hostname} | {name: each.text for name, each in found.items()}


# -- the known differences


@dataclass(frozen=True, slots=True)
class Example:
    """A file in which a value is another one; None: it has none, there because LTSP stops (``stops``)."""

    difference: str
    text: str
    there: str | None
    here: str | None
    name: str = "X_DRIVER"
    machine: Machine = PC01
    stops: bool = False


EXAMPLES = (
    Example("letters", "[pc05]\nX_DRIVER=vesa", None, "vesa", machine=Machine(hostname="PC05")),
    Example("letters", "[PC05]\nX_DRIVER=vesa", None, "vesa", machine=Machine(hostname="PC05")),
    Example("server", "[192.168.67.*]\nX_DRIVER=vesa", "vesa", None, machine=SERVER),
    Example("own addresses", "[common]\nX_DRIVER=$IP_ADDRESS", "192.168.67.1", "", machine=SERVER),
    Example("own addresses", "[common]\nX_DRIVER=$HOSTNAME", "server", "", machine=SERVER),
    Example("secrets", "[clients]\nINCLUDE=server\n[server]\nX_DRIVER=vesa", "vesa", None),
    Example("special", "[c*]\nX_DRIVER=vesa\n[clients]\nX_DRIVER=nvidia", "vesa", "nvidia"),
    Example("special", "[i*]\nX_DRIVER=vesa", "vesa", None),
    Example("same id", "[pc*]\nX_DRIVER=vesa\n[pc?]\nX_DRIVER=nvidia", "nvidia", "vesa"),
    Example("id", "[pc01]\nINCLUDE=crt_monitor\n[crt-monitor]\nX_DRIVER=vesa", None, "vesa"),
    Example("quoted lines", "X_DRIVER=1\nGDM3_CONF='\n[pc01]\n'", None, "1", stops=True),
    Example("quoted lines", "X_DRIVER='\nA = 1'\n[x]", "\nA=1", "\nA = 1"),
    Example("quoted lines", "X_DRIVER='\nINCLUDE=x\n'\n[x]", '\nsection_call "x"\n', "\nINCLUDE=x\n"),
    Example("tests", "[pc01]\n[ -e / ] && true\nX_DRIVER=vesa", None, "vesa"),
    Example("windows", "X_DRIVER=vesa\r\n[x]", "vesa\r", "vesa"),
    Example("windows", "\ufeffX_DRIVER=vesa\n[pc01]\nA=1", None, "vesa"),
    Example("blanks", "[pc01]\n  INCLUDE=x\n[x]\nX_DRIVER=vesa", None, "vesa"),
    Example("blanks", "X_DRIVER=\tvesa\n[pc01]\nA=1", None, "vesa"),
    Example("comment", "X_DRIVER= #vesa\n[x]", "#vesa", ""),
    Example("no name yet", "HOSTNAME=pc%{IP}\n[pc*]\nX_DRIVER=vesa", "vesa", None, machine=Machine()),
    Example("no name yet", "HOSTNAME=pc%{IP}\n[pc01]\nX_DRIVER=vesa", None, "vesa"),
    Example("no name yet", "HOSTNAME=\n[pc01]\nX_DRIVER=vesa", None, "vesa"),
    Example("tilde", "X_DRIVER=~/x\n[x]", "//x", "~/x"),
    Example("own variables", "X_DRIVER=$PATH\n[x]", "/usr/sbin:/usr/bin:/sbin:/bin", ""),
    Example("reserved", "IFS=x\nX_DRIVER=$IFS\n[x]", "x", ""),
    Example("other names", "nas=10.0.0.1\n[x]", "10.0.0.1", None, "nas"),
    Example("typographic", "X_DRIVER=“vesa”\n[x]", "“vesa”", None),
    Example("dashes", "[52-54-00-00-00-01]\nX_DRIVER=vesa", None, "vesa"),
    Example("test", "[pc01]\n[ -e / ] && A=1\nX_DRIVER=vesa", None, "vesa"),
    Example("menu", "[clients]\nDEFAULT_IMAGE=lab", None, "lab", "DEFAULT_IMAGE", Machine(kind="menu")),
    Example("unnamed", "X_DRIVER=vesa\n[unnamed]\nX_DRIVER=nvidia", "nvidia", "vesa"),
    Example("stops", "X_DRIVER=vesa\n[pc02|]\nX_DRIVER=nvidia", None, "vesa", stops=True),
    Example("stops", "X_DRIVER=vesa", None, "vesa", stops=True),
    Example("stops", "[esac]\nX_DRIVER=nvidia", None, None, stops=True),
)


def test_each_known_difference_is_one(peer: Ltsp) -> None:
    found = []
    for each in EXAMPLES:
        text = f"{each.text}\n".encode()
        (answer,) = peer.ask(text, [each.machine])
        there, here = answer.values.get(each.name), ours(read(text), each.machine).get(each.name)
        found.append(replace(each, there=there, here=here, stops=answer.stopped))
    assert found == [*EXAMPLES]
    assert all(each.stops or each.there != each.here for each in found)


def test_each_known_difference_has_an_example() -> None:
    assert {each.difference for each in EXAMPLES} == set(DIFFERENCES)


# -- the same without them


def mended(text: bytes) -> bytes:
    """Return a file without what LTSP reads otherwise: windows, blanks, letters."""
    lines = text.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    lines = re.sub(r"^[ \t]+(?=INCLUDE=)", "", lines, flags=re.MULTILINE)
    return re.sub(r"(?<=^HOSTNAME=).*$", lambda found: found[0].lower(), lines, flags=re.MULTILINE).encode()


def shown(found: Mapping[str, str]) -> Mapping[str, str]:
    """Return what both must agree about."""
    told = {name: value for name, value in found.items() if is_parameter_name(name)}
    return told | {"HOSTNAME": found["HOSTNAME"].lower()}


def compare(peer: Ltsp, text: bytes, machines: Sequence[Machine]) -> None:
    """Say where a file means another thing here. The server has no name and no addresses, as it has here."""
    asked = [each if each.kind == "client" else Machine("", "", "", "server", "ipxe") for each in machines]
    index = read(text)
    for machine, answer in zip(asked, peer.ask(mended(text), asked), strict=True):
        assert not answer.stopped, answer.said
        if "%" in answer.values["HOSTNAME"] and machine.hostname:
            # Such a client is asked for by the name that it has in the end.
            continue
        assert shown(ours(index, machine)) == shown(answer.values), machine


def program(text: bytes, machine: Machine) -> bytes:
    """Return what a client of ours runs as code of ltsp.conf."""
    told = {"mac": machine.mac, "address": machine.ip, "name": machine.hostname, "server": ""}
    known = "".join(f"ltsp_{name}={quote(value)}\n" for name, value in told.items())
    settings = render_settings(parse(text.decode(errors="surrogateescape"))).decode()
    return (known + settings + (REPOSITORY / "client/live/code.sh").read_text()).encode()


def as_clients(peer: Ltsp, text: bytes, machines: Sequence[Machine]) -> None:
    """Say where a client of ours has another setting than LTSP's: here code of ltsp.conf runs, too.

    An empty setting is as none to both.
    """
    clients = [each for each in machines if each.kind == "client"]
    answers = peer.ask(text, clients), peer.run([(each, program(text, each)) for each in clients])
    for machine, there, here in zip(clients, *answers, strict=True):
        assert not there.stopped, there.said
        if "%" in there.values["HOSTNAME"] and machine.hostname:
            continue
        expected = {name: value for name, value in shown(there.values).items() if value and is_clients(name)}
        found = {name: value for name, value in shown(here.values).items() if value}
        assert found == expected, (machine, here.said)


def has_code(text: bytes) -> bool:
    return any(any(section.code) for section in read(text).sections)


def is_clients(name: str) -> bool:
    return CLIENT in sides(name) and not (is_secret(name) or hook(name))


def machines_of(text: bytes) -> list[Machine]:
    """Return a machine for each host and each glob of the headers, one that none fits, and the server.

    Each address is also tried with each other kind of name, so that several sections fit a machine.
    """
    sections = read(text).sections
    inner = {each.target for section in sections for each in section.includes}
    macs, ips, names = ["aa:aa:aa:aa:aa:aa"], ["203.0.113.9"], ["", "unknown"]
    patterns = {each for section in sections for each in section.patterns}
    for pattern in sorted(patterns - SPECIAL - inner):
        if ":" in pattern:
            macs.append(pattern.replace("*", "01:02:03:04:05:06").replace("?", "1")[:17])
        elif re.fullmatch(r"[0-9.*?]+", pattern):
            ips.append(pattern.replace("*", "7").replace("?", "1"))
        elif not re.search("[/_]", pattern):
            names += [pattern.replace("*", each).replace("?", each[0]) for each in ("01", "2x")]
    most = max(map(len, (macs, ips, names)))
    turns = range(most), range(1, most + 1)
    mixed = [
        Machine(
            macs[each % len(macs)], ips[(each + shift) % len(ips)], names[each * (shift + 1) % len(names)]
        )
        for shift, turn in enumerate(turns)
        for each in turn
    ]
    alone = [Machine(mac, ips[0], "") for mac in macs] + [Machine(macs[0], ip, "") for ip in ips]
    alone += [Machine(macs[0], ips[0], name) for name in names]
    return [*dict.fromkeys([*mixed, *alone]), SERVER]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_files_as_schools_have_them(peer: Ltsp, shape: Path) -> None:
    text = shape.read_bytes()
    assert load({"ltsp.conf": text.decode()}).ok
    if has_code(text):
        as_clients(peer, text, machines_of(text))
    else:
        compare(peer, text, machines_of(text))


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) == 9


def test_what_the_manual_pages_show(peer: Ltsp) -> None:
    found = snippets(peer.tree)
    assert len(found) > 60, found
    for text in found:
        compare(peer, text.encode(), machines_of(text.encode()))


# -- drawn files

NAMES = ["FSTAB_A", "HOSTS_b", "KERNEL_PARAMETERS", "POST_INIT_X", "FSTAB_1", "SERVER", "X_DRIVER"]
SECTIONS = [
    *("clients", "common", "server", "52:54:00:*", "52:54:00:00:00:01", "10.0.0.?", "10.0.0.17|pc0?"),
    *("pc*", "PC01|pc02", "x-y", "x.y|z", "?-y", "clients|a", "b", "room 2", "?c*1", "[d"),
]
HOSTS = [
    Machine("52:54:00:00:00:01", "10.0.0.7", ""),
    Machine("52:54:00:00:00:02", "10.0.0.17", "pc02"),
    Machine("aa:bb:cc:dd:ee:ff", "192.168.67.20", "x-y"),
    Machine("aa:bb:cc:dd:ee:f0", "10.0.0.1", "pc01"),
    Machine("52:54:00:00:00:03", "10.0.1.1", "b"),
    Machine("aa:bb:cc:dd:ee:ff", "192.168.67.20", ""),
    SERVER,
]
# Lines inside quotes that LTSP takes for others, and a comment that it takes for a value.
ODD = re.compile(r"=  #|\n(?:[ ]*\[[^\]]*\]|include *=|[a-z0-9_]*(?: +=|= ))", re.IGNORECASE)
assignment = (
    st.tuples(
        st.sampled_from(["", "", "", "  ", "\t", "export "]),
        st.sampled_from(NAMES),
        values([*NAMES, *PREDEFINED, "NOWHERE"]),
        st.sampled_from(["", "", " ", "  # said", ";", " ; # said"]),
    )
    .map("{0[0]}{0[1]}={0[2]}{0[3]}".format)
    .filter(lambda line: not ODD.search(line))
)
named = st.sampled_from(["pc01", "pc02", "x-y", "b", "elsewhere"]).flatmap(
    lambda name: st.sampled_from([f"HOSTNAME={name}", f"HOSTNAME = '{name}'", f'HOSTNAME="{name}"  # said'])
)
include = st.tuples(
    st.sampled_from(["INCLUDE", "include", "Include"]),
    st.sampled_from(["=", " =", "= "]),
    st.sampled_from(["{}", "'{}'", '"{}"', "{} # said"]),
    st.sampled_from(
        [*(each for each in SECTIONS if each != "server"), "missing", "pc03", "10.0.0.5", "room"]
    ),
).map(lambda drawn: drawn[0] + drawn[1] + drawn[2].format(drawn[3]))
line = st.one_of(assignment, assignment, assignment, include, named, st.sampled_from(["", "# x=1", "  #"]))
header = st.tuples(
    st.sampled_from(["[{}]", "[{}]", " [{}]", "[ {} ]  # said", "[{}]#x"]), st.sampled_from(SECTIONS)
)
section = st.tuples(header, st.lists(line, max_size=4))


@st.composite
def files(draw: st.DrawFn) -> str:
    lines = draw(st.lists(line, max_size=3))
    for (form, name), body in draw(st.lists(section, min_size=1, max_size=6)):
        # What [server] includes, no client reads.
        kept = (each for each in body if name != "server" or not each.lower().startswith("include"))
        lines += [form.format(name), *kept]
    return "".join(f"{line}\n" for line in lines)


@settings(drawn(DRAWN), derandomize=ALWAYS_THE_SAME)
@given(files())
def test_any_file(peer: Ltsp, text: str) -> None:
    compare(peer, text.encode(), HOSTS)


# Statements that succeed: where the last one of a section fails, LTSP stops.
statement = st.sampled_from(
    [
        "A=$(echo $(($# + 1)))",
        "X_DRIVER=${X_DRIVER:-vesa}",
        "X_DRIVER=${X_DRIVER:+$X_DRIVER-}nvidia",
        "FSTAB_A=`echo $HOSTNAME`",
        "FSTAB_A=${FSTAB_A%d}$NOWHERE",
        'if [ "$HOSTNAME" = pc01 ]; then\n    X_DRIVER=a\nelse\n    FSTAB_1="$X_DRIVER b"\nfi',
        'if test -n "$FSTAB_1"; then\nINCLUDE=x-y\nFSTAB_1 = c\nfi',
        "case $IP_ADDRESS in\n10.*) SERVER=10.0.0.1 ;;\n*) SERVER=192.168.67.1; LANG=C.UTF-8 ;;\nesac",
        'for each in 1 2; do\n    eval "HOSTS_b=\\$each"\ndone',
        'while [ -z "$done" ]; do done=1; HOSTS_b=$HOSTS_b.; done',
        "section_b",
        'section_call "x-y"',
        'section_call "$HOSTNAME" b',
        'twice() { FSTAB_1=$1$1; }\ntwice "$X_DRIVER"',
        "test -e /nowhere || KERNEL_PARAMETERS='it'\\''s'",
        "true && MULTISEAT=1",
        "export TIMEZONE=UTC; TIMEZONE=$TIMEZONE+1",
        "unset FSTAB_A || true",
        'lower=$(echo "$HOSTNAME" | tr a-z A-Z)\nFSTAB_1="$lower"',
        "X_MODES=\"$(printf '%s\\n' a 'b c')\"",
        "HOSTS_b=$FSTAB_A; FSTAB_A=",
        "{ FSTAB_1=in; }",
        ": ${LANGUAGE:=de:en}",
        "LANGUAGE=$LANGUAGE:fr",
    ]
)
APPLETS = ["init/", "init/pc0?", "init/52:54:00:00:00:02", "initrd-bottom/", "init/10.0.0.*|c"]
coded = st.tuples(
    st.sampled_from([each for each in SECTIONS if each != "server"] + APPLETS),
    st.lists(st.one_of(statement, statement, assignment), min_size=1, max_size=4),
)


@settings(drawn(max(DRAWN // 3, 1)), derandomize=ALWAYS_THE_SAME)
@given(st.lists(statement, max_size=2), st.lists(coded, min_size=1, max_size=5))
def test_any_code(peer: Ltsp, first: list[str], sections: list[tuple[str, list[str]]]) -> None:
    lines = first + [line for name, body in sections for line in (f"[{name}]", *body)]
    text = "".join(f"{line}\n" for line in lines)
    if has_code(text.encode()):
        as_clients(peer, text.encode(), HOSTS)


# -- hooks


@pytest.mark.parametrize("applet", ["init", "initrd-bottom", "service"])
def test_hooks_run_in_the_same_order(peer: Ltsp, applet: str) -> None:
    ends = ("10", "9", "B", "A_2", "A1", "a", "_Z", "AB", "A", "X_INIT_A")
    names = [
        f"{when}_{part}_{end}"
        for end in ends
        for part in ("INIT", "INITRD_BOTTOM", "SERVICE")
        for when in ("POST", "PRE")
    ]
    lines = [f"{name}='X_MODES=\"$X_MODES {name}\"'" for name in names]
    # One of them is set by the host's section, after the others, and one is taken away there.
    text = "\n".join(["[clients]", *lines, "[pc01]", "PRE_INIT_B=", lines.pop(7), ""]).encode()
    machine = replace(PC01, applet=applet)
    (there,) = peer.ask(text, [replace(machine, kind="hooks")])
    (here,) = peer.run([(machine, program(text, machine))], "our-hooks")
    assert not there.stopped, there.said
    assert here.values["X_MODES"] == there.values["X_MODES"]
    ran = there.values["X_MODES"].split()
    part = applet.upper().replace("-", "_")
    own = {each for each in names if each.startswith((f"PRE_{part}_", f"POST_{part}_"))}
    assert set(ran) == own - {"PRE_INIT_B"}
    assert len(ran) == len(set(ran))
    moments = [each.partition("_")[0] for each in ran]
    assert moments == sorted(moments, reverse=True)


# -- the boot menu

IN_MENU = {"img": "DEFAULT_IMAGE", "cmdline_client": "KERNEL_PARAMETERS", "menu-timeout": "MENU_TIMEOUT"}
MENU = """\
DEFAULT_IMAGE=first
[server]
KERNEL_PARAMETERS="quiet splash"
INCLUDE=shared
[52:54:00:00:00:01]
DEFAULT_IMAGE=lab
MENU_TIMEOUT=-1
[52:54:00:00:00:02]
KERNEL_PARAMETERS="nomodeset  video=DP-1:1024x768"
INCLUDE=slow
[52:54:00:00:00:03]
HOSTNAME=pc03
X_DRIVER=vesa
[52:54:00:00:00:04]
INCLUDE=shared
[shared]
MENU_TIMEOUT=3000
[slow]
MENU_TIMEOUT=60000
"""


def test_the_boot_menu_of_each_client(peer: Ltsp) -> None:
    document = parse(MENU)
    (answer,) = peer.ask(MENU.encode(), [Machine("", "", "", "menu", "ipxe")])
    said = {}
    for block in answer.values["MENUS"].split(r"\n\n"):
        mac, *lines = block.lstrip(":").split(r"\n")
        words = (each.split(" ", 2) for each in lines if each.startswith("set "))
        said[mac] = {IN_MENU[name]: value for _, name, value in words if name in IN_MENU}
    assert len(said) == 2
    for mac in (f"52:54:00:00:00:0{number}" for number in range(1, 6)):
        # What a client's part of the menu doesn't say, the menu says for all.
        there = {name: said.get(mac, {}).get(name, answer.values.get(name)) for name in IN_MENU.values()}
        here = effective_menu(document, Host(mac))
        assert {name: here[name].text for name in there} == there, mac


# -- names

# Variables of LTSP's code that no ltsp.conf is meant to set.
NO_PARAMETERS = {
    "the syntax": "INCLUDE",
    "LTSP finds them out": "DEVICE GATEWAY IP MAC IP_ADDRESS MAC_ADDRESS PTTYPE TYPE PART_ENTRY_TYPE",
    "the initrd gives them": (
        "IPCONFIG_DNSDOMAIN IPCONFIG_HOSTNAME IPCONFIG_IPV4DNS0 IPCONFIG_IPV4DNS1 IPCONFIG_ROOTSERVER "
        "NBDCLIENT BLACKLIST_MODULES"
    ),
    "the shell, PAM and the caller give them": "HOME IFS PPID PAM_TYPE PAM_USER LTSP_DIR REGISTER",
    "they are in comments": "NFSROOT RWR_SILENCE VAR",
}


def test_parts_of_a_set_up_have_names_that_ltsp_has(peer: Ltsp) -> None:
    scripts = (peer.tree / "usr/share/ltsp/client").rglob("*.sh")
    functions = {name for each in scripts for name in re.findall(r"^(\w+)\(\)", each.read_text(), re.M)}
    theirs = {name for own, _, *names in parts() for name in names}
    assert len(theirs) > 10
    assert theirs <= functions


def test_every_parameter_of_ltsp_has_an_effect_or_a_reason(peer: Ltsp) -> None:
    found = parameters(peer.tree)
    other = {name for names in NO_PARAMETERS.values() for name in names.split()}
    assert len(found) > 100
    assert other - found == set()
    assert {name for name in found if not (find(name) or former(name) or is_unread(name))} == other
