"""The table of all parameters: name or NAME_* pattern, kind, default, where it is read, whether it is secret.

A table and its lookups, nothing else: what a kind accepts is in kinds, what is done with a value elsewhere.
Pure.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Flag, auto
from functools import lru_cache
from types import MappingProxyType

from ltspd.config.kinds import Kind, problem


class Reader(Flag):
    """Who reads a parameter: the server from [server] and [common], a client from all but [server]."""

    SERVER = auto()
    CLIENT = auto()


SERVER, CLIENT, BOTH = Reader.SERVER, Reader.CLIENT, Reader.SERVER | Reader.CLIENT


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row. ``name`` may end in ``*``. ``supported`` is False for LTSP's that have no effect here yet."""

    name: str
    kind: Kind
    readers: Reader
    help: str
    default: str = ""
    secret: bool = False
    supported: bool = True


def _rows(
    text: str, kind: Kind, readers: Reader, about: str, supported: bool = False
) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, kind, readers, about, supported=supported) for name in text.split())


PARAMETERS: tuple[Parameter, ...] = (
    # What the server does.
    Parameter("DHCP_LINKS", Kind.LINKS, SERVER, "Role of links: name=off|proxy[:address]|real[:first-last]"),
    Parameter("REAL_DHCP", Kind.BOOL, SERVER, "Give addresses on links that we own", "1"),
    Parameter("PROXY_DHCP", Kind.BOOL, SERVER, "Answer beside another DHCP server", "1"),
    Parameter("DHCP_LEASE", Kind.LEASE, SERVER, "Lifetime of a lease: seconds, or with s, m, h, d", "8h"),
    Parameter("DHCP_ROUTER", Kind.ROUTERS, SERVER, "Routers that clients are told; none: no router"),
    Parameter("DNS", Kind.BOOL, BOTH, "Serve DNS on the links that we serve", "0", supported=False),
    Parameter("TFTP", Kind.BOOL, SERVER, "Serve TFTP", "1"),
    Parameter("NAT", Kind.BOOL, SERVER, "Let clients reach other networks through us", "0", supported=False),
    Parameter("HTTP_PORT", Kind.PORT, SERVER, "TCP port of the HTTP service for clients", "80"),
    Parameter("HTTP_CONNECTIONS", Kind.COUNT, SERVER, "HTTP connections that one address may have", "256"),
    Parameter("METRICS_PORT", Kind.PORT_OR_NONE, SERVER, "Port of metrics on 127.0.0.1; 0: none", "10819"),
    Parameter("ROUTER_ADVERTISEMENTS", Kind.BOOL, SERVER, "Answer IPv6 solicitations; iPXE waits", "1"),
    Parameter("AUTO_REBUILD", Kind.BOOL, SERVER, "Rebuild images when their source changed", "1"),
    Parameter("KEEP_GENERATIONS", Kind.COUNT, SERVER, "Generations to keep of each image", "3"),
    Parameter("KEEP_DAYS", Kind.DAYS, SERVER, "Days for which a generation stays at least", "0"),
    Parameter("KEEP_GRACE", Kind.GRACE, SERVER, "How long a replaced generation stays at least", "10m"),
    Parameter("TEST_IMAGE", Kind.BOOL, SERVER, "Boot each new generation in a virtual machine first", "0"),
    Parameter("TEST_MEMORY", Kind.MEBIBYTES, SERVER, "Memory of that machine", "2048"),
    Parameter("TEST_TIMEOUT", Kind.WAIT, SERVER, "How long it may take to its login", "10m"),
    Parameter("SERVE_ACCOUNTS", Kind.BOOL, SERVER, "Give clients the server's login accounts", "1"),
    Parameter("BASE_DIR", Kind.PATH, BOTH, "Directory of sources and images", "/srv/ltsp", supported=False),
    Parameter("TFTP_DIR", Kind.PATH, BOTH, "Root directory of TFTP", "/srv/tftp", supported=False),
    Parameter("HOME_DIR", Kind.PATH, BOTH, "Directory of the users' homes", "/home", supported=False),
    Parameter("IPXE_*", Kind.TEXT, SERVER, "Menu title of an image: IPXE_X86_64_IMG"),
    Parameter("ADD_IMAGE_EXCLUDES", Kind.TEXT, SERVER, "Paths to leave out of images, or a file with them"),
    Parameter("OMIT_IMAGE_EXCLUDES", Kind.TEXT, SERVER, "Default exclusions and private files to keep"),
    # What the boot menu does; LTSP reads these from [server] for all clients and from sections of one client.
    Parameter("DEFAULT_IMAGE", Kind.IMAGE, BOTH, "Image that the boot menu starts by itself"),
    Parameter("KERNEL_PARAMETERS", Kind.LINE, BOTH, "Words to add to the kernel's command line"),
    Parameter("MENU_TIMEOUT", Kind.MILLISECONDS, BOTH, "How long the menu waits, in ms; -1: no menu", "5000"),
    Parameter("ROOT_TRANSPORT", Kind.TRANSPORT, BOTH, "How the root comes to a client: nbd, nfs or http"),
    # What a client does.
    Parameter("HOSTNAME", Kind.HOSTNAME, CLIENT, "Host name; may contain %{IP} and %{MAC}", "ltsp%{IP}"),
    Parameter("DNS_SERVER", Kind.ADDRESSES, BOTH, "DNS servers for clients"),
    Parameter("SEARCH_DOMAIN", Kind.LINE, BOTH, "Search domain for clients"),
    Parameter("SERVER", Kind.LINE, BOTH, "Address that the name server stands for on clients"),
    Parameter("FSTAB_*", Kind.TEXT, CLIENT, "A line for a client's /etc/fstab"),
    Parameter("HOSTS_*", Kind.TEXT, CLIENT, "A line for a client's /etc/hosts"),
    Parameter("TIMEZONE", Kind.LINE, CLIENT, "Time zone, such as Europe/Athens", supported=False),
    Parameter("DEBUG_SHELL", Kind.BOOL, CLIENT, "Open a shell where the boot of a client fails", "0"),
    Parameter("DEBUG_LOG", Kind.BOOL, BOTH, "Keep a log of warnings on the client", "0", supported=False),
    Parameter("IMAGE_TO_RAM", Kind.BOOL, CLIENT, "Copy the image to memory", "0"),
    Parameter("LOCAL_SWAP", Kind.BOOL, CLIENT, "Use swap partitions of local disks", "1", supported=False),
    Parameter("AUTOLOGIN", Kind.LINE, CLIENT, "Account that is logged in by itself", supported=False),
    Parameter("RELOGIN", Kind.BOOL, CLIENT, "Log in again after a logout", "1", supported=False),
    Parameter("PASSWORDS_*", Kind.TEXT, CLIENT, "Passwords of accounts", secret=True, supported=False),
    Parameter("MULTISEAT", Kind.BOOL, CLIENT, "Make two seats of two graphics cards", "0", supported=False),
    Parameter("CUPS_SERVER", Kind.LINE, CLIENT, "Print server", "$SERVER", supported=False),
    *_rows("GDM3_CONF LIGHTDM_CONF SDDM_CONF SLICK_CONF", Kind.TEXT, CLIENT, "Display manager's settings"),
    *_rows(
        "DISABLE_SESSION_SERVICES DISABLE_SYSTEM_SERVICES KEEP_SESSION_SERVICES MASK_SESSION_SERVICES",
        Kind.TEXT,
        CLIENT,
        "Services to disable, keep or mask",
    ),
    Parameter("KEEP_SYSTEM_SERVICES", Kind.TEXT, CLIENT, "Services that clients keep although we stop them"),
    Parameter("MASK_SYSTEM_SERVICES", Kind.TEXT, CLIENT, "Services that clients never start"),
    *_rows("PWMERGE_SUR PWMERGE_SGR PWMERGE_DUR PWMERGE_DGR", Kind.TEXT, CLIENT, "Accounts to offer"),
    *_rows("X_*", Kind.TEXT, CLIENT, "Settings of xorg.conf"),
    *_rows("CRONTAB_*", Kind.TEXT, CLIENT, "A line of crontab"),
    *_rows("UDEV_SEAT_*", Kind.TEXT, CLIENT, "A udev rule of multiseat"),
    *_rows("LANG LANGUAGE", Kind.LINE, CLIENT, "Language of the client"),
    *_rows("NFS_HOME", Kind.BOOL, BOTH, "Homes by NFS"),
    *_rows(
        "BINARIES BACKUP CLEANUP IN_PLACE OVERWRITE NFS_TFTP HTTP HTTP_IMAGE HTTP_IMAGES RPI_IMAGE",
        Kind.TEXT,
        SERVER,
        "An option of LTSP's commands",
    ),
    *_rows("HTTP_TFTP HTTP_INDEX IONICE KERNEL_INITRD MKSQUASHFS_PARAMS REVERT", Kind.TEXT, SERVER, "Option"),
    *_rows(
        "HOSTNAME_PREFIX IGNORE_EPOPTES IMAGE LTSPDM_USERS OVERLAY PAM_AUTH_TYPE REMOTEAPPS "
        "SSH_OPTIONS SSH_SERVER",
        Kind.TEXT,
        CLIENT,
        "A setting of LTSP's client",
    ),
    *_rows("OMIT_FUNCTIONS PRE_* POST_*", Kind.TEXT, BOTH, "A hook into LTSP's scripts"),
)  # fmt: skip

EXACT = MappingProxyType({each.name: each for each in PARAMETERS if not each.name.endswith("*")})
PATTERNS = tuple(each for each in PARAMETERS if each.name.endswith("*"))

# Words that tell a secret by its name, also in parameters that nobody here has heard of.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASS|PWD|PASSWD|PASSWORDS?|PASSPHRASE|SSHPASS|SECRETS?|TOKENS?|HASH|API_?KEY|KEY|PSK|CREDENTIALS?)"
    r"(?:_|\Z)",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def find(name: str) -> Parameter | None:
    """Return the row of a parameter, or None if the table does not know it."""
    return EXACT.get(name) or next((each for each in PATTERNS if _fits(each, name)), None)


def _fits(pattern: Parameter, name: str) -> bool:
    stem = pattern.name[:-1]
    return name.startswith(stem) and len(name) > len(stem)


def default(name: str) -> str:
    """Return the default text of a parameter in the table; KeyError if there is no such row."""
    return EXACT[name].default


def readable(name: str, text: str) -> str:
    """Return a value if it is of its parameter's kind, else an empty string; the default counts then."""
    row = find(name)
    return "" if row and problem(row.kind, text) else text


def is_secret(name: str) -> bool:
    """Whether values of this name must stay on the server."""
    row = find(name)
    return bool((row and row.secret) or _SECRET_NAME.search(name))


def suggestion(name: str, known: Iterable[str] = tuple(EXACT)) -> str:
    """Return the known name that was probably meant, or an empty string."""
    close = difflib.get_close_matches(name, known, 1, 0.75)
    return close[0] if close else ""
