"""What stays out of an image, and the pattern language for it (LTSP's ``image.excludes``). Pure.

The language is that of ``mksquashfs -wildcards -ef``: one shell pattern a line, ``/`` separates
components, ``*`` and ``?`` match no leading dot, ``!(…)`` and its kin as in ksh, a leading ``... ``
means "at any depth". The scan uses this module, mksquashfs gets the same lines, so both agree.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Content that no client needs. The administrator may replace the list with /etc/ltsp/image.excludes
# and change it with ADD_IMAGE_EXCLUDES and OMIT_IMAGE_EXCLUDES. Directories themselves stay.
_EMPTIED = """
    cdrom dev home lost+found media mnt proc root run srv sys tmp var/tmp var/backups var/crash var/mail
    var/lib/apt/lists var/lib/lightdm var/lib/docker var/lib/containerd var/lib/containers/storage
    var/lib/libvirt/images var/lib/lxc var/lib/lxd var/cache/ltspd var/cache/man var/spool/cups
    var/spool/squid var/spool/squid3 var/cache/squid-deb-proxy var/cache/apt-xapian-index
""".split()  # noqa: SIM905
DEFAULT = (
    *(f"{directory}/{each}" for directory in _EMPTIED for each in ("*", ".*")),
    "etc/.!(java)",
    "opt/ltsp*",
    "swapfile",
    "swap.img",
    "var/swap",
    # The boot files travel beside the layers; the distribution's initrd may also hold disk keys.
    "boot/initrd.img*",
    "boot/initrd-*",
    "boot/initramfs*",
    "boot/vmlinuz*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/apt/archives/partial/*",
    "var/cache/lightdm/dmrc/*",
    "var/log/*/*",
    "var/log/*.[0-9]",
    "var/log/*.gz",
    "var/log/*.xz",
    "var/log/*.old",
    "etc/systemd/resolved.conf.d/ltsp.conf",
)

# Secrets and the server's identity. No setting takes these in, because everybody on the clients' network
# can fetch an image. Sources: LTSP's list and its issue 778, systemd's and packages' manuals.
_ACCOUNT_FILES = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
_SENSITIVE_DIRECTORIES = """
    etc/ssl/private etc/NetworkManager/system-connections etc/netplan etc/wireguard etc/ipsec.d/private
    etc/swanctl/private etc/swanctl/rsa etc/swanctl/ecdsa etc/cryptsetup-keys.d etc/dropbear
    etc/letsencrypt etc/apt/auth.conf.d etc/ltsp etc/iwd etc/credstore etc/credstore.encrypted
    etc/krb5kdc etc/ldap/slapd.d etc/openvpn/server etc/openvpn/client etc/salt/pki root var/backups
    var/spool/cron/crontabs var/spool/cron/atjobs var/lib/mysql var/lib/postgresql var/lib/ldap
    var/lib/krb5kdc var/lib/samba/private var/lib/sudo var/lib/systemd/linger var/lib/bluetooth
    var/lib/iwd var/lib/sss/db var/lib/sss/secrets var/lib/extrausers var/lib/ltspd var/lib/puppet/ssl
    var/lib/snapd/device/private-keys-v1 var/lib/AccountsService/users var/lib/fprint var/lib/private
""".split()  # noqa: SIM905
SENSITIVE = (
    *(f"etc/{name}[-+~.]*" for name in _ACCOUNT_FILES),
    *(f"{directory}/{each}" for directory in _SENSITIVE_DIRECTORIES for each in ("*", ".*")),
    "etc/security/opasswd*",
    "etc/ssh/ssh_host_*",
    "etc/*.keytab",
    "etc/*.secret",
    "etc/ipsec.secrets",
    "etc/crypttab",
    "etc/epoptes/server.key",
    "etc/mysql/debian.cnf",
    "etc/wpa_supplicant/*.conf",
    "etc/ppp/*-secrets",
    "etc/apt/auth.conf",
    "etc/bind/rndc.key",
    "etc/munge/munge.key",
    "etc/exim4/passwd.client",
    "etc/postfix/sasl_passwd*",
    "etc/cups/printers.conf*",
    "etc/udev/rules.d/??-persistent-*.rules",
    "var/cache/debconf/passwords.dat*",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/random-seed",
    "var/lib/urandom/random-seed",
    "var/lib/NetworkManager/secret_key",
    "var/lib/NetworkManager/*.lease",
    "var/lib/dhcp/*",
    "var/lib/dbus/machine-id",
)

_COPY = "it may hold copies of whole systems, or of what people wrote"
# Where programs keep snapshots, backups and systems in directories: they have old hashes and keys in them,
# and are no part of the system. A note gives the reason if something is left out. Like DEFAULT, each line
# can be taken out with OMIT_IMAGE_EXCLUDES. Sources: the programs' manuals and Debian's packages of them.
COPIES = {
    f"{directory}/{each}": _COPY
    for directory in """
        .snapshots */.snapshots */*/.snapshots @* snapshots .zfs .btrfs
        timeshift timeshift-btrfs btrbk_snapshots
        backup backups var/backup var/cache/rsnapshot var/cache/pbuilder var/cache/sbuild var/cache/cowbuilder
        var/lib/timeshift var/lib/backuppc var/lib/amanda var/lib/bareos var/lib/bacula var/lib/borgbackup
        var/lib/schroot/chroots var/lib/schroot/mount var/lib/schroot/union var/lib/schroot/unpack
        var/lib/sbuild
        var/lib/machines var/lib/portables var/lib/incus var/lib/waydroid var/lib/vz var/lib/podman
        var/lib/kubelet var/lib/rancher var/snap/lxd var/snap/docker opt/containerd
    """.split()  # noqa: SIM905
    for each in ("*", ".*")
}

_LEADING = re.compile(r"\A(?:\.{0,2}/+)+")
# What is left of a pattern below a directory, and the line that it comes from.
Parts = tuple[tuple[re.Pattern[bytes], ...], str]


@dataclass(frozen=True, slots=True)
class Matcher:
    """Patterns still in play in one directory. ``anywhere`` ones begin anew at every depth.

    The lines that have excluded something are put into ``used``, which all matchers of a walk share.
    """

    active: tuple[Parts, ...]
    anywhere: tuple[Parts, ...]
    used: set[str] = field(default_factory=set)

    def enter(self, name: bytes) -> "Matcher | None":
        """Return the matcher for the entry ``name`` of this directory, or None if it is excluded."""
        if not self.active and not self.anywhere:
            return self
        below: list[Parts] = []
        excluded = False
        for parts, line in (*self.active, *self.anywhere):
            if parts[0].fullmatch(name):
                if len(parts) == 1:
                    excluded = True
                    self.used.add(line)
                below.append((parts[1:], line))
        return None if excluded else Matcher(tuple(below), self.anywhere, self.used)


def compile_patterns(patterns: Iterable[str]) -> Matcher:
    """Return the matcher for a source's root directory. Bytes that are not UTF-8 match as they are."""
    active: list[Parts] = []
    anywhere: list[Parts] = []
    for pattern in patterns:
        sticky = pattern.startswith("... ")
        words = [each for each in (pattern[4:] if sticky else pattern).split("/") if each not in ("", ".")]
        if words:
            parts = tuple(re.compile(_component(word.encode("utf-8", "surrogateescape"))) for word in words)
            (anywhere if sticky else active).append((parts, pattern))
    return Matcher(tuple(active), tuple(anywhere))


def effective(
    listed: str | None, add: Iterable[str], omit: Iterable[str], found: Iterable[str] = COPIES
) -> tuple[str, ...]:
    """Return the patterns to use: ``listed`` is the text of image.excludes, None if there is none.

    ``found`` are those of COPIES, and others that this source needs. As in LTSP, omitted lines must be equal
    to the line in the list. The sensitive ones always stay.
    """
    dropped = set(_lines("\n".join(omit)))
    chosen = [each for each in (*_listed(listed), *found) if each not in dropped]
    return tuple(dict.fromkeys((*chosen, *_lines("\n".join(add)), *SENSITIVE)))


def own(patterns: Iterable[str], found: Iterable[str] = COPIES) -> tuple[str, ...]:
    """Return the patterns of ``effective`` that the administrator wrote, and that are not built in."""
    built_in = {*DEFAULT, *SENSITIVE, *found}
    return tuple(each for each in patterns if each not in built_in)


def unknown(listed: str | None, omit: Iterable[str], found: Iterable[str] = COPIES) -> tuple[str, ...]:
    """Return the lines to omit that are in no list."""
    known = {*_listed(listed), *SENSITIVE, *found}
    return tuple(each for each in _lines("\n".join(omit)) if each not in known)


def never(omit: Iterable[str]) -> tuple[str, ...]:
    """Return the lines to omit that stay all the same, because they are secrets."""
    return tuple(each for each in _lines("\n".join(omit)) if each in SENSITIVE)


def _listed(listed: str | None) -> tuple[str, ...]:
    return DEFAULT if listed is None else tuple(_lines(listed))


def literal(path: bytes) -> str:
    """Return a pattern that matches exactly this path, whatever bytes are in it.

    A line break can't stand in a list of lines, so it becomes the class of everything but all other
    bytes (needs the C locale, in which every byte is a character).
    """
    out = bytearray()
    for byte in path:
        char = bytes([byte])
        if char.isalnum() or char in b"/_-.,+:@%=" or byte >= 128:
            out += char
        elif byte == 0x0A:
            out += b"[!\x01-\x09\x0b-\xff]"
        elif char.isspace():
            # As a class it is not at an end of the line, where spaces are stripped.
            out += b"[" + char + b"]"
        else:
            out += b"\\" + char
    return out.decode("utf-8", "surrogateescape")


def _lines(text: str) -> list[str]:
    """Return the lines that are patterns. mksquashfs ends with an error at a leading ``/`` or ``./``."""
    lines = (line.strip() for line in text.split("\n"))
    return [_LEADING.sub("", line) for line in lines if _LEADING.sub("", line) and not line.startswith("#")]


def _component(text: bytes) -> bytes:
    """Translate one component of a shell pattern into a regular expression."""
    # Leading wildcards match no dot (FNM_PERIOD); a literal dot is written in the pattern.
    guard = b"(?s:(?!\\.)" if text[:1] in b"*?[!@+" and text[:1] else b"(?s:"
    return guard + _translate(text) + b")"


def _translate(text: bytes) -> bytes:
    out = b""
    index = 0
    while index < len(text):
        char = text[index : index + 1]
        if char in b"?*+@!" and text[index + 1 : index + 2] == b"(":
            end = _closing(text, index + 1)
            if end > 0:
                body = b"|".join(_translate(each) for each in _alternatives(text[index + 2 : end]))
                if char == b"!":
                    rest = _translate(text[end + 1 :])
                    return out + b"(?!(?:" + body + b")" + rest + b"\\Z).*" + rest
                out += b"(?:" + body + b")" + {b"@": b"", b"?": b"?", b"*": b"*", b"+": b"+"}[char]
                index = end + 1
                continue
        if char == b"[" and (end := _bracket(text, index)) > 0:
            body = text[index + 1 : end]
            negated = body[:1] in (b"!", b"^")
            inner = re.sub(rb"([\\\[&~|])", rb"\\\1", body[1:] if negated else body)
            inner = inner.replace(b"^", b"\\^")
            if inner.startswith(b"]"):
                inner = b"\\" + inner
            out += b"[" + (b"^" if negated else b"") + inner + b"]"
            index = end + 1
            continue
        if char == b"\\" and index + 1 < len(text):
            index += 1
            char = re.escape(text[index : index + 1])
        elif char == b"*":
            char = b".*"
        elif char == b"?":
            char = b"."
        else:
            char = re.escape(char)
        out += char
        index += 1
    return out


def _bracket(text: bytes, start: int) -> int:
    """Return where the class that begins at ``start`` ends; a ``]`` right after it is a member."""
    first = start + (2 if text[start + 1 : start + 2] in (b"!", b"^") else 1)
    return text.find(b"]", first + 1)


def _closing(text: bytes, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += {0x28: 1, 0x29: -1}.get(text[index], 0)
        if depth == 0:
            return index
    return -1


def _alternatives(body: bytes) -> list[bytes]:
    out, depth = [b""], 0
    for byte in body:
        depth += {0x28: 1, 0x29: -1}.get(byte, 0)
        if byte == 0x7C and depth == 0:
            out.append(b"")
        else:
            out[-1] += bytes([byte])
    return out
