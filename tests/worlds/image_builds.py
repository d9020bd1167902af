"""Builds of small sources in a test: what they say, no real boot initrd, and names that are secrets."""

import asyncio
from pathlib import Path

from ltspd.image import build
from ltspd.image.build import Build, BuildOptions, Built
from ltspd.image.context import MakeBootPart, Silent, Step, nothing
from ltspd.model.image import Generation, Source
from ltspd.model.job import Progress
from ltspd.paths import Paths
from tests.worlds.image_trees import RELEASE, names

SECRET = "TopSecretString"
SECRETS = (
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssl/private/site.key",
    "etc/NetworkManager/system-connections/wifi",
    "etc/NetworkManager/system-connections/.hidden",
    "etc/wpa_supplicant/wlan0.conf",
    "etc/krb5.keytab",
    "etc/mysql/debian.cnf",
    "etc/epoptes/server.key",
    "etc/ltsp/ltsp.conf",
    "etc/security/opasswd",
    "etc/shadow-",
    "etc/passwd~",
    "etc/cups/printers.conf",
    "var/cache/debconf/passwords.dat",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/linger/ann",
    "var/lib/ltspd/token",
    "var/backups/shadow.bak",
    "var/log/auth.log",
    "var/log/apt/term.log",
    "var/spool/cron/crontabs/ann",
    "root/.ssh/id_ed25519",
    "home/ann/diary",
    "run/secrets/token",
    "srv/data",
    f"boot/initrd.img-{RELEASE}",
)


class Said:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.shares = 0.0
        self.began = asyncio.Event()

    def phase(self, name: str, share: float, size: int = 0) -> None:
        self.phases.append(name)
        self.shares += share
        if name == "squashfs":
            self.began.set()

    def done(self, fraction: float) -> None:
        assert 0 <= fraction <= 1


async def boot_part(_root: Path, release: str) -> bytes:
    return f"boot part of {release}".encode()


def no_module_missing(_root: Path, _release: str) -> tuple[str, ...]:
    return ()


def order(
    paths: Paths,
    source: Source,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    *,
    make_boot_part: MakeBootPart = boot_part,
    step: Step = nothing,
) -> Build:
    """Return a build with a boot part that takes no time, of a source whose kernel has no modules."""
    return Build(
        paths,
        source,
        options or BuildOptions(),
        progress or Silent(),
        make_boot_part=make_boot_part,
        missing_modules=no_module_missing,
        step=step,
    )


async def run_build(wanted: Build) -> Built:
    return await build.build(wanted, await build.preflight(wanted))


async def make(paths: Paths, source: Source, options: BuildOptions | None = None) -> Generation:
    return (await run_build(order(paths, source, options))).generation


def layer_of(paths: Paths, generation: Generation) -> Path:
    return paths.images / generation.image / "layers" / generation.layers[0].file_name


def untouched(paths: Paths) -> set[bytes]:
    return names(paths.images) if paths.images.exists() else set()
