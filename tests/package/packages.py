"""Building the Debian packages of this working tree, and root trees of machines to install them on."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ltspd
from tests import REPOSITORY
from tests.lab import trees
from tests.lab.cache import cache_dir

# Suites that the packages are for.
SUITES = ("bookworm", "trixie")
# The version of the package that comes after the present one.
NEXT = f"{ltspd.__version__}-2"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends"
# What an administrator has besides: an NFS server in user space, since the lab's kernel has none.
_BESIDES = (
    "apt-utils",
    "autopkgtest",
    "ca-certificates",
    "curl",
    "gcc",
    "libc6-dev",
    "make",
    "mmdebstrap",
    "nfs-ganesha",
    "nfs-ganesha-vfs",
    "nftables",
    "openssh-server",
    "rpcbind",
)
# LTSP as Debian has it lies ready in this directory, with what it needs and suggests for DHCP.
LTSP = "/opt/ltsp-debs"
_FETCH_LTSP = (
    "apt-get clean && apt-get -q -y --no-install-recommends --download-only install ltsp dnsmasq &&\n"
    f"mkdir {LTSP} && mv /var/cache/apt/archives/*.deb {LTSP}"
)
# What building the packages and looking at them takes.
_BUILDER = (
    "build-essential",
    "gcc-aarch64-linux-gnu",
    "gcc-i686-linux-gnu",
    "libc6-dev-arm64-cross",
    "libc6-dev-i386-cross",
    "libpam0g-dev",
    "debhelper",
    "dh-python",
    "dpkg-dev",
    "lintian",
    "pkgconf",
    "python3",
    "systemd-dev",
)


@dataclass(frozen=True, slots=True)
class Packages:
    """One build: where its files are."""

    directory: Path

    @property
    def debs(self) -> tuple[Path, ...]:
        """The binary packages."""
        return tuple(sorted(self.directory.glob("*.deb")))

    @property
    def changes(self) -> Path:
        """The list of all that was built."""
        (found,) = self.directory.glob("*.changes")
        return found


def run(argv: list[str], cwd: Path) -> str:
    """Run a program and return all it printed; raises RuntimeError with the end of that."""
    done = subprocess.run(
        argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout


def source(directory: Path) -> Path:
    """Make the Debian source of this tree in ``directory`` and return its unpacked tree.

    What is fetched for it is kept in the cache. Raises RuntimeError.
    """
    directory.mkdir(parents=True)
    kept = cache_dir() / "package"
    kept.mkdir(parents=True, exist_ok=True)
    for component in kept.glob("*.orig-*.tar.gz"):
        shutil.copy(component, directory)
    command = ["env", f"PYTHON={sys.executable}", str(REPOSITORY / "debian/make-source"), str(directory)]
    run(command, REPOSITORY)
    for component in directory.glob("*.orig-*.tar.gz"):
        shutil.copy(component, kept)
    (unpacked,) = (each for each in directory.iterdir() if each.is_dir())
    return unpacked


def build(directory: Path, version: str = "") -> Packages:
    """Build source and binary packages in ``directory``; ``version`` replaces debian/changelog's.

    Takes about 15 s. Raises RuntimeError.
    """
    unpacked = source(directory)
    if version:
        changelog = unpacked / "debian/changelog"
        text = changelog.read_text()
        first, rest = text.split("\n", 1)
        name, _, after = first.partition(" (")
        entry = f"{name} ({version}){after.partition(')')[2]}\n{rest}"
        changelog.write_text(f"{entry}\n{text}")
    run(["dpkg-buildpackage", "-us", "-uc"], unpacked)
    return Packages(directory)


def dependencies() -> tuple[str, ...]:
    """Return the packages that ltspd depends on, but for our own one of inotify_simple."""
    control = (REPOSITORY / "debian/control").read_text()
    (paragraph,) = (each for each in control.split("\n\n") if each.startswith("Package: ltspd\n"))
    field = paragraph.partition("\nDepends:")[2].partition("\nRecommends:")[0]
    names = [each.split()[0] for each in field.split(",") if each.split()]
    return tuple(each for each in names if "$" not in each and "inotify" not in each)


def fresh_tree(suite: str) -> str:
    """Return the name of the tree of a machine with all that ltspd depends on, and without ltspd.

    There is no network in the container, so apt could not fetch these there.
    """
    name = f"fresh-{suite}"
    here = (*trees._BASE, *dependencies(), *_BESIDES)
    trees.RECIPES[name] = trees.Recipe(suite, here, hooks=(_FETCH_LTSP,))
    return name


def builder_tree(suite: str) -> str:
    """Return the name of the tree of a machine that can build the packages."""
    name = f"builder-{suite}"
    trees.RECIPES[name] = trees.Recipe(suite, (*trees._BASE, *_BUILDER))
    return name
