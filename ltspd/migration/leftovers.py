"""What an earlier LTSP left on this server, found by name, and files of other servers that disturb ours.

Changes nothing: ``ltspd.migration.takeover`` moves the files aside and back.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ltspd.image.source.find import architecture_name
from ltspd.migration import foreign_dhcp
from ltspd.model.facts import Leftover
from ltspd.model.state import Problem
from ltspd.paths import Paths

# Added to the name of a file that is moved aside, so that no program reads it: dnsmasq(8) skips names that
# end in "~", exportfs(8) reads only *.exports, nbd-server(5) only *.conf.
ASIDE = ".before-ltspd~"
# The directories and names (None: any) of files that can be moved aside.
DIRECTORIES: Mapping[str, frozenset[str] | None] = {
    "/etc/dnsmasq.d": frozenset({"ltsp-dnsmasq.conf", "ltsp-server-dnsmasq.conf", "ltsp.conf"}),
    "/etc/exports.d": frozenset({"ltsp-nfs.exports"}),
    "/etc/nbd-server/conf.d": None,
}
# The boot files that both LTSP and ltspd write, and what only ours hold in their first bytes.
_BOOT_FILES = {"ltsp.ipxe": b"# Written by ltspd", "ltsp.img": b"ltsp/settings"}
_HEAD = 4096

_MOVE = "run 'ltspctl setup', which moves it aside"
_REMOVE = "remove it when you like"


def _units(name: str) -> tuple[str, ...]:
    units = (f"{each}/{name}.service" for each in ("/usr/lib/systemd/system", "/lib/systemd/system"))
    return (*units, f"/etc/init.d/{name}")


_ALWAYS = ("/",)
_DNSMASQ = _units("dnsmasq")
_IDLE = "has no effect"
_ABSENT = "configures {} that is not there"
_ANSWERS = "makes dnsmasq.service answer DHCP and TFTP in ltspd's place"


class _Rule(NamedTuple):
    """The effect of files by a name pattern: ``effect`` while one of ``because`` exists, else ``idle``."""

    pattern: str
    because: tuple[str, ...]
    effect: str
    step: str = _MOVE
    idle: str = ""
    idle_step: str = _REMOVE


# Files of other DHCP servers, and the words in them that name boot files.
_OTHERS = (
    ("/etc/dhcp/dhcpd.conf", "isc-dhcp-server", "'next-server', 'filename' and 'root-path'"),
    ("/etc/kea/kea-dhcp4.conf", "kea-dhcp4-server", "'next-server' and 'boot-file-name'"),
    ("/etc/dnsmasq.conf", "dnsmasq", "'dhcp-boot' and 'pxe-service'"),
    ("/etc/dnsmasq.d/*", "dnsmasq", "'dhcp-boot' and 'pxe-service'"),
)

_RULES = (
    _Rule(
        "/usr/share/ltsp/ltsp",
        _ALWAYS,
        "is LTSP itself, whose commands write the same files as ltspd",
        "run 'apt remove ltsp'; settings and images stay",
    ),
    _Rule("/etc/dnsmasq.d/ltsp-dnsmasq.conf", _DNSMASQ, _ANSWERS, idle=_ABSENT.format("a dnsmasq")),
    _Rule(
        "/etc/dnsmasq.d/ltsp-server-dnsmasq.conf",
        _DNSMASQ,
        _ANSWERS,
        idle=_ABSENT.format("a dnsmasq"),
    ),
    _Rule(
        "/etc/dnsmasq.d/ltsp.conf",
        _DNSMASQ,
        f"{_ANSWERS}; it is no file of LTSP's, but FOG's instructions have one of this name",
        "if nothing needs it, remove it and run 'systemctl restart dnsmasq'; else let only one of the two "
        "answer on a network, see DHCP_LINKS in 'man ltsp.conf'",
        _ABSENT.format("a dnsmasq"),
    ),
    _Rule(
        "/etc/exports.d/ltsp-nfs.exports",
        ("/usr/sbin/exportfs", "/sbin/exportfs"),
        "lets everybody on the network read all of the chroots, password hashes included",
        idle=_ABSENT.format("an NFS server"),
    ),
    _Rule(
        "/etc/nbd-server/conf.d/ltsp*.conf", _ALWAYS, "makes nbd-server.service hold ltspd's port 10809/tcp"
    ),
    _Rule(
        "/etc/ltsp/dhcpd.conf",
        _units("isc-dhcp-server"),
        "may be included by isc-dhcp-server, which then sends clients to LTSP5's boot files",
        "take 'next-server', 'filename' and 'root-path' out of it, then 'systemctl restart isc-dhcp-server'",
        _ABSENT.format("an isc-dhcp-server"),
    ),
    _Rule(
        "/var/lib/tftpboot/ltsp",
        _units("tftpd-hpa"),
        "is served by tftpd-hpa, which holds ltspd's port 69/udp",
        "run 'systemctl disable --now tftpd-hpa'",
        "holds LTSP5's kernels and boot files, which have no effect",
    ),
    _Rule(
        "/var/lib/tftpboot/ltsp/*/lts.conf",
        (),
        "",
        idle=_IDLE,
        idle_step="write what you still need into /etc/ltsp/ltsp.conf",
    ),
    _Rule(
        "/etc/ltsp/update-kernels.conf",
        (),
        "",
        idle=_IDLE,
        idle_step="write its kernel parameters into KERNEL_PARAMETERS= of /etc/ltsp/ltsp.conf",
    ),
    *(
        _Rule(f"/etc/ltsp/{name}", (), "", idle=_IDLE, idle_step="see 'man ltsp.conf' for what has")
        for name in ("bin", "client", "common", "server", "passwd", "group")
    ),
    _Rule("/opt/ltsp/images/*.img", (), "", idle="is an image of LTSP5, and has no effect"),
)


def look(paths: Paths) -> tuple[Leftover, ...]:
    """Return all leftovers, harmful ones first."""
    found = [*_by_rules(paths), *_boot_files(paths), *_images(paths), *_other_servers(paths)]
    return tuple(sorted(found, key=lambda each: (not each.harms, each.path)))


def problems(found: tuple[Leftover, ...]) -> tuple[Problem, ...]:
    """Return a problem for each leftover that does harm."""
    return tuple(Problem(each.path, f"{each.effect}; {each.step}.") for each in found if each.harms)


def aside(paths: Paths) -> tuple[str, ...]:
    """Return the original names of the files that were moved aside."""
    places = [paths.at(each) for each in DIRECTORIES] + [paths.tftp_dir]
    kept = (each for place in places for each in place.glob(f"*{ASIDE}"))
    return tuple(sorted(_absolute(paths, each).removesuffix(ASIDE) for each in kept))


def is_ours(place: Path) -> bool:
    """Return whether ltspd wrote a boot file."""
    try:
        with place.open("rb") as file:
            return _BOOT_FILES[place.name] in file.read(_HEAD)
    except (OSError, KeyError):
        return False


def _absolute(paths: Paths, place: Path) -> str:
    return "/" + str(place.relative_to(paths.root))


def _by_rules(paths: Paths) -> Iterator[Leftover]:
    for rule in _RULES:
        for place in sorted(paths.root.glob(rule.pattern.lstrip("/"))):
            path = _absolute(paths, place)
            own = _own_lines(place) if rule.effect is _ANSWERS else ""
            if any(paths.at(each).exists() for each in rule.because):
                yield Leftover(path, rule.effect + own, rule.step, True, rule.step == _MOVE)
            else:
                yield Leftover(path, rule.idle + own, rule.idle_step, False, False)


def _own_lines(place: Path) -> str:
    lines = foreign_dhcp.own_lines(place)
    if not lines:
        return ""
    return (
        f"; LTSP did not write {foreign_dhcp.repeat(place, lines)}: copy what you still need of that into a "
        "file of your own, as it ends with this one"
    )


def _other_servers(paths: Paths) -> Iterator[Leftover]:
    """Yield files that send machines to other boot files; the administrator must change them."""
    told = {rule.pattern for rule in _RULES}
    for pattern, server, words in _OTHERS:
        if not any(paths.at(each).exists() for each in _units(server)):
            continue
        for place in sorted(paths.root.glob(pattern.lstrip("/"))):
            path = _absolute(paths, place)
            # dnsmasq(8) reads no such names.
            if path in told or path.endswith("~") or place.name.startswith((".", "#")):
                continue
            if lines := foreign_dhcp.boot_lines(place, server):
                yield Leftover(
                    path,
                    f"sends machines that {server} answers to boot files that are not ltspd's, by "
                    f"{foreign_dhcp.repeat(place, lines)}",
                    f"if they are to boot from here, take {words} out of it, "
                    f"then 'systemctl restart {server}'",
                    False,
                    False,
                )


def _boot_files(paths: Paths) -> Iterator[Leftover]:
    """Yield LTSP's boot files in the place of ours, and the kernels beside them."""
    for name in _BOOT_FILES:
        place = paths.tftp_dir / name
        if place.is_file() and not is_ours(place):
            effect = "is LTSP's, and clients get it in place of ltspd's"
            yield Leftover(_absolute(paths, place), effect, _MOVE, True, True)
    for place in sorted(paths.tftp_dir.glob("*/vmlinuz")):
        effect = "holds the kernel of an LTSP image, and has no effect"
        yield Leftover(_absolute(paths, place.parent), effect, _REMOVE, False, False)


def _images(paths: Paths) -> Iterator[Leftover]:
    """Yield LTSP's images and LTSP5's chroots, from which generations can be built."""
    for place in sorted(paths.images.glob("*.img")):
        name = place.stem
        sources = (paths.base_dir / name, paths.base_dir / f"{name}.img")
        step = f"once 'ltspctl image build {name}' has made ltspd's own, remove it"
        if name != architecture_name() and not any(each.exists() for each in sources):
            target = _absolute(paths, paths.base_dir / place.name)
            step = f"its source is gone: 'mv {_absolute(paths, place)} {target}' makes it one"
        yield Leftover(_absolute(paths, place), "is an image of LTSP, and has no effect", step, False, False)
    for place in sorted(paths.at("/opt/ltsp").glob("*/etc")):
        root = _absolute(paths, place.parent)
        step = f"'mv {root} {_absolute(paths, paths.base_dir)}/' makes it a source"
        yield Leftover(root, "is a chroot of LTSP5, and has no effect there", step, False, False)
