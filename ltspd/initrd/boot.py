"""The boot initrd of one generation: busybox, kernel modules, and which layers to mount.

What runs there is not part of it: that comes with ltsp.img, in the version that the server has by then.
The slow part depends on the source's kernel only and can be made while the layers are still being packed;
the identity, a small archive with the layer list, is appended at the end. Reads no configuration.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ltspd.errors import LtspError, WrongArchitecture
from ltspd.foreign import read
from ltspd.foreign.inside import path_inside
from ltspd.initrd import cards, cpio, elf, kernel
from ltspd.model.image import Layer
from ltspd.paths import client_home
from ltspd.system import priority, threads
from ltspd.system.run import run

# bench: a cloud kernel's 12 MB pack in 0.16 s at 3 and 0.84 s at 9, for 2.9 and 2.5 MB; the unpacking
# client takes the same time for both.
_ZSTD_LEVEL = "-3"
_GZIP_LEVEL = "-6"
# By what a distribution's initrd finds us; these stay with the generation, as ``init`` does.
GUEST_HOOKS = ("dracut-cmdline.sh", "dracut-mount.sh", "initramfs-tools.sh")
# What the client's scripts and the debug shell call by name; busybox answers to the name it is called by.
_APPLETS = tuple(
    """
    awk cat chown chroot cp cttyhack cut dd df dmesg find grep head ifconfig insmod ip ln ls losetup lsmod
    md5sum mkdir mknod modprobe mount mv nc poweroff printf ps readlink reboot rm rmmod route sed setsid sh
    sleep stat switch_root tail timeout tr true udhcpc umount uname vi wget
    """.split()  # noqa: SIM905
)
_BUSYBOXES = [Path("/usr/bin/busybox"), Path("/bin/busybox")]
# The kernel starts this to load a module that it misses (CONFIG_MODPROBE_PATH).
_MODPROBE = "sbin/modprobe"


async def build_boot_part(
    source_root: Path, kernel_version: str, *, client: Path | None = None, busybox: Path | None = None
) -> bytes:
    """Return everything of a boot initrd but its identity, compressed as that kernel understands it.

    ``client`` and ``busybox`` are where to take ``init`` and a static busybox from (default: this
    installation's). Raises NoKernel, InconsistentSource, WrongArchitecture, ToolFailed.
    """
    base, found = await _entries(source_root, kernel_version, client, busybox)
    zstd = await priority.to_thread(kernel.takes_zstd, source_root, kernel_version)
    users = sorted(found.pieces, key=sorted)
    members = [[*base, *found.common], *(found.pieces[each] for each in users)]
    plain = await priority.to_thread(lambda: [cpio.archive(each) for each in members])
    parts = [cpio.aligned(each) for each in await compress(plain, zstd=zstd)]
    index = cards.make_index([len(each) for each in parts], users, found.aliases) if users else b""
    return b"".join([index, *parts])


async def build_entries(source_root: Path, kernel_version: str) -> list[cpio.Entry]:
    """Return the members of a boot initrd; errors are those of ``build_boot_part``."""
    base, found = await _entries(source_root, kernel_version, None, None)
    return [*base, *found.entries]


async def _entries(
    source_root: Path, kernel_version: str, client: Path | None, busybox: Path | None
) -> tuple[list[cpio.Entry], kernel.Modules]:
    """Return the members that are the same for all kernels, and those that come from this one."""
    found, program = await asyncio.gather(
        kernel.read_modules(source_root, kernel_version),
        priority.to_thread(_busybox, source_root, kernel_version, busybox),
    )
    base = [
        cpio.character_device("dev/console", 5, 1),
        cpio.character_device("dev/null", 1, 3, 0o666),
        cpio.file("bin/busybox", program, 0o755),
        cpio.symlink(_MODPROBE, "../bin/busybox"),
        *(cpio.symlink(f"bin/{applet}", "busybox") for applet in _APPLETS),
        *(cpio.directory(name) for name in ("proc", "sys", "run", "root", "tmp", "etc")),
        cpio.file("init", await priority.to_thread(_init, client or client_home()), 0o755),
    ]
    return base, found


def make_identity(image: str, generation: str, layers: tuple[Layer, ...]) -> bytes:
    """Return the uncompressed archive that says which image this is and which layers it has, base first."""
    listing = "".join(f"{layer.digest} {layer.size}\n" for layer in layers)
    return cpio.archive(
        [
            cpio.file("ltsp/image", f"{image} {generation}\n".encode()),
            cpio.file("ltsp/layers", listing.encode()),
        ]
    )


async def build_boot_initrd(
    source_root: Path,
    kernel_version: str,
    image: str,
    generation: str,
    layers: tuple[Layer, ...],
    target: Path,
) -> None:
    """Write the boot initrd of a generation to ``target``; raises like ``build_boot_part``."""
    part = await build_boot_part(source_root, kernel_version)
    await priority.to_thread(target.write_bytes, part + make_identity(image, generation, layers))


def installed_files() -> tuple[Path, ...]:
    """Return the files of this server that boot parts are made of: ``init``, a guest's hooks, a busybox."""
    home = client_home()
    return (home / "boot/init", *(home / "guest" / each for each in GUEST_HOOKS), *_BUSYBOXES)


def read_client(home: Path | None = None) -> dict[str, bytes]:
    """Return the files of what runs on clients, by their paths below ltsp/client. Blocks.

    They are the scripts, and the PAM module for each architecture of images. Raises LtspError if they are
    not installed.
    """
    home = home or client_home()
    files = (each for each in (*home.rglob("*.sh"), *home.glob("pam/*.so")) if each.is_file())
    found = {str(each.relative_to(home)): each.read_bytes() for each in files if each.name not in GUEST_HOOKS}
    if "boot/main.sh" not in found:
        raise _missing(home / "boot/main.sh")
    return found


async def compress(plain: Sequence[bytes], *, zstd: bool = True) -> list[bytes]:
    """Return archives, each compressed for the kernel by itself; raises ToolFailed, OSError."""
    argv = ["zstd", "--quiet", "-T0", _ZSTD_LEVEL, "--rm"] if zstd else ["gzip", "-n", _GZIP_LEVEL]
    suffix = "zst" if zstd else "gz"
    # One process for all files. zstd then knows their sizes, and the event loop copies nothing.
    with tempfile.TemporaryDirectory(prefix="ltspd-initrd-") as scratch:
        files = [Path(scratch, f"{number}") for number in range(len(plain))]

        def write() -> None:
            for file, data in zip(files, plain, strict=True):
                file.write_bytes(data)

        await threads.in_thread(write)
        await run([*argv, "--", *map(str, files)])
        return await priority.to_thread(lambda: [Path(f"{each}.{suffix}").read_bytes() for each in files])


def _init(home: Path) -> bytes:
    init = home / "boot/init"
    if not init.is_file():
        raise _missing(init)
    return init.read_bytes()


def _missing(file: Path) -> LtspError:
    return LtspError(f"{file} is missing: the client's files are not installed; reinstall ltspd.")


def _busybox(source_root: Path, version: str, given: Path | None) -> bytes:
    """Return a static busybox that runs on the source's kernel: this server's, else the source's own."""
    machine = _machine(source_root)
    here = [given] if given else _BUSYBOXES
    there = [path_inside(source_root, path) for path in ("usr/bin/busybox", "bin/busybox")]
    for path in (*here, *there):
        if path is None or not path.is_file():
            continue
        data = path.read_bytes()
        facts = elf.parse(data)
        if facts is not None and not facts.interpreter and machine in (0, facts.machine):
            return data
    raise WrongArchitecture(
        f"No static busybox for the kernel {version} of {source_root}: install busybox-static on this server,"
        " or in the source if it is of another architecture."
    )


def _machine(source_root: Path) -> int:
    """Return the ELF machine of the source: that of its own shell's loader or init; 0 if none can be read."""
    for path in ("usr/bin/dash", "bin/dash", "bin/sh", "usr/lib/systemd/systemd", "sbin/init"):
        facts = elf.parse(read.read_whole(source_root, path) or b"")
        if facts is not None:
            return facts.machine
    return 0
