"""Small trees of distributions that clients' images are made of: the files that features and builds look at.

Debian's are those of its real packages. Ubuntu's and Fedora's were read in what their packages are made from,
and in what people show of their machines; what was not seen is not here. A tree begins without the packages
that a person may have left out, so that a test can say what is missed without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.worlds.image_trees import elf, write

LINK = "-> "
# What a test calls a file that is only there.
THERE = "there\n"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A tree by paths, in which "-> TARGET" is a link, and files of packages by their names."""

    name: str
    files: Mapping[str, str]
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def grow(self, root: Path, *packages: str) -> Path:
        """Make the tree with some of its packages, or all of them ("*"), and return it."""
        names = tuple(self.packages) if packages == ("*",) else packages
        write(root, "usr/lib/systemd/systemd", elf(), 0o755)
        for path, text in self.files.items():
            _put(root, path, text)
        for path in (path for name in names for path in self.packages[name]):
            _put(root, path.partition(LINK)[0].strip(), path[path.index(LINK) :] if LINK in path else THERE)
        return root


def _put(root: Path, path: str, text: str) -> None:
    if text.startswith(LINK):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(text.removeprefix(LINK))
    else:
        write(root, path, text, 0o755 if "bin/" in path or path.endswith("/Xorg") else 0o644)


def _manager(unit: str, name: str = "") -> str:
    """Return a display manager's link, as a path of a package."""
    return f"etc/systemd/system/display-manager.service {LINK}/{unit}/{name}.service"


ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nlocal:x:1000:1000::/home/local:/bin/bash\n",
    "etc/group": "root:x:0:\nlocal:x:1000:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nlocal:*:19000:0:99999:7:::\n",
}
# pam-auth-update writes these.
DEBIAN_AUTH = """\
auth [success=1 default=ignore] pam_unix.so nullok
auth requisite pam_deny.so
auth required pam_permit.so
"""
DEBIAN_PASSWORD = """\
password [success=1 default=ignore] pam_unix.so obscure yescrypt
password requisite pam_deny.so
password required pam_permit.so
"""
DEBIAN_SESSION = """\
session [default=1] pam_permit.so
session requisite pam_deny.so
session required pam_permit.so
session optional pam_umask.so
session required pam_unix.so
"""


def _debian(release: str, auth: str = DEBIAN_AUTH, **more: str) -> dict[str, str]:
    return {
        **ACCOUNTS,
        "etc/os-release": f"{LINK}../usr/lib/os-release",
        "usr/lib/os-release": release,
        "lib": f"{LINK}usr/lib",
        "etc/pam.d/common-auth": auth,
        "etc/pam.d/common-password": DEBIAN_PASSWORD,
        "etc/pam.d/common-session": f"{DEBIAN_SESSION}session optional pam_systemd.so\n",
        "etc/pam.d/common-session-noninteractive": DEBIAN_SESSION,
        "etc/login.defs": "LOGIN_TIMEOUT\t\t60\nUID_MIN 1000\nUID_MAX 60000\n",
        "etc/default/locale": "LANG=C.UTF-8\n",
        "usr/lib/locale/C.utf8/LC_CTYPE": THERE,
        **more,
    }


CHRONY = ("etc/chrony/chrony.conf", "etc/chrony/sources.d/README", "usr/sbin/chronyd")
DEBIAN_PACKAGES = {
    "chrony": CHRONY,
    "openssh-client": ("usr/bin/ssh", "usr/bin/ssh-keygen"),
    "sshfs": ("usr/bin/sshfs",),
    "cron": ("usr/sbin/cron",),
    "xauth": ("usr/bin/xauth",),
    "xserver-xorg": ("usr/lib/xorg/Xorg", "usr/bin/Xorg", "usr/lib/xorg/modules/drivers/modesetting_drv.so"),
    "cups-client": ("usr/lib/x86_64-linux-gnu/libcups.so.2",),
    "tzdata": ("usr/share/zoneinfo/Europe/Berlin",),
    "locales": ("usr/lib/locale/de_DE.utf8/LC_CTYPE",),
    "lightdm": (
        "etc/lightdm/lightdm.conf",
        "usr/lib/systemd/system/lightdm.service",
        _manager("lib/systemd/system", "lightdm"),
    ),
}
GDM3 = (
    "etc/gdm3/daemon.conf",
    "usr/lib/systemd/system/gdm.service",
    f"usr/lib/systemd/system/gdm3.service {LINK}gdm.service",
    _manager("usr/lib/systemd/system", "gdm3"),
)
TIMESYNCD = ("etc/systemd/timesyncd.conf",)
CHROMIUM, FIREFOX = ("usr/bin/chromium",), ("usr/bin/firefox",)
LEGACY = ("usr/share/zoneinfo/US/Pacific",)

BOOKWORM = Distribution(
    "debian-12",
    _debian('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'),
    {
        **DEBIAN_PACKAGES,
        "tzdata": (*DEBIAN_PACKAGES["tzdata"], *LEGACY),
        "systemd-timesyncd": TIMESYNCD,
        "chromium": CHROMIUM,
    },
)
TRIXIE = Distribution(
    "debian-13",
    _debian('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n'),
    {
        **DEBIAN_PACKAGES,
        "tzdata-legacy": LEGACY,
        "systemd-timesyncd": TIMESYNCD,
        "chromium": CHROMIUM,
    },
)
# Debian's testing release has no number.
FORKY = Distribution(
    "debian-testing",
    _debian("ID=debian\nVERSION_CODENAME=forky\n"),
    {**TRIXIE.packages},
)
# Ubuntu's package firefox is this: the browser is a snap.
SNAP = """\
#!/bin/sh

if ! [ -x /snap/bin/firefox ]; then
    echo "Command '$0' requires the firefox snap to be installed." >&2
    exit 1
fi
exec /snap/bin/firefox "$@"
"""
UBUNTU_PACKAGES = {
    **{name: files for name, files in DEBIAN_PACKAGES.items() if name != "lightdm"},
    "gdm3": GDM3,
    "tzdata-legacy": LEGACY,
}
NOBLE = Distribution(
    "ubuntu-24.04",
    _debian(
        'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n',
        **{"usr/bin/firefox": SNAP},
    ),
    {**UBUNTU_PACKAGES, "systemd-timesyncd": TIMESYNCD},
)
# authd is asked before all others, sssd after them; chrony is there in place of timesyncd.
AUTHD = """\
auth required pam_faillock.so preauth
auth [success=4 ignore=ignore default=die] pam_authd_exec.so /usr/libexec/authd-pam
auth [success=3 default=ignore] pam_unix.so nullok try_first_pass
auth [success=2 default=ignore] pam_sss.so use_first_pass
auth [default=die] pam_faillock.so authfail
auth requisite pam_deny.so
auth required pam_permit.so
"""
RESOLUTE = Distribution(
    "ubuntu-26.04",
    _debian(
        'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="26.04"\nVERSION_CODENAME=resolute\n',
        AUTHD,
        **{"usr/bin/firefox": SNAP, "usr/bin/sudo": f"{LINK}/etc/alternatives/sudo"},
    ),
    UBUNTU_PACKAGES,
)
# authselect writes these; this is its profile "local", which has nothing else in it.
FEDORA_AUTH = """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        sufficient                                   pam_unix.so nullok
auth        required                                     pam_deny.so

account     required                                     pam_unix.so

password    requisite                                    pam_pwquality.so
password    sufficient                                   pam_unix.so yescrypt shadow nullok use_authtok
password    required                                     pam_deny.so

session     optional                                     pam_keyinit.so revoke
session     required                                     pam_limits.so
-session    optional                                     pam_systemd.so
session     [success=1 default=ignore]                   pam_succeed_if.so service in crond quiet use_uid
session     required                                     pam_unix.so
"""
FEDORA = Distribution(
    "fedora",
    {
        **ACCOUNTS,
        "etc/os-release": f"{LINK}../usr/lib/os-release",
        "usr/lib/os-release": "ID=fedora\nVERSION_ID=44\n",
        "usr/bin/rpm": THERE,
        "usr/lib/systemd/system/sshd.service": "[Service]\nExecStart=/usr/sbin/sshd -D $OPTIONS\n",
        "etc/pam.d/system-auth": f"{LINK}/etc/authselect/system-auth",
        "etc/pam.d/password-auth": f"{LINK}/etc/authselect/password-auth",
        "etc/authselect/system-auth": FEDORA_AUTH,
        "etc/authselect/password-auth": FEDORA_AUTH,
        "etc/nsswitch.conf": "passwd:     files systemd\ngroup:      files systemd\n",
        "etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        "usr/lib/locale/C.utf8/LC_CTYPE": THERE,
    },
    {
        "openssh-clients": ("usr/bin/ssh", "usr/bin/ssh-keygen"),
        "fuse-sshfs": ("usr/bin/sshfs",),
        "cronie": ("usr/sbin/crond",),
        "xorg-x11-xauth": ("usr/bin/xauth",),
        "xorg-x11-server-Xorg": (
            "usr/bin/Xorg",
            "usr/libexec/Xorg",
            "usr/lib64/xorg/modules/drivers/modesetting_drv.so",
        ),
        "cups-client": ("usr/lib64/libcups.so.2",),
        "tzdata": ("usr/share/zoneinfo/Europe/Berlin", *LEGACY),
        "glibc-all-langpacks": ("usr/lib/locale/de_DE.utf8/LC_CTYPE",),
        "chrony": ("etc/chrony.conf", "usr/sbin/chronyd"),
        "firefox": FIREFOX,
        "gdm": (
            "etc/gdm/custom.conf",
            "usr/lib/systemd/system/gdm.service",
            _manager("usr/lib/systemd/system", "gdm"),
        ),
    },
)
ALL = (BOOKWORM, TRIXIE, FORKY, NOBLE, RESOLUTE, FEDORA)
