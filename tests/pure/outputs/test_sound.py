"""Whatever stands in Desired, each file that comes out has the lines and words it should have, no other."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients import table
from ltspd.clients.documents import accounts_text
from ltspd.menu.ipxe import Scripts
from ltspd.model.account import Account, Group
from ltspd.model.desired import AddOn, Desired, Homes, Store
from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer
from ltspd.model.menu import CURRENT, Entry, Menu, MenuChoice, Offer, RootTransport
from ltspd.model.network import DhcpRole, Network, Reservation, ServedLink
from ltspd.model.output import Output
from ltspd.names import is_one_line
from ltspd.outputs import menu_ipxe, outputs
from ltspd.outputs.world import World, sound
from tests.worlds.examples import drawn
from tests.worlds.planning import conf, programs, world

MAC, ADDRESS = "52:54:00:00:00:01", IPv4Address("10.0.0.7")
EMPTY = world(conf(), Facts())
GOLDEN = Path(__file__).parent / "golden"
SPITEFUL = [
    "\n", "\r", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\ud800", "é", " ", "'", '"', "\\", "#", "#x",
    "||", "&&", ";", "${srv}", "$", "{", "}", "*", "?", "=", ",", "/", "..", "[x]", "(rw)", "reboot",
    "goto failed", "tag:x", "-x", "--gap", "x86_64", "Path", "é",
]  # fmt: skip
hostile = st.lists(st.sampled_from(SPITEFUL), max_size=5).map("".join) | st.text(max_size=10)
# As Python reads bytes that are no UTF-8.
read = hostile.map(lambda text: text.replace("\ud800", "\udcff"))
names = st.one_of(hostile, st.sampled_from(["x86_64", "trixie", "eth0", "br-lan", "5e" * 32]))


@st.composite
def generations(draw: st.DrawFn) -> Generation:
    digests = draw(st.lists(st.one_of(hostile, st.just("5e" * 32)), max_size=2))
    return Generation(
        id=draw(names), image=draw(names), created=0.0, source=draw(hostile), architecture=draw(hostile),
        kernel=draw(hostile), layers=tuple(Layer(each, 1) for each in digests), source_bytes=0,
        source_files=0, kernel_bytes=0, initrd_bytes=0, packages_digest="", directory=draw(hostile),
        summary=draw(hostile),
    )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = draw(st.lists(generations(), max_size=3))

    def choice() -> MenuChoice:
        transport = draw(st.sampled_from(RootTransport))
        return MenuChoice(draw(names), transport, draw(hostile), draw(st.none() | st.integers(0, 9)))

    keys, channels = st.sampled_from(["mac", "ip", "hostname"]), st.just(CURRENT) | names
    served = tuple(
        ServedLink(draw(names), IPv4Interface(f"10.0.{n}.1/24"), role, first, first, True)
        for n, role in enumerate(draw(st.lists(st.sampled_from([DhcpRole.REAL, DhcpRole.PROXY]), max_size=3)))
        for first in [IPv4Address(f"10.0.{n}.9") if role is DhcpRole.REAL else None]
    )
    entries = tuple(
        Entry(each.image, each.id, each.kernel, draw(st.booleans()), draw(channels), draw(hostile))
        for each in made
    )
    menu = Menu(
        Offer(entries, RootTransport.NFS),
        choice(),
        tuple((draw(keys), draw(names), choice()) for _ in range(draw(st.integers(0, 2)))),
    )
    paths = st.builds("/home/{}".format, hostile) | st.just("/home")
    direct = tuple(f"/srv/ltsp/{name}" for name in draw(st.lists(names, max_size=2)))
    images = tuple(Image(draw(names), (each,), each.id) for each in made)
    server = draw(st.sampled_from(["dnsmasq", "kea", "isc"]))
    return replace(
        EMPTY,
        settings=conf(f"[server]\nDHCP_SERVER={server}\n").settings,
        desired=Desired(
            Network(
                served,
                (IPv4Address("9.9.9.9"),),
                draw(hostile),
                reservations=tuple(
                    Reservation(draw(st.just(MAC) | hostile), draw(st.none() | st.just(ADDRESS)), draw(names))
                    for _ in range(draw(st.integers(0, 1)))
                ),
                denied=draw(st.just(()) | st.tuples(st.just("52:54:00:*") | hostile)),
                allowed=draw(st.just(()) | st.tuples(st.just(MAC) | hostile)),
            ),
            menu,
            Store("/srv/ltsp/images", images, direct),
            AddOn(),
            homes=draw(st.none() | st.builds(Homes, paths, st.just("/home"), st.just(2050), st.booleans())),
        ),
        kernel_nfsd=draw(st.booleans()),
        programs=programs("dnsmasq", "kea-dhcp4", "dhcpd", "exportfs", "ganesha.nfsd", "radvd", "nbd-server"),
        boot_programs={draw(names): draw(hostile)},
    )


def with_menu(here: World, menu: Menu) -> World:
    return replace(here, desired=replace(here.desired, menu=menu))


def texts(made: tuple[Output, ...]) -> dict[str, str]:
    return {
        file.path: file.data.decode()
        for each in made
        for file in each.files
        if each.name not in ("boot-files", "documents")
    }


def _keys_of_golden_files() -> frozenset[str]:
    files = [file for name in DNSMASQ for file in GOLDEN.glob(f"*/expected/**/{name}")]
    lines = (line for file in files for line in file.read_text().splitlines())
    return frozenset(line.partition("=")[0] for line in lines if not line.startswith("#"))


DNSMASQ = ("dnsmasq.conf", "proxy-dhcp.conf", "tftp.conf")
KEYS = _keys_of_golden_files()
EXPORT = (
    r"EXPORT \{\n    Export_Id = \d+;\n    Path = \"(?P<path>/(srv/ltsp|home)(/[\w.:-]+)?)\";\n"
    r"    Pseudo = \"(?P=path)\";\n( +[\w{}., /=;]+\n)+\}\n"
)
ROUTER = r"(interface [\w.-]+ \{\n(    \w+ \w+;\n)+\};\n)*"
NBD = (
    r"\[generic\]\n(\[[0-9a-f]{64}\]\n    exportname = /srv/ltsp/images/[\w.:/-]+\n"
    r"    readonly = true\n    multifile = false\n)*"
)
LOGIN = (
    r"(# [^\n]+\n)((ListenAddress 10\.0\.\d\.\d+:\d+\n)*)"
    r"((AllowUsers \*@10\.0\.\d\.0/24\n)*)(( {4})?[A-Z#][\w#.,; /%-]+\n)+"
)
DHCPD = (
    r"(host machine-[0-9a-f]{12} \{ hardware ethernet [0-9a-f:]{17};( fixed-address [\d.]+;)?"
    r"( option host-name \"[\w.-]+\";)? \}\n|class \"refused\" \{ match if [^;{}]+; ignore booting; \}\n"
    r"|# [^\n]+\n|(?!host|class)[\w ,.:;=(){}\"/-]+\n)*"
)
KERNEL_EXPORTS = r"(/(srv/ltsp/[\w.:-]+|home(/[\w.-]+)?)( 10\.0\.\d\.0/24\([\w,=]+\))+\n)*"


def _check(path: str, text: str) -> None:
    control = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    assert control is None, (path, control)
    name = path.rpartition("/")[2]
    if name in DNSMASQ:
        for line in text.splitlines():
            key, _, value = line.partition("=")
            assert line.startswith("# ") or (key in KEYS and re.fullmatch(r'[\w.,:/"!* -]*', value)), line
    elif name == "gateway.json":
        for url, file in table.load(text.encode()).files.items():
            assert re.fullmatch(r"/ltsp/[\w.:/-]+", url)
            assert ".." not in url.split("/")
            assert "images" not in url or file.startswith("/srv/ltsp/images/")
    elif name == "listener.json":
        assert all(re.fullmatch(r"[\w.-]+", each) for each in json.loads(text)["links"])
    elif name in ("ganesha.conf", "homes.conf"):
        exports = text[text.index("EXPORT {") :]
        assert re.fullmatch(f"({EXPORT})+", exports), exports
    elif name == "kea-dhcp4.conf":
        # Texts can't leave their place in JSON; here they must not leave it in Kea's own expressions, either.
        assert all(re.fullmatch(r"[\w .,:/()\[\]='-]*", each) for each in _strings(json.loads(text))), text
    elif name != "ltsp.ipxe":
        kinds = {
            "ltspd.exports": KERNEL_EXPORTS,
            "radvd.conf": ROUTER,
            "nbd-server.conf": NBD,
            "sshd_config": LOGIN,
            "dhcpd.conf": DHCPD,
        }
        assert re.fullmatch(kinds[name], text), (path, text)


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            yield from (text for each in value for text in _strings(each))
        case dict():
            yield from _strings([*value, *value.values()])


def commands(script: str) -> list[list[str]]:
    """Return each line as iPXE takes it apart: the commands' first words, and what stands between them.

    iPXE looks for ``||``, ``&&`` and ``#`` among the words of a line before it fills in settings, and joins
    a line that ends in a backslash with the next one.
    """
    found = []
    for line in script.replace("\\\n", "").splitlines():
        taken, fresh = list[str](), True
        for word in line.split():
            if word.startswith("#") and not word.startswith("#!"):
                taken.append("#")
                break
            if word in ("||", "&&") or fresh:
                taken.append(word)
            fresh = word in ("||", "&&")
        found.append(taken)
    return found


def _harmless(menu: Menu) -> Menu:
    """Return a menu with other texts in the same places."""

    def choice(given: MenuChoice) -> MenuChoice:
        text = given.kernel_parameters.replace("\t", " ")
        return replace(given, kernel_parameters="x" if is_one_line(text) and text.strip() else "")

    return replace(
        menu,
        default=choice(menu.default),
        hosts=tuple((key, value, choice(each)) for key, value, each in menu.hosts),
        offer=replace(
            menu.offer, entries=tuple(replace(each, kernel="x", title="x") for each in menu.offer.entries)
        ),
    )


@drawn(400)
@given(worlds())
def test_no_value_becomes_a_line_or_a_command(here: World) -> None:
    for path, text in texts(outputs(here)).items():
        _check(path, text)


@drawn(400)
@given(worlds())
def test_no_text_adds_a_command_to_the_menu(here: World) -> None:
    (script,) = (text for path, text in texts(outputs(here)).items() if "ipxe" in path)
    assert script.startswith("#!ipxe\n")
    fit = sound(here)
    harmless = _harmless(fit.desired.menu)
    (plain,) = texts((menu_ipxe.render(with_menu(fit, harmless)),)).values()
    assert commands(script) == commands(plain)
    # The gateway makes its scripts of the same offer.
    scripts = [Scripts(each.offer, 80).script(each.default) for each in (fit.desired.menu, harmless)]
    assert commands(scripts[0]) == commands(scripts[1])


@pytest.mark.parametrize("path", ["/srv/ltsp/\n/x", "/srv/ltsp/../x", "/srv/ltsp//x", "/etc/x", "x", "x\n/y"])
@pytest.mark.parametrize("kernel", [False, True])
def test_only_chroots_of_the_base_directory_are_exported(path: str, kernel: bool) -> None:
    good = "/srv/ltsp/bookworm"
    network = Network((ServedLink("eth0", IPv4Interface("10.0.0.1/24"), DhcpRole.PROXY),))
    desired = replace(EMPTY.desired, network=network)
    here = replace(EMPTY, kernel_nfsd=kernel, programs=programs("exportfs", "ganesha.nfsd"))

    def written(*direct: str) -> dict[str, str]:
        store = replace(desired.store, direct=direct)
        return texts(outputs(replace(here, desired=replace(desired, store=store))))

    assert written(good, path) == written(good) != written()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("quiet splash", "quiet splash"),
        ("a  b\tc ", "a b c"),
        ("a || reboot", "a ${nothing}|| reboot"),
        ("a && b ||", "a ${nothing}&& b ${nothing}||"),
        ("#a b#c", "${nothing}#a b#c"),
        ("path=C:\\", "path=C:\\${nothing}"),
        ("systemd.run='x y'", "systemd.run='x y'"),
        ("ip=${net0/ip}", "ip=${net0/ip}"),
        ("a\nreboot", ""),
    ],
)
def test_kernel_parameters_as_ipxe_reads_them(text: str, written: str) -> None:
    choice = MenuChoice("", RootTransport.NFS, text, None)
    offer = Offer((Entry("a", "g", "6.1"),), RootTransport.NFS)
    lines = texts(outputs(with_menu(EMPTY, Menu(offer, choice))))["/srv/tftp/ltsp/ltsp.ipxe"].splitlines()
    assert (f"set parameters {written}" in lines) if written else ("clear parameters ||" in lines)


def test_titles_are_not_filled_in_by_ipxe() -> None:
    offer = Offer((Entry("a", "g", "6.1", title="Costs ${srv} || 5$"),), RootTransport.NFS)
    menu = Menu(offer, MenuChoice("a", RootTransport.NFS, "", None))
    text = texts(outputs(with_menu(EMPTY, menu)))["/srv/tftp/ltsp/ltsp.ipxe"]
    assert "item image_a Costs {srv} ${nothing}|| 5$\n" in text


@drawn(200)
@given(read, read, read)
def test_no_account_adds_a_line(name: str, gecos: str, home: str) -> None:
    accounts = (Account(name, 1000, 1000, gecos, home, "/bin/sh"),)
    lines = accounts_text(accounts, (Group(name, 1000, (gecos,)),)).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) <= 2
    assert {(line.partition(b":")[0], line.count(b":")) for line in lines} <= {(b"passwd", 7), (b"group", 4)}
