"""The server itself: host name, name servers, programs, abilities of its kernel. Reads files only."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

from ltspd.model.facts import BOOT, HomeDirectory, Program
from ltspd.model.menu import GRUB, SHIM, Authority, Loader
from ltspd.model.setup import Setup, SetupKind
from ltspd.names import is_resolver
from ltspd.observe import efi
from ltspd.paths import Paths

# The first names the server's name servers. The others are read if those are only the server itself.
RESOLVERS = (
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/NetworkManager/resolv.conf",
)
# Where distributions put the network boot programs, in order of preference (Debian: package ipxe).
_BOOT_PROGRAMS = {
    "ipxe.pxe": ("/usr/lib/ipxe/ipxe.pxe", "/usr/share/ipxe/ipxe.pxe"),
    "undionly.kpxe": ("/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe"),
    "snponly.efi": ("/usr/lib/ipxe/snponly.efi", "/usr/share/ipxe/ipxe-snponly-x86_64.efi"),
    "ipxe.efi": ("/usr/lib/ipxe/ipxe.efi", "/boot/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi"),
    # What firmware with Secure Boot takes: shim, and what that starts, from its own folder and by these names
    # (Debian: packages shim-signed and grub-efi-amd64-signed).
    "shimx64.efi": ("/usr/lib/shim/shimx64.efi.signed",),
    "mmx64.efi": ("/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"),
    "grubx64.efi": ("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",),
    # PXELINUX and its modules, which it takes from its own folder (packages pxelinux and syslinux-common).
    "pxelinux.0": ("/usr/lib/PXELINUX/pxelinux.0", "/usr/share/syslinux/pxelinux.0"),
    **{
        f"{name}.c32": (f"/usr/lib/syslinux/modules/bios/{name}.c32", f"/usr/share/syslinux/{name}.c32")
        for name in ("ldlinux", "libcom32", "libutil", "menu", "reboot")
    },
    # Package memtest86+; the names without x64 are of versions before 6.20.
    "memtest.bin": ("/boot/memtest86+x64.bin", "/boot/mt86+x64"),
    "memtest.efi": ("/boot/memtest86+x64.efi", "/boot/mt86+x64"),
    "snponly-ia32.efi": ("/usr/share/ipxe/ipxe-snponly-i386.efi",),
    "ipxe-ia32.efi": ("/usr/share/ipxe/ipxe-i386.efi",),
    "snponly-arm64.efi": ("/usr/share/ipxe/arm64-efi/snponly.efi",),
    "ipxe-arm64.efi": ("/usr/lib/ipxe/ipxe-arm64.efi", "/usr/share/ipxe/arm64-efi/ipxe.efi"),
    "snponly-arm32.efi": (),
    "ipxe-arm32.efi": (),
}
# The administrator's own ones, under the names above; they come first.
_OWN_PROGRAMS = "/usr/local/lib/ipxe"
# The option of iPXE's command "reboot", as it stands in the program: in that of Debian 13, not in that of 12.
_SETUP = "\0setup\0"
# Of a signed program, no more is read. Debian's GRUB has 4 MB.
MOST_BYTES = 32 << 20
# The file of exports(5) that ltspd itself writes.
OWN_EXPORTS = "ltspd.exports"
# What its package makes, and the most that a certificate has in bytes.
EPOPTES = "/etc/epoptes/server.crt"
_CERTIFICATE_MOST = 1 << 16


def lines(path: Path) -> list[str]:
    """Return the lines of a text file; none if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def resolver(paths: Paths) -> tuple[tuple[IPv4Address, ...], str]:
    """Return the name servers that clients could use too, and the search domains with spaces between.

    A loopback server (systemd-resolved's stub, a local cache) is of no use to clients, so then the servers
    that resolved or NetworkManager know are returned. If they know none, the useless ones are.
    """
    known: tuple[IPv4Address, ...] = ()
    first = ""
    for name in RESOLVERS:
        servers: list[IPv4Address] = []
        domains = ""
        for line in lines(paths.at(name)):
            match line.split():
                case ["nameserver", address, *_]:
                    try:
                        servers.append(IPv4Address(address))
                    except AddressValueError:
                        continue
                case ["search" | "domain", *names]:
                    domains = " ".join(names)
        known = known or tuple(servers)
        usable = tuple(each for each in servers if is_resolver(each) and not each.is_loopback)
        if usable:
            return usable, domains
        first = first or domains
    return known, first


def epoptes(paths: Paths) -> bytes:
    """Return the certificate by which clients know this server's Epoptes; empty if there is none.

    Clients get it without authentication, so it may hold nothing else.
    """
    try:
        with paths.at(EPOPTES).open("rb") as file:
            data = file.read(_CERTIFICATE_MOST + 1)
    except OSError:
        return b""
    fits = data.startswith(b"-----BEGIN CERTIFICATE-----") and b"PRIVATE" not in data
    return data if fits and len(data) <= _CERTIFICATE_MOST else b""


def programs(wanted: Iterable[Program]) -> frozenset[Program]:
    """Return which of these programs are installed, in a version that knows the option where one is named."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    places = ((each, shutil.which(each.name, path=path)) for each in wanted)
    return frozenset(each for each, place in places if place and (not each.knows or _has(place, each.knows)))


def _has(program: str, word: str) -> bool:
    """Return whether a word is in a program, in large or small letters; asked once for each version of it.

    sshd 10.0 has its options in small letters, and 10.6 as its manual writes them.
    """
    try:
        stat = os.stat(program)
        return _has_now(program, word, stat.st_mtime_ns, stat.st_ino)
    except OSError:
        return False


@lru_cache(maxsize=16)
def _has_now(program: str, word: str, _mtime: int, _inode: int) -> bool:
    return word.lower().encode() in Path(program).read_bytes().lower()


def boot_programs(paths: Paths) -> dict[str, str]:
    """Return where each network boot program was found."""
    found = {}
    for name, places in _BOOT_PROGRAMS.items():
        every = (f"{_OWN_PROGRAMS}/{name}", *places)
        if place := next((each for each in every if paths.at(each).is_file()), None):
            found[name] = place
    return found


def ipxe_enters_setup(paths: Paths, found: Mapping[str, str]) -> bool:
    """Return whether the iPXE that UEFI machines get knows an option for the firmware's setup."""
    program = next((found[name] for name in ("snponly.efi", "ipxe.efi") if name in found), "")
    return bool(program) and _has(str(paths.at(program)), _SETUP)


def loaders(paths: Paths, found: Mapping[str, str]) -> dict[str, Loader]:
    """Return what the signed ones of the boot programs found say of themselves, by their names."""
    return {name: _loader(paths.at(found[name])) for name in (SHIM, GRUB) if name in found}


def _loader(file: Path) -> Loader:
    try:
        stat = file.stat()
        return _loader_now(file, stat.st_mtime_ns, stat.st_ino)
    except OSError as error:
        return Loader(error=f"can't be read ({error.strerror})")
    except ValueError as error:
        return Loader(error=str(error))


@lru_cache(maxsize=16)
def _loader_now(file: Path, _mtime: int, _inode: int) -> Loader:
    with file.open("rb") as opened:
        return efi.read(opened.read(MOST_BYTES), frozenset(Authority))


def kernel_nfsd(paths: Paths) -> bool:
    """Return whether the running kernel can be an NFS server, built in or as a module."""
    if any(line.split()[-1:] == ["nfsd"] for line in lines(paths.at("/proc/filesystems"))):
        return True
    release = lines(paths.at("/proc/sys/kernel/osrelease"))
    if not release:
        return False
    modules = paths.at(f"/lib/modules/{release[0]}/modules.dep")
    return any("/nfsd.ko" in line.partition(":")[0] for line in lines(modules))


def homes(paths: Paths, directory: str) -> HomeDirectory | None:
    """Return the directory of people's homes by its real path; None if it is no directory."""
    place = paths.at(directory)
    if not place.is_dir():
        return None
    real = place.resolve()
    path = f"/{real.relative_to(paths.root.resolve())}"
    names = [paths.at("/etc/exports"), *sorted(paths.at("/etc/exports.d").glob("*.exports"))]
    exported = {
        line.split()[0].strip('"').rstrip("/")
        for name in names
        if name.name != OWN_EXPORTS
        for line in lines(name)
        if line.strip() and not line.lstrip().startswith("#")
    }
    return HomeDirectory(path, real.is_mount(), bool({path, directory} & exported))


def boot(paths: Paths) -> str:
    """Return what differs between this boot of the machine and all others; empty if nobody says."""
    return "".join(lines(paths.at("/proc/sys/kernel/random/boot_id"))[:1]).strip()


def exported(paths: Paths) -> tuple[frozenset[str], frozenset[str]]:
    """Return the networks of our own exports, and of the writable ones if they are of this boot."""
    found = lines(paths.at("/etc/exports.d") / OWN_EXPORTS)
    now = [boot(paths)] == [each.removeprefix(BOOT) for each in found if each.startswith(BOOT)]
    networks: dict[bool, set[str]] = {True: set(), False: set()}
    for line in found:
        for word in line.split()[1:] if line.startswith("/") else ():
            network, _, options = word.partition("(")
            with contextlib.suppress(ValueError):
                networks[options.startswith("rw,")].add(str(IPv4Network(network)))
    return frozenset(networks[False]), frozenset(networks[True] if now else ())


def in_container(paths: Paths) -> bool:
    """Return whether this is a container, where an ordinary NIC is one end of a veth pair."""
    return paths.at("/run/systemd/container").exists()


def setup(paths: Paths) -> Setup | None:
    """Return the set-up of the server's cards that is recorded."""
    try:
        found = json.loads((paths.state / "setup.json").read_bytes())
        words = {name: str(found.get(name, "")) for name in ("lan", "wan")}
        return Setup(
            SetupKind(found["kind"]), dns=bool(found["dns"]), confirmed=bool(found["confirmed"]), **words
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def hostname() -> str:
    """Return the server's own name."""
    return socket.gethostname()
