"""Root trees of real Debian machines, built once by recipe and then only read.

A tree is never changed after it got its name: whoever needs to write puts an overlay on top.
"""

import contextlib
import hashlib
import inspect
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab import emulation, releases
from tests.lab.cache import cache_dir, locked

_BASE = ("systemd-sysv", "dbus", "udev", "iproute2", "procps", "kmod", "libpam-systemd")
_CLIENT = (*_BASE, "linux-image-cloud-amd64", "less", "ncurses-term")
# What a home comes by, and what asks people for their passwords besides getty: sudo, polkit, a locked screen
# (pamtester runs without privileges, as such a program does).
_PEOPLE = ("openssh-client", "sshfs", "fuse3", "sudo", "cron", "pkexec", "pamtester")
_SERVER = (
    *_BASE,
    *("polkitd", "python3", "python3-dbus-next", "python3-systemd", "python3-aiohttp", "python3-pyroute2"),
    *("dnsmasq-base", "nfs-ganesha", "nfs-ganesha-vfs", "rpcbind", "nbd-server", "radvd"),
    *("squashfs-tools", "zstd", "cpio", "busybox-static", "ipxe", "curl", "linux-image-cloud-amd64"),
    *("qemu-utils", "qemu-system-common", "openssh-server", "openssh-client"),
)
# Boot programs that firmware with Secure Boot accepts, and the old loader of the syslinux project.
_BOOT = ("shim-signed", "grub-efi-amd64-signed", "pxelinux", "syslinux-common")
_DHCP = ("kea-dhcp4-server", "isc-dhcp-server", "tftpd-hpa")
# The same with the kernel's own NFS server, and what Kerberos needs: for machines (machine.py).
_NFS_SERVER = (
    *_BASE,
    *("polkitd", "python3", "python3-dbus-next", "python3-systemd", "python3-aiohttp", "python3-pyroute2"),
    *("dnsmasq-base", "nbd-server", "radvd"),
    *("squashfs-tools", "zstd", "cpio", "busybox-static", "ipxe", "curl", "linux-image-cloud-amd64"),
    *("qemu-utils", "qemu-system-common", "openssh-server", "openssh-client"),
    *("nfs-kernel-server", "krb5-kdc", "krb5-admin-server", "krb5-user"),
)
# Where people are known by other ways than files: one-time codes, a directory, and what asks it.
_DIRECTORY = (
    "libpam-oath",
    "oathtool",
    "slapd",
    "ldap-utils",
    "sssd-ldap",
    "libnss-sss",
    "libpam-sss",
    "cracklib-runtime",
)
# Greeters on a screen, a session behind them with an agent of polkit, a keyring that opens with the password
# of the login, and a screen locker. lightdm comes first, so it is the one that starts.
_DESKTOP = (
    *(*_BASE, *_PEOPLE, "linux-image-amd64"),
    *("xserver-xorg-core", "xserver-xorg-input-libinput", "xserver-xorg-video-fbdev", "x11-xserver-utils"),
    *("lightdm", "lightdm-gtk-greeter", "openbox", "xterm", "fonts-dejavu-core", "adwaita-icon-theme"),
    *("gnome-keyring", "libpam-gnome-keyring", "libsecret-tools", "dbus-user-session", "i3lock"),
    *("lxpolkit", "sddm", "greetd"),
)
_STARTS_LIGHTDM = (
    "echo /usr/sbin/lightdm >/etc/X11/default-display-manager && systemctl disable sddm greetd && "
    "systemctl enable --force lightdm"
)
# One greeter more, a plain theme, a session of Wayland with a terminal. A test chooses the display manager.
_GREETERS_ON_SCREEN = (*_DESKTOP, "slick-greeter", "sddm-theme-maldives", "sway", "foot")
# KDE's, with sessions of X and of Wayland.
_PLASMA_LOGIN = (
    *(*_BASE, *_PEOPLE, "linux-image-amd64"),
    *("plasma-login-manager", "libgl1-mesa-dri", "fonts-dejavu-core", "dbus-user-session"),
    *("sway", "foot"),
)
# A screen without a desktop: X, and a terminal or what else it shows alone.
_SESSIONS = (
    *(*_BASE, "linux-image-amd64", "openssh-client", "sshfs"),
    *("xserver-xorg-core", "xserver-xorg-input-libinput", "xauth", "xterm", "fonts-dejavu-core"),
)
# xrdp mounts the drives of its clients by fuse3, which it recommends.
_SESSION_SERVER = (
    *("xrdp", "fuse3", "tigervnc-standalone-server", "xauth", "xterm", "x11-utils", "fonts-dejavu-core"),
)
# Cockpit with its shell and its bridge; what it recommends is not needed for a page.
_COCKPIT = (*_SERVER, "cockpit-ws", "cockpit-bridge", "cockpit-system")
_LOGINS = (
    "openssh-client",
    "openssh-server",
    "sudo",
    "libpam-oath",
    "libpam-pwquality",
    "python3",
    "iproute2",
    "procps",
    *("dbus", "gnome-keyring", "libpam-gnome-keyring", "libsecret-tools"),
)
# The PAM services of greeters, without the greeters.
_GREETERS = (
    "mkdir /tmp/g && cd /tmp/g && apt-get -q download lightdm gdm3 sddm greetd && "
    "for each in *.deb; do dpkg -x $each .; done && cp etc/pam.d/* /etc/pam.d/ && rm -r /tmp/g"
)
_MANAGERS = (*_BASE, "network-manager", "ifupdown", "netplan.io")
_NONE_STARTS = "systemctl disable NetworkManager networking systemd-networkd"
_NO_FIREWALL_STARTS = "systemctl disable firewalld ufw nftables"
# A server on which each of them can have the cards.
_CARDS = (*_SERVER, "nftables", "network-manager", "ifupdown", "systemd-resolved")
# netbase: without /etc/protocols firewalld ends at its start.
_FIREWALLS = ("firewalld", "ufw", "netbase")
_FIRMWARE = (
    *("firmware-realtek", "firmware-bnx2", "firmware-bnx2x", "firmware-netxen", "firmware-qlogic"),
    *("firmware-myricom", "firmware-misc-nonfree", "firmware-linux-free"),
)
_LTSP_CLIENT = ("ltsp", "busybox", "initramfs-tools", "openssh-client", "sshfs", "fuse3")
_LTSP_SERVER = (
    *_BASE,
    *("ltsp", "dnsmasq", "nfs-ganesha", "nfs-ganesha-vfs", "rpcbind", "squashfs-tools", "ipxe"),
    *("openssh-server", "openssh-client"),
)

# Releases of which the archive has other packages each day.
MOVING = ("sid",)

# A second serial line with a shell, so that a test can ask a booted client what it sees.
_SHELL_UNIT = "serial-getty@ttyS1.service"
_SHELL_DROP_IN = """\
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I dumb
"""


def _add_shell(tree: Path) -> None:
    units = tree / "etc/systemd/system"
    drop_in = units / f"{_SHELL_UNIT}.d/lab.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(_SHELL_DROP_IN)
    wants = units / "getty.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / _SHELL_UNIT).symlink_to("/lib/systemd/system/serial-getty@.service")


def add_shell(root: Path) -> None:
    """Have a system give a root shell on its second serial line, as the clients' trees do."""
    _add_shell(root)


def _add_inotify_simple(tree: Path) -> None:
    """Debian has no package of it, so take the module from the environment that runs the lab."""
    import inotify_simple

    source = Path(inotify_simple.__file__)
    (python,) = (tree / "usr/lib").glob("python3.*")
    target = tree / "usr/local/lib" / python.name / "dist-packages"
    target.mkdir(parents=True, exist_ok=True)
    if source.name == "__init__.py":
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source.parent, target / source.parent.name, ignore=ignore)
    else:
        shutil.copy(source, target)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a tree: Debian's release, the packages, and the lab's own additions.

    ``hooks`` are shell commands that run in the tree while its apt still has its lists. ``architecture`` is
    another one than this machine's, as Debian names it.
    """

    suite: str
    packages: tuple[str, ...]
    additions: tuple[Callable[[Path], None], ...] = ()
    hooks: tuple[str, ...] = ()
    architecture: str = ""
    # Parts of Debian's archive besides main.
    components: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return 12 hex digits that change when the recipe does, additions' code included.

        Those of a release that moves change each week, too.
        """
        code = [inspect.getsource(addition) for addition in self.additions]
        parts = [self.suite, *self.packages, *code, *([_SHELL_DROP_IN] if code else []), *self.hooks]
        parts += [self.architecture] if self.architecture else []
        parts += self.components
        parts += [time.strftime("%G-W%V")] if self.suite in MOVING else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


RECIPES = {
    "server": Recipe("bookworm", (*_SERVER, *_BOOT), (_add_inotify_simple,)),
    # One that can also test the images that it builds.
    "trial-server": Recipe("bookworm", (*_SERVER, "qemu-system-x86"), (_add_inotify_simple,)),
    # One with every DHCP and TFTP server.
    "dhcp-server": Recipe("bookworm", (*_SERVER, *_DHCP), (_add_inotify_simple,)),
    # One with what clients of its own root need although others may not read it.
    "private-server": Recipe("bookworm", (*_SERVER, "sudo", "cups-daemon"), (_add_inotify_simple,)),
    "client": Recipe("bookworm", (*_CLIENT, *_PEOPLE), (_add_shell,)),
    # Clients of other architectures. A boot initrd needs a busybox that runs there.
    "client-i386": Recipe(
        "bookworm", (*_BASE, "linux-image-686", "busybox-static"), (_add_shell,), architecture="i386"
    ),
    # tiny-initramfs: Debian's own initrd is not used, and takes ten minutes where all programs are emulated.
    "client-arm64": Recipe(
        "bookworm",
        (*_BASE, "linux-image-cloud-arm64", "tiny-initramfs", "busybox-static"),
        architecture="arm64",
    ),
    # A classroom: what a teacher has, and clients whose kernel has drivers for screens and keyboards.
    "classroom-server": Recipe("bookworm", (*_SERVER, "epoptes", "chrony"), (_add_inotify_simple,)),
    "classroom": Recipe(
        "bookworm",
        (*_BASE, *_PEOPLE, "linux-image-amd64", "epoptes-client", "openssl", "systemd-timesyncd"),
        (_add_shell,),
    ),
    "trixie": Recipe("trixie", (*_BASE, *_PEOPLE, "linux-image-cloud-amd64", "dracut")),
    "greeters": Recipe("bookworm", _GREETERS_ON_SCREEN, (_add_shell,), (_STARTS_LIGHTDM,)),
    "trixie-greeters": Recipe("trixie", _GREETERS_ON_SCREEN, (_add_shell,), (_STARTS_LIGHTDM,)),
    # The same screens without a desktop, and a server whose sessions they show.
    "sessions": Recipe("bookworm", (*_SESSIONS, "chromium", "freerdp2-x11"), (_add_shell,)),
    # Browsers of all weights.
    "kiosks": Recipe("bookworm", (*_SESSIONS, "firefox-esr", "surf", "netsurf-gtk", "dillo"), (_add_shell,)),
    "trixie-sessions": Recipe("trixie", (*_SESSIONS, "firefox-esr", "freerdp3-x11"), (_add_shell,)),
    "session-server": Recipe("bookworm", (*_SERVER, *_SESSION_SERVER), (_add_inotify_simple,)),
    "trixie-session-server": Recipe("trixie", (*_SERVER, *_SESSION_SERVER), (_add_inotify_simple,)),
    # Servers of both releases with Cockpit. The browser that looks at them is that of "sessions".
    "cockpit-server": Recipe("bookworm", _COCKPIT, (_add_inotify_simple,)),
    "trixie-cockpit-server": Recipe("trixie", _COCKPIT, (_add_inotify_simple,)),
    # Servers of both releases whose people log in on clients.
    "login-server": Recipe("bookworm", (*_SERVER, *_DIRECTORY), (_add_inotify_simple,)),
    "trixie-server": Recipe("trixie", (*_SERVER, *_DIRECTORY), (_add_inotify_simple,)),
    # Machines whose kernel serves NFS (tests/lab/machine.py).
    "nfs-server": Recipe("bookworm", _NFS_SERVER, (_add_inotify_simple, _add_shell)),
    "trixie-nfs-server": Recipe("trixie", _NFS_SERVER, (_add_inotify_simple, _add_shell)),
    # One that can hold homes against each other, by NFS and by SSH.
    "homes-client": Recipe("bookworm", (*_CLIENT, *_PEOPLE, "python3"), (_add_shell,)),
    # With every network manager of the release, none of which starts by itself.
    "bookworm-managers": Recipe("bookworm", (*_MANAGERS, "isc-dhcp-client"), hooks=(_NONE_STARTS,)),
    "trixie-managers": Recipe("trixie", (*_MANAGERS, "dhcpcd-base"), hooks=(_NONE_STARTS,)),
    "bookworm-cards": Recipe("bookworm", _CARDS, (_add_inotify_simple,), (_NONE_STARTS,)),
    "trixie-cards": Recipe("trixie", _CARDS, (_add_inotify_simple,), (_NONE_STARTS,)),
    # The same with each firewall.
    "bookworm-firewalls": Recipe(
        "bookworm", (*_CARDS, *_FIREWALLS), (_add_inotify_simple,), (_NONE_STARTS, _NO_FIREWALL_STARTS)
    ),
    "trixie-firewalls": Recipe(
        "trixie", (*_CARDS, *_FIREWALLS), (_add_inotify_simple,), (_NONE_STARTS, _NO_FIREWALL_STARTS)
    ),
    # Both ends of a login that the server judges: people are asked there and here by real PAM stacks.
    "bookworm-logins": Recipe("bookworm", _LOGINS, hooks=(_GREETERS,)),
    "trixie-logins": Recipe("trixie", _LOGINS, hooks=(_GREETERS,)),
    "ltsp-client": Recipe("bookworm", (*_CLIENT, *_LTSP_CLIENT), (_add_shell,)),
    # The same as schools have it: a kernel with all drivers, and the firmware of network cards.
    "ltsp-general": Recipe(
        "bookworm",
        (*_BASE, "linux-image-amd64", "less", "ncurses-term", *_PEOPLE, *_LTSP_CLIENT, *_FIRMWARE),
        (_add_shell,),
        components=("non-free-firmware",),
    ),
    # A desktop for clients of both, LTSP and ltspd. CUPS's client has settings of where to print.
    "ltsp-desktop": Recipe(
        "bookworm", (*_DESKTOP, *_LTSP_CLIENT, "cups-client"), (_add_shell,), (_STARTS_LIGHTDM,)
    ),
    "ltsp-server": Recipe("bookworm", _LTSP_SERVER),
    # What reads an ltsp.conf as LTSP does (tests/lab/ltsp.py).
    "ltsp": Recipe("bookworm", ("ltsp", "busybox")),
    # Debian's unstable release, whatever that is today: tests/next.
    "next-server": Recipe("sid", (*_SERVER, *_DIRECTORY), (_add_inotify_simple,)),
    "next-client": Recipe("sid", (*_CLIENT, *_PEOPLE, "dracut")),
    "next-plasma": Recipe("sid", _PLASMA_LOGIN, (_add_shell,)),
    "next-initramfs": Recipe("sid", (*_CLIENT, "initramfs-tools", "busybox")),
}
# Image names of the lab's server, and the root tree that is the source of each.
SOURCES = {"bookworm": "client", "trixie": "trixie"}


def tree(name: str) -> Path:
    """Return the root tree of that name, built first if the cache has none of today's recipe.

    Building takes about a minute and needs Debian's archive. Raises RuntimeError with the end of
    mmdebstrap's output if it fails. The caller must not write to the tree.
    """
    recipe = RECIPES[name]
    trees = cache_dir() / "trees"
    path = trees / f"{name}-{recipe.digest()}"
    if path.is_dir():
        return path
    with locked(trees / f"{name}.lock"):
        if not path.is_dir():
            _build(name, recipe, path)
    return path


def _build(name: str, recipe: Recipe, path: Path) -> None:
    print(f"lab: building the root tree {name!r} ({recipe.suite}); kept in {path}", file=sys.stderr)
    began = time.monotonic()
    unfinished = path.with_name(f".{path.name}.new")
    _remove(unfinished)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root"]
    # The index of a release that moves may lie in a mirror for longer than it promises.
    command += ['--aptopt=Acquire::Check-Valid-Until "false"'] if recipe.suite in MOVING else []
    command += [f'--customize-hook=chroot "$1" sh -c {shlex.quote(each)}' for each in recipe.hooks]
    command += [f"--architectures={recipe.architecture}"] if recipe.architecture else []
    command += [f"--components={','.join(('main', *recipe.components))}"] if recipe.components else []
    command += [f"--include={','.join(recipe.packages)}", recipe.suite, str(unfinished)]
    # Without security's archive, whose indices of other architectures a mirror may have of another day.
    command += [releases.archive()] if recipe.architecture else []
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        if recipe.architecture in emulation.FOREIGN:
            done = emulation.run(command, environment)
        else:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"mmdebstrap can't build the tree {name!r}: {done.stderr[-2000:]}")
        for addition in recipe.additions:
            addition(unfinished)
        unfinished.rename(path)
    finally:
        _remove(unfinished)
    print(f"lab: {name!r} took {time.monotonic() - began:.0f} s", file=sys.stderr)


def _remove(path: Path) -> None:
    """Remove an unfinished tree; never one in which something is still mounted."""
    with contextlib.suppress(FileNotFoundError):
        mounts = Path("/proc/self/mountinfo").read_text()
        if f" {path}/" in mounts:
            raise RuntimeError(f"something is mounted in {path}; unmount it, then try again")
        shutil.rmtree(path)


if __name__ == "__main__":
    # Half of a build is one core unpacking, so two at a time take little longer than one.
    with ThreadPoolExecutor(2) as pool:
        for built in pool.map(tree, sys.argv[1:] or RECIPES):
            print(built)
