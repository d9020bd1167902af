"""The mounts in a system's own fstab. Pure; a hostile file costs only time."""

import posixpath
import re
from dataclasses import dataclass

# Bytes of the file that are read; no fstab is larger.
MAX_BYTES = 64 << 10
MAX_MOUNTS = 64
_OCTAL = re.compile(r"\\([0-7]{3})")
# File systems that are not on the disk, or that clients don't need: people's files, other machines, boot
# programs of this disk. They are the same as for a running server.
_ELSEWHERE = frozenset(
    [
        *("proc", "sysfs", "tmpfs", "ramfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "configfs"),
        *("efivarfs", "debugfs", "tracefs", "securityfs", "autofs", "swap", "none", "overlay", "aufs"),
        *("nfs", "nfs4", "cifs", "smb3", "sshfs", "fuse", "fuse.sshfs", "davfs", "ceph", "glusterfs", "9p"),
        *("virtiofs", "vboxsf", "iso9660", "udf"),
    ]
)
LEFT_OUT = ("/home", "/srv", "/media", "/mnt", "/run", "/tmp", "/proc", "/sys", "/dev", "/boot/efi", "/efi")
# Without these a system is not one, whatever its fstab says about failures.
_NEEDED = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line: ``spec`` as written (``UUID=…``, ``/dev/sda2``), ``point`` absolute and normal.

    A system without a mount that is not ``optional`` is incomplete. With ``bind`` the spec is a directory.
    """

    spec: str
    point: str
    kind: str
    subvolume: str = ""
    optional: bool = False
    bind: bool = False


def read_fstab(content: bytes) -> tuple[Mount, ...]:
    """Return the mounts in the order in which to make them, without lines that can't be understood."""
    found: dict[str, Mount] = {}
    for line in content[:MAX_BYTES].decode("utf-8", "replace").splitlines():
        fields = [_OCTAL.sub(lambda match: chr(int(match[1], 8)), each) for each in line.split()]
        if len(fields) < 3 or fields[0].startswith("#") or "\0" in line:
            continue
        spec, point, kind = fields[:3]
        options = fields[3].split(",") if len(fields) > 3 else []
        if not point.startswith("/") or kind in _ELSEWHERE - {"none"}:
            continue
        bind = "bind" in options or "rbind" in options
        if kind == "none" and not bind:
            continue
        point = posixpath.normpath("/" + point.lstrip("/"))
        found[point] = Mount(spec, point, kind, _subvolume(options), _is_optional(point, options), bind)
    ordered = sorted(
        found.values(), key=lambda each: (each.point.count("/") if each.point != "/" else 0, each.point)
    )
    return tuple(ordered[:MAX_MOUNTS])


def of_the_system(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Return the mounts that belong in an image, without ``/``."""
    return tuple(
        each
        for each in mounts
        if each.point != "/" and not any((each.point + "/").startswith(left + "/") for left in LEFT_OUT)
    )


def _subvolume(options: list[str]) -> str:
    for option in options:
        key, _, value = option.partition("=")
        if key in ("subvol", "subvolid") and value:
            return f"{key}={value}"
    return ""


def _is_optional(point: str, options: list[str]) -> bool:
    if any((point + "/").startswith(needed + "/") for needed in _NEEDED):
        return False
    return bool({"nofail", "noauto"} & set(options))


_DEVICE = re.compile(
    r"/dev/((?:sd|vd|hd|xvd)[a-z]{1,3})(\d{1,3})|/dev/((?:nvme\d+n|mmcblk|loop|nbd)\d+)p(\d{1,3})"
)
# udev's names of a partition by the disk's hardware or port: the name of the disk, and the number.
_HARDWARE = re.compile(r"(?:/dev/disk/(by-(?:id|path|diskseq))/|ID=\"?)([^\s\"]+)-part(\d{1,3})\"?")
_MAPPED = "/dev/disk/by-id/dm-"


def device_partition(spec: str) -> tuple[str, int] | None:
    """Return the disk and the partition number in a name that the kernel or udev gives.

    ``/dev/nvme0n1p2`` is ``("nvme0n1", 2)``, ``/dev/disk/by-id/ata-X-part2`` is ``("by-id/ata-X", 2)``.
    """
    if (match := _DEVICE.fullmatch(spec)) is not None:
        return (match[1], int(match[2])) if match[1] else (match[3], int(match[4]))
    if (match := _HARDWARE.fullmatch(spec)) is not None and not spec.startswith(_MAPPED):
        return f"{match[1] or 'by-id'}/{match[2]}", int(match[3])
    return None


def tag(spec: str) -> tuple[str, str] | None:
    """Return the kind of name that a spec is, and the name: ``UUID="1-2"`` is ``("UUID", "1-2")``.

    ``LVM`` is the identity of an LVM volume: its group's and its own together, without dashes.
    """
    key, equals, value = spec.partition("=")
    if equals and key in ("UUID", "LABEL", "PARTUUID", "PARTLABEL"):
        return key, value.strip("\"'")
    match = re.fullmatch(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)", spec)
    if (
        match is None
        and (match := re.fullmatch(r"(?:/dev/disk/by-id/|ID=)dm-uuid-(LVM)-(\w{64})", spec)) is None
    ):
        return None
    return match[1].upper(), _unescape(match[2])


def _unescape(name: str) -> str:
    """Undo udev's escaping of names below /dev/disk."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), name)


def logical_volume(spec: str) -> tuple[str, str] | None:
    """Return group and volume of ``/dev/GROUP/VOLUME`` or ``/dev/mapper/GROUP-VOLUME``, else None.

    udev's name for the latter is ``/dev/disk/by-id/dm-name-GROUP-VOLUME``.
    """
    if mapped := re.fullmatch(r"(?:/dev/mapper/|/dev/disk/by-id/dm-name-|ID=dm-name-)(.+)", spec):
        # Dashes within names are doubled there; a single one separates the names.
        match = re.fullmatch(r"((?:[^-]|--)+)-((?:[^-]|--)+)", _unescape(mapped[1]))
        return (match[1].replace("--", "-"), match[2].replace("--", "-")) if match else None
    match = re.fullmatch(r"/dev/([^/]+)/([^/]+)", spec)
    return (match[1], match[2]) if match else None
