"""What in a source looks private: by who may read it, by its name, by its content. Pure.

Names of all files that hold secrets can't be listed, but programs protect what is theirs: others may not
read it. So of a server's own root what others may not read stays out of the image, unless a package ships
it just so, clients need it, or the administrator names it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from stat import S_IFDIR, S_IFREG

from ltspd.image.source.excludes import Matcher, compile_patterns

# What clients need although others may not read it, and where no program keeps a secret: who may do what,
# printers' drivers, packet filters, public keys, snaps. So is what the image has in another form: see clean,
# and logs.
# Found on desktops of Debian 12 and 13, by looking at what has such modes and is not as its package ships it.
NEEDED = tuple(
    """
    etc/passwd etc/shadow etc/group etc/gshadow etc/subuid etc/subgid etc/fstab etc/machine-id
    etc/sudoers etc/sudoers.d/* etc/doas.conf etc/security/access.conf etc/security/*.d/*.conf
    etc/polkit-1/rules.d/* etc/polkit-1/localauthority/* etc/polkit-1/localauthority.conf.d/*
    usr/local/share/polkit-1/rules.d/* usr/share/polkit-1/rules.d/* var/lib/polkit-1/*
    etc/cups/cupsd.conf etc/cups/cups-files.conf etc/cups/cups-browsed.conf etc/cups/client.conf
    etc/cups/lpoptions etc/cups/classes.conf etc/cups/ppd/*
    etc/ufw/*.rules etc/ufw/*.init etc/firewalld/* etc/nftables.conf etc/nftables.d/* etc/iptables/*
    etc/fuse.conf etc/at.allow etc/at.deny etc/cron.allow etc/cron.deny
    etc/epoptes/server.crt etc/veyon/keys/public/* etc/libvirt/nwfilter/* etc/libvirt/qemu/networks/*
    var/log/* boot/vmlinuz* boot/System.map-* usr/lib/modules/* lib/modules/* var/lib/snapd/snaps/*
    """.split()  # noqa: SIM905
)
# Caches and notes of a machine's own life: nobody misses them, so no note names them.
UNMISSED = tuple(
    """
    boot/efi/* boot/grub/* efi/* etc/lvm/archive/* etc/lvm/backup/* var/cache/* var/lib/ucf/*
    var/lib/logrotate/* var/lib/logrotate.status var/lib/NetworkManager/* var/lib/apt/* var/lib/fwupd/*
    var/lib/systemd/* var/lib/udisks2/* var/lib/upower/* var/lib/lightdm/* var/lib/gdm3/* var/lib/sddm/*
    var/lib/plasmalogin/* var/spool/anacron/*
    """.split()  # noqa: SIM905
)

# A private key file is small; nothing larger is looked into. A list of 30,000 accounts with hashes has 4 MB.
LOOK_BYTES = 64 << 10
LIST_BYTES = 4 << 20
KEY, HASH = "a private key", "password hashes"
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|openssh-key-v1|PuTTY-User-Key-File-")
# A hash after a name, as crypt(5) and htpasswd write them, and what GRUB has instead.
_HASH = re.compile(
    rb":!{0,2}\$(?:1|2[abxy]?|5|6|7|y|gy|md5|apr1|sha1|argon2\w+)\$[./\w$,=+-]{8}"
    rb"|grub\.pbkdf2\.sha[0-9]+\.[0-9]+\.[0-9A-Fa-f]{8}"
)
# Without one of these there is no need to search: that is ten times as fast.
_KEY_PARTS, _HASH_PARTS = (b"PRIVATE KEY", b"-key-v1", b"PuTTY-"), (b":$", b"!$", b"grub.pb")
# Names that keys and hashes usually have. This is asked for each of 300,000 names, so it has to be cheap.
_ENDS = frozenset((b".key", b".pem", b"_key", b".ppk", b".asc", b"_rsa", b"_dsa", b"5519"))
_NAMES = frozenset(
    (b"id_rsa", b"id_dsa", b"id_ecdsa", b"id_ed25519", b"identity", b"secring.gpg", b"grub.cfg")
)
# A whole file of these is a secret, whatever is in it.
_HOST_KEY = re.compile(rb"(?:.*/)?(?:ssh_host_\w+_key|dropbear_\w+_host_key)")


def worth_a_look(name: bytes, size: int) -> bool:
    """Return whether a regular file of this name (the last part of its path) may hold a key or hashes."""
    if name[-4:] in _ENDS or name[:3] == b"id_" or name in _NAMES:
        return 0 < size <= LOOK_BYTES
    return (b"shadow" in name or b"passwd" in name) and 0 < size <= LIST_BYTES


def secret_in(content: bytes) -> str:
    """Return what secret a file's content is, or an empty string."""
    if any(part in content for part in _KEY_PARTS) and _KEY.search(content):
        return KEY
    return HASH if any(part in content for part in _HASH_PARTS) and _HASH.search(content) else ""


def is_host_key(path: bytes) -> bool:
    """Return whether a file is by its name the private key that a machine proves its identity with."""
    return _HOST_KEY.fullmatch(path) is not None


def is_closed(mode: int) -> bool:
    """Return whether others may not read a file, or not both list and enter a directory."""
    if mode & 0o170000 == S_IFDIR:
        return mode & 0o005 != 0o005
    return mode & 0o170000 == S_IFREG and not mode & 0o004


def enter(first: Matcher, path: bytes) -> Matcher | None:
    """Return the matcher for what is in a directory, None if it or one above it fits a pattern."""
    matcher: Matcher | None = first
    for name in path.split(b"/") if path else ():
        matcher = matcher.enter(name) if matcher is not None else None
    return matcher


@dataclass(frozen=True, slots=True)
class Private:
    """Something that looks private: its path, why, and how many files there are.

    ``emptied`` is a directory that stays, with nothing in it.
    """

    path: bytes
    why: str = ""
    files: int = 1
    emptied: bool = False


def missed(found: Iterable[Private]) -> list[Private]:
    """Return what somebody may miss, or would not expect in an image."""
    first = compile_patterns(UNMISSED)
    return [each for each in found if enter(first, each.path + b"/x" * each.emptied) is not None]
