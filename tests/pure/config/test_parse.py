"""The parser: it never raises, it reads quoting as the real busybox sh does, and it is quick."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.config.check import check
from ltspd.config.configuration import Config, load
from ltspd.config.document import Assignment, Code, Document, Host, Severity
from ltspd.config.evaluate import Index, effective
from ltspd.config.parse import SIZE_LIMIT, parse, parse_files
from ltspd.config.settings import quote, render_settings
from tests.patience import FAR_TOO_LONG, PATIENCE
from tests.worlds.examples import WHOLE, drawn
from tests.worlds.features import NEEDS_BUSYBOX

FILE = "/etc/ltsp/ltsp.conf"
SPITEFUL = r"""[ ] [clients] [server] [pc*] | A= HOSTNAME= INCLUDE= pc = " ' \ $ ${ } $A $( ) ` # ; ;; f() {
if - PATH= export 52:54:00:* DHCP_LINKS=eth0=real: 1 . / esac += é"""
BLANKS = ("\n", "\n", " ", "\t", "\r\n", "\0", "\udcff", "\ufeff", "[x]\n", "[server]\n", "[clients]\n")
pieces = st.sampled_from((*SPITEFUL.split(), *BLANKS))
junk = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=30).map("".join))


def errors(document: Document) -> list[str]:
    return [str(each) for each in document.mistakes if each.severity is Severity.ERROR]


def the_text(document: Document, name: str = "A") -> str | None:
    found = [each for section in document.sections for each in section.assignments if each.name == name]
    assert len(found) == 1
    return found[0].text


@drawn(600)
@given(junk)
def test_nothing_makes_it_raise(text: str) -> None:
    config = load({FILE: text})
    lines = text.count("\n") + 1
    assert all(1 <= each.line <= lines for each in config.findings)
    assert all(each.file == FILE and each.reason for each in config.findings)
    for host in (Host("52:54:00:00:00:01", "10.0.0.7", "pc"), Host(kind="server")):
        for name, value in effective(config.document, host).items():
            assert name.isascii()
            assert "\0" not in value.text
    assert b"\0" not in render_settings(config.document)


@drawn(400)
@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    config = load({FILE: data.decode("utf-8", "surrogateescape")})
    render_settings(config.document).decode()


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=30))
def test_a_quoted_value_is_read_as_it_was(value: str) -> None:
    document = parse(f"[clients]\nA={quote(value)} # comment\n")
    assert not document.mistakes
    assert the_text(document) == value


words = st.text("'\"\\$ab \t\n#;|&<>(){}*?~=!%é[]", max_size=14)


@NEEDS_BUSYBOX
@drawn(300)
@given(st.lists(words, min_size=1, max_size=8))
def test_what_it_accepts_means_the_same_to_the_shell(tmp_path: Path, values: list[str]) -> None:
    """Whatever we read without a mistake, a shell assigns the same text (unset names are empty to both)."""
    script, ours = "", []
    for value in values:
        source = f"A={value}\n"
        document = parse(source)
        # LTSP's one departure from the shell, blanks after the sign, is left to the golden cases.
        if document.mistakes or len(document.sections) != 1 or value[:1] in (" ", "\t"):
            continue
        entries = document.sections[0].entries
        if all(isinstance(each, Assignment) and each.name == "A" for each in entries):
            script += f'unset A\n{source}\nprintf "%s\\0" "$A"\n'
            ours.append(effective(document, Host())["A"].text)
    done = subprocess.run(
        [shutil.which("busybox") or "", "sh", "-c", script],
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": "/nonexistent"},
        timeout=PATIENCE,
    )
    assert done.stderr == b""
    assert done.stdout.decode().split("\0")[:-1] == ours


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("", ""),
        ("pc01", "pc01"),
        ("'a'\"b\"c", "abc"),
        ('"a\\"b"', 'a"b'),
        ('"a\\b"', "a\\b"),
        ("a\\\nb", "ab"),
        ("'a\\\nb'", "a\\\nb"),
        ("a#b", "a#b"),
        ("a #b", "a"),
        ("a; ", "a"),
    ],
)
def test_values(value: str, meaning: str) -> None:
    document = parse(f"A={value}\n")
    assert not document.mistakes
    assert the_text(document) == meaning


def test_findings_name_file_line_and_column() -> None:
    (mistake,) = parse('[clients]\n\n  HOSTNAME="a" reboot\n', FILE).mistakes
    assert (mistake.file, mistake.line, mistake.column) == (FILE, 3, 16)
    assert str(mistake).startswith(
        f"{FILE}:3:16: warning: there are more words after the value of HOSTNAME; put"
    )


def test_a_quote_that_closes_too_late_says_where_it_was_opened() -> None:
    document = parse('[clients]\nA="one\nB="two three"\nC=four\n')
    (error,) = map(str, document.mistakes)
    assert f"{FILE}:3:8: warning" in error
    assert "the value of A begins in line 2" in error
    assert the_text(document, "B") == "two three"


def test_too_large() -> None:
    document = parse("A=1\n" * (SIZE_LIMIT // 4 + 1))
    assert len(errors(document)) == 1
    assert "1 MiB" in errors(document)[0]
    assert document.sections[0].entries == ()


def test_one_mistake_for_a_run_of_words() -> None:
    assert len(parse("just words\nmore of them\n\nA=1\nother words\n").mistakes) == 2


BETWEEN = "--\n"
CODE = """\
if [ "$1" = x ]; then # it's a comment
    A=no
    case "$x" in
        a) A=no ;;
    esac
fi
--
f() {
    A=no
    for x in 1 2; do A=no; done
    echo "}"
}
--
function g {
    A=no
}
--
h()
{
    cat <<EOF
fi } A=no
A=no
EOF
    A=no
}
--
while read x; do
    A=no
done </etc/x
--
[ -f /etc/x ] && A=no
--
B="$(
A=no
)"
--
B="x ${C:-$(echo ')' "}")}
A=no"
--
A=no; echo x
--
A=no && echo x
--
export A
--
sed -i 's/A=no/x/' /etc/x
--
section_call "x"
--
/usr/local/bin/mine A=no
--
mine() { A=no; }
mine A=no
--
x="${x:-$y}"
"""


@pytest.mark.parametrize("code", CODE.split(BETWEEN))
def test_code_costs_only_itself(code: str) -> None:
    config = load({FILE: f"[clients]\nA=before\n{code}HOSTNAME=pc01\n"})
    assert config.ok
    assert {each.severity for each in config.findings if each.line > 2} == {Severity.INFO}
    values = effective(config.document, Host())
    assert {name: value.text for name, value in values.items()} == {"A": "before", "HOSTNAME": "pc01"}
    kept = [each for each in config.document.sections[1].entries if isinstance(each, Code)]
    assert "\n".join(each.text for each in kept) + "\n" == code
    assert kept[0].line == 3


@pytest.mark.parametrize(
    "line", ["A=no echo x", "A+=no", "A=a|b", "A=a&b=c", "A=(a b)", "it's", "just A=no", "A=no >x"]
)
def test_what_is_surely_a_mistake_is_left_out(line: str) -> None:
    config = load({FILE: f"[clients]\nA=before\n{line}\nHOSTNAME=pc01\n"})
    assert config.ok
    assert [each.severity for each in config.findings if each.line == 3] == [Severity.WARNING]
    assert {name: value.text for name, value in effective(config.document, Host()).items()} == {
        "A": "before",
        "HOSTNAME": "pc01",
    }


@pytest.mark.parametrize(
    "code",
    ["DHCP_LINKS=$(links)", "if x; then\n    REAL_DHCP=0\nfi", "TFTP=0 reboot", "test -f /x && HTTP_PORT=1"],
)
def test_code_that_sets_what_the_server_obeys_is_an_error(code: str) -> None:
    """Else the server would have to guess, and might answer on a network that it was kept from."""
    config = load({FILE: f"[server]\nBASE_DIR=/srv/ltsp\n{code}\n"})
    assert [each.line for each in config.errors] == [3]
    assert config.errors[0].step


def test_code_that_is_never_closed_is_an_error() -> None:
    (error,) = errors(parse("A=1\nif x; then\nA=2\n[server]\nA=3\n"))
    assert f"{FILE}:2:1: error: the code that begins here is never closed" in error


@pytest.mark.parametrize(
    ("lines", "name", "value", "said"),
    [
        ("FSTAB_x='a /b c'", "FSTAB_x", "a /b c", ""),
        ("CRONTAB_x='0 1 * * * root poweroff'", "CRONTAB_x", "0 1 * * * root poweroff", ""),
        ("REMOTEAPPS=xterm", "REMOTEAPPS", "xterm", ""),
        ("HOSTNAME=pc_01", "HOSTNAME", "pc_01", ""),
        ("export KERNEL_PARAMETERS=quiet", "KERNEL_PARAMETERS", "quiet", ""),
        ("DNS_SERVER=8.8.8.8,9.9.9.9", "DNS_SERVER", "8.8.8.8,9.9.9.9", ""),
        ("hostname=pc01\nHOSTNAME=pc02", "HOSTNAME", "pc02", "hostname is not a parameter name"),
        ("PATH=/x\nHOSTNAME=pc02", "HOSTNAME", "pc02", "their own programs obey it"),
        ("HOSTNAME=pc02\n[ma:ca:dd:re:ss:00]\nHOSTNAME=x", "HOSTNAME", "pc02", "can never match a MAC"),
        ("HOSTNAME=pc02\n[Computer Lab 1]\nHOSTNAME=x", "HOSTNAME", "pc02", "it is read as computerlab1"),
        ("HOSTNAME=pc02\n[192.168.67.20-192.168.67.30]\nHOSTNAME=x", "HOSTNAME", "pc02", "is a range"),
        ("HOSTNAME=pc02\nINCLUDE=nowhere", "HOSTNAME", "pc02", "there is no section [nowhere]"),
        ("HOSTNAME=pc02\nDEBUG_SHELL=yes", "HOSTNAME", "pc02", "is neither 0 nor 1"),
        ("HOSTNAME=\u201cpc 01\u201d\nHOSTNAME=pc02", "HOSTNAME", "pc02", "are typographic"),
        ("# caf\udce9\nHOSTNAME=pc02", "HOSTNAME", "pc02", "not UTF-8"),
    ],
)
def test_what_real_files_have_is_in_force(lines: str, name: str, value: str, said: str) -> None:
    config = load({FILE: f"[clients]\n{lines}\n"})
    assert config.ok, config.errors
    assert effective(config.document, Host())[name].text == value
    assert len(config.findings) == (1 if said else 0)
    assert all(said in each.message and each.line > 1 for each in config.findings)


def test_later_files_stand_below_the_first() -> None:
    document = parse_files({"a": "A=1\n[clients]\nB=1\n", "b": "A=2\n[clients]\nC=1\n"})
    values = effective(document, Host())
    assert {name: (each.text, each.file) for name, each in values.items()} == {
        "A": ("2", "b"),
        "C": ("1", "b"),
    }
    assert [str(each) for each in document.mistakes] == [
        "b:2: warning: [clients] is already in a:2, and this one replaces it as a whole; "
        "put all its lines under one header"
    ]


def test_no_file_is_an_empty_configuration() -> None:
    config = load({})
    assert config.ok
    assert config == Config(config.document, config.settings, ())
    assert effective(config.document, Host()) == {}


def big(lines: int) -> str:
    made = ["[clients]"]
    for number in range(lines // 4):
        made += [f"[52:54:00:00:{number >> 8:02x}:{number & 255:02x}]", f"HOSTNAME=pc{number}"]
        made += [f'FSTAB_{number}="$SERVER:/home /home nfs \'a\' \\" 0 0" # line', "INCLUDE=clients"]
    return "\n".join(made) + "\n"


def test_the_time_of_five_thousand_lines_is_bounded() -> None:
    text = big(5000)
    start = time.process_time()
    document = parse(text)
    check(document)
    assert time.process_time() - start < FAR_TOO_LONG
    assert not document.mistakes


@WHOLE
@pytest.mark.parametrize(
    "text",
    [
        "A=" * 100_000,
        "[" * 200_000,
        "A='\n" * 20_001,
        'A="$(\n' * 20_000,
        "if\n" * 100_000,
        "f() {\n" * 50_000,
        "A=1 " * 20_000,
        "".join(f"[a*a*a*a*a*a*a*a*a*a*{n}]\n" for n in range(500)),
        "".join(f"[s{n}]\nINCLUDE=s{n + 1}\n" for n in range(5000)),
    ],
    ids=["signs", "brackets", "quotes", "commands", "ifs", "functions", "assignments", "stars", "chain"],
)
def test_the_time_for_hostile_files_is_bounded(text: str) -> None:
    start = time.process_time()
    config = load({FILE: text})
    effective(config.document, Host(hostname="a" * 60))
    assert time.process_time() - start < FAR_TOO_LONG


def test_the_time_for_the_values_of_a_thousand_hosts_is_bounded() -> None:
    index = Index(parse(big(4000)))
    start = time.process_time()
    for number in range(1000):
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        assert effective(index, Host(mac, "10.0.0.1"))["HOSTNAME"].text == f"pc{number}"
    assert time.process_time() - start < FAR_TOO_LONG
