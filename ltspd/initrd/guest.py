"""The distribution's own initrd, with our client as a guest in it: found, checked, and extended.

Its init, drivers, splash and hooks run as on a local disk. Only to mount the root, it calls our scripts.
Everybody on the clients' network can read it, so an initrd with secrets is refused.
"""

import mmap
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from ltspd.errors import ToolFailed, UnsuitableInitrd
from ltspd.foreign.inside import path_inside
from ltspd.initrd import boot, cpio, kernel
from ltspd.paths import client_home
from ltspd.system import priority, threads
from ltspd.system.run import run

# Debian and Ubuntu; Fedora and its kin; openSUSE; systemd's own place.
_NAMES = (
    "boot/initrd.img-{}",
    "boot/initramfs-{}.img",
    "boot/initrd-{}",
    "usr/lib/modules/{}/initrd",
    "lib/modules/{}/initrd",
)
# Bytes of an initrd. One of a desktop, with graphics firmware, has some 100 MB.
MAX_BYTES = 512 << 20
# Bytes of an unpacked initrd, and of the files in it that are read.
MAX_PLAIN, MAX_LOOKED_AT = 2 << 30, 64 << 20
# The directory of our programs and modules, so that neither side overwrites files of the other.
HOME = "ltspd"
_PROGRAMS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"]\0\0": "xz",
    b"BZh": "bzip2",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x04\x22\x4d\x18": "lz4",
}
# Bytes of a file that is read for secrets: configuration is small.
_LOOKED_AT = 64 << 10
_SECRET = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|openssh-key-v1|:\$(?:y|gy|6|5|2[aby]|1|7)\$")
# dracut's directory of hooks; its place depends on the version. Newer initrds have no hook for the mount.
_HOOKS = re.compile(r"((?:usr/|var/)?lib/dracut/hooks)/[^/]+/.+")
# dracut's list of files that it took from the machine on which it ran.
_HOST_ONLY = re.compile(r"(?:usr/)?lib/dracut/hostonly-files")

# Whether no image may have a file at a path.
IsSensitive = Callable[[str], bool]


def find(root: Path, release: str) -> str:
    """Return the path of the initrd that the source has for a kernel; raises UnsuitableInitrd."""
    names = [each.format(release) for each in _NAMES]
    for name in names:
        if (path := path_inside(root, name)) is not None and path.is_file():
            return name
    raise UnsuitableInitrd(
        f"{root} has no initrd of its own for the kernel {release}: none of {', '.join(names)} is there. "
        "Make one there (update-initramfs -c or dracut), or build with --initrd own."
    )


async def check(root: Path, name: str, is_sensitive: IsSensitive) -> None:
    """Raise UnsuitableInitrd if a source's initrd can't be used."""
    members = await _members(f"{root}/{name}", await priority.to_thread(_read, root, name))
    judge(f"{root}/{name}", members, is_sensitive)


async def build(root: Path, release: str, name: str, is_sensitive: IsSensitive) -> bytes:
    """Return a source's initrd with our client added, but without identity.

    Raises UnsuitableInitrd, and what ``boot.build_boot_part`` raises.
    """
    data = await priority.to_thread(_read, root, name)
    members = await _members(f"{root}/{name}", data)
    hooks = judge(f"{root}/{name}", members, is_sensitive)
    ours = [each for each in await boot.build_entries(root, release) if not each.path.startswith("dev/")]
    entries = [*map(_moved, ours), *await priority.to_thread(_additions, hooks)]
    plain = await priority.to_thread(cpio.archive, entries)
    zstd = await priority.to_thread(kernel.takes_zstd, root, release)
    (packed,) = await boot.compress([plain], zstd=zstd)
    return cpio.aligned(data) + cpio.aligned(packed)


def judge(where: str, members: dict[str, bytes], is_sensitive: IsSensitive) -> str:
    """Return dracut's directory of hooks, or an empty string for initramfs-tools; raises UnsuitableInitrd.

    ``members`` are the files of the initrd ``where`` with the content of those that may hold secrets.
    """
    if any(map(_HOST_ONLY.fullmatch, members)):
        raise UnsuitableInitrd(
            f"{where} was made by dracut for one machine alone (host-only), as newer versions do by default: "
            "it waits for that machine's disks and lacks what others need. Make a general one there: "
            """echo 'hostonly="no"' >/etc/dracut.conf.d/ltspd.conf && dracut --force --regenerate-all; """
            "or build with --initrd own."
        )
    if secrets := sorted(
        path for path, content in members.items() if is_sensitive(path) or _SECRET.search(content)
    ):
        raise UnsuitableInitrd(
            f"{where} holds secrets, which everybody on the clients' network could read: "
            f"{', '.join(secrets[:5])}. Make one without them, or build with --initrd own."
        )
    if {"scripts/functions", "scripts/local", "init"} <= members.keys():
        return ""
    if found := next((match for path in members if (match := _HOOKS.fullmatch(path))), None):
        return found[1]
    raise UnsuitableInitrd(
        f"{where} was made neither by initramfs-tools nor by dracut, so nothing can be added to it. "
        "Build with --initrd own."
    )


def _read(root: Path, name: str) -> bytes:
    path = path_inside(root, name)
    if path is None or not 0 < path.stat().st_size <= MAX_BYTES:
        raise UnsuitableInitrd(f"{root}/{name} is empty or larger than {MAX_BYTES >> 20} MiB.")
    return path.read_bytes()


def _moved(entry: cpio.Entry) -> cpio.Entry:
    return cpio.Entry(f"{HOME}/{entry.path}", entry.mode, entry.data, entry.major, entry.minor)


def _additions(hooks: str) -> list[cpio.Entry]:
    """Return the files that make the distribution's init call our scripts."""
    home = client_home() / "guest"
    read = {each: (home / each).read_bytes() for each in boot.GUEST_HOOKS}
    if hooks:
        return [
            # An initrd that was made for one machine must not wait for that machine's disks.
            cpio.file("etc/cmdline.d/99-ltspd.conf", b"rd.hostonly=0\n"),
            cpio.file(f"{hooks}/cmdline/99-ltspd.sh", read["dracut-cmdline.sh"], 0o755),
            cpio.file(f"{hooks}/mount/10-ltspd.sh", read["dracut-mount.sh"], 0o755),
        ]
    return [
        cpio.file("conf/conf.d/ltspd", b"BOOT=ltspd\n"),
        cpio.file("scripts/ltspd", read["initramfs-tools.sh"]),
    ]


async def _members(where: str, data: bytes) -> dict[str, bytes]:
    """Return files and links of all archives in an initrd, with the content of small ones in etc and root."""
    found: dict[str, bytes] = {}
    at = 0
    try:
        while at < len(data):
            if data.startswith(b"07070", at):
                at = _collect(data, at, found)
            elif data[at : at + 4] == bytes(4):
                at += 4
            else:
                # In a distribution's initrd, a compressed archive is the last one.
                await _compressed(data[at:], found)
                break
    except (ValueError, ToolFailed) as error:
        why = error.message if isinstance(error, ToolFailed) else error
        raise UnsuitableInitrd(f"{where} can't be read: {why}. Make it anew.") from error
    return found


async def _compressed(data: bytes, found: dict[str, bytes]) -> None:
    program = next((program for magic, program in _PROGRAMS.items() if data.startswith(magic)), None)
    if program is None:
        raise ValueError("it is compressed in a way that nobody here knows")
    with tempfile.TemporaryDirectory(prefix="ltspd-initrd-") as scratch:
        packed, plain = Path(scratch, "packed"), Path(scratch, "plain")
        await threads.in_thread(packed.write_bytes, data)
        # The limit is for a hostile disk image, whose initrd may unpack without end.
        script = 'ulimit -f "$3"; exec "$0" -dc <"$1" >"$2"'
        await run(["sh", "-c", script, program, str(packed), str(plain), str(MAX_PLAIN // 512)])
        await priority.to_thread(_collect_all, plain, found)


def _collect_all(file: Path, found: dict[str, bytes]) -> None:
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        while data[at : at + 5] == b"07070":
            at = _collect(data, at, found)
            while data[at : at + 4] == bytes(4):
                at += 4


def _collect(data: bytes | mmap.mmap, at: int, found: dict[str, bytes]) -> int:
    members, end = cpio.read(data, at)
    looked_at = 0
    for each in members:
        if stat.S_ISDIR(each.mode):
            continue
        small = each.size <= _LOOKED_AT and each.path.startswith(("etc/", "root/", "cryptroot/"))
        looked_at += each.size if small else 0
        if looked_at > MAX_LOOKED_AT:
            raise ValueError(f"more than {MAX_LOOKED_AT >> 20} MiB of it are configuration")
        found[each.path] = data[each.at : each.at + each.size] if small else b""
    return end
