"""An image's kernel on disk: its module index, the modules themselves and their firmware, uncompressed.

Only reads below the source's root. ``modules`` decides what goes into an initrd.
"""

import lzma
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ltspd.errors import InconsistentSource, NoKernel
from ltspd.foreign import read
from ltspd.foreign.inside import path_inside
from ltspd.initrd import cpio, elf, modules
from ltspd.system import priority
from ltspd.system.run import run

# Linux 5.9 is the first that unpacks a zstd initramfs.
_ZSTD_SINCE = (5, 9)
_RD_ZSTD = "CONFIG_RD_ZSTD"
_FIRMWARE = "usr/lib/firmware"
# Bytes of all chosen modules. A distribution's 300 chosen ones have 30 MB, all of its modules 500.
_MOST_IN_ALL = 512 << 20


def _module_home(source_root: Path, version: str) -> str:
    """Return the directory of the version's modules: in ``usr/lib``, else in an unmerged ``lib``."""
    for home in (f"usr/lib/modules/{version}", f"lib/modules/{version}"):
        if path_inside(source_root, f"{home}/modules.dep") is not None:
            return home
    raise NoKernel(
        f"Kernel {version} has no modules.dep below usr/lib/modules or lib/modules of {source_root};"
        " reinstall the kernel package there."
    )


def read_index(source_root: Path, version: str) -> modules.Index:
    """Return the module index of a kernel of the source; raises NoKernel."""
    home = _module_home(source_root, version)
    texts = (
        read.read_text(source_root, f"{home}/modules.{part}")
        for part in ("dep", "builtin", "alias", "softdep")
    )
    return modules.parse(*texts)


def check_modules(source_root: Path, version: str) -> tuple[str, ...]:
    """Return the names of modules that a client needs to boot and the kernel lacks; raises NoKernel.

    Empty means that the kernel can boot from a network. Built-in modules count, too.
    """
    return modules.missing(read_index(source_root, version))


def takes_zstd(source_root: Path, version: str) -> bool:
    """Return whether this kernel unpacks an initrd that is compressed with zstd."""
    config = read.read_text(source_root, f"boot/config-{version}") or read.read_text(
        source_root, f"{_module_home(source_root, version)}/config"
    )
    if config:
        return f"\n{_RD_ZSTD}=y\n" in f"\n{config}"
    numbers = version.split("-")[0].split(".")[:2]
    try:
        return tuple(int(number) for number in numbers) >= _ZSTD_SINCE
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Modules:
    """The members of a boot initrd that come from a kernel package.

    ``pieces`` are those that only some network cards' drivers need, by these; ``common`` are all others.
    ``aliases`` are the lines of ``modules.alias`` about all of them.
    """

    common: list[cpio.Entry]
    pieces: Mapping[frozenset[str], list[cpio.Entry]]
    aliases: str

    @property
    def entries(self) -> list[cpio.Entry]:
        """All members."""
        return [*self.common, *(entry for piece in self.pieces.values() for entry in piece)]


async def read_modules(source_root: Path, version: str) -> Modules:
    """Return the members below ``lib/modules/VERSION`` and ``lib/firmware`` of a boot initrd.

    Raises NoKernel, InconsistentSource for a module that can't be read, ToolFailed.
    """
    home = _module_home(source_root, version)
    index = await priority.to_thread(read_index, source_root, version)
    chosen = modules.wanted(index)
    contents = await _contents(source_root, home, sorted(chosen))
    return await priority.to_thread(_shared_out, source_root, version, index, contents)


def _shared_out(source_root: Path, version: str, index: modules.Index, contents: dict[str, bytes]) -> Modules:
    home, target = _module_home(source_root, version), f"lib/modules/{version}"
    softdep = read.read_text(source_root, f"{home}/modules.softdep")
    builtin = "".join(f"{path}\n" for path in index.builtin)
    aliases = modules.alias_text(index, contents)
    common = [
        cpio.file(f"{target}/modules.dep", modules.dep_text(index, contents).encode()),
        cpio.file(f"{target}/modules.alias", aliases.encode()),
        cpio.file(f"{target}/modules.softdep", modules.softdep_text(softdep, contents).encode()),
        cpio.file(f"{target}/modules.builtin", builtin.encode()),
    ]
    pieces: dict[frozenset[str], list[cpio.Entry]] = {frozenset(): common}
    users = modules.shares(index, contents)
    firmware: dict[str, frozenset[str]] = {}
    for path, data in contents.items():
        pieces.setdefault(users[path], []).append(cpio.file(f"{target}/{modules.plain(path)}", data))
        for name in elf.module_info(data, "firmware"):
            known = firmware.setdefault(name, users[path])
            firmware[name] = known | users[path] if known and users[path] else frozenset()
    for name in sorted(firmware):
        if (entry := _firmware(source_root, version, name)) is not None:
            pieces.setdefault(firmware[name], []).append(entry)
    del pieces[frozenset()]
    return Modules(common, pieces, aliases)


async def _contents(source_root: Path, home: str, paths: list[str]) -> dict[str, bytes]:
    """Return each module's uncompressed bytes by its path."""
    contents = await priority.to_thread(lambda: _modules(source_root, home, paths))
    packed = [path for path in paths if path.endswith(".zst")]
    if packed:
        # Python before 3.14 has no zstd, so the program runs once for all modules.
        with tempfile.TemporaryDirectory(prefix="ltspd-modules-") as scratch:
            files = [Path(scratch, path.rpartition("/")[2]) for path in packed]
            for path, file in zip(packed, files, strict=True):
                file.write_bytes(contents[path])
            limit = ["prlimit", f"--fsize={read.MOST_BYTES}"]
            await run([*limit, "zstd", "--quiet", "--decompress", "--rm", "--", *map(str, files)])
            contents |= {
                path: file.with_suffix("").read_bytes() for path, file in zip(packed, files, strict=True)
            }
    return contents


def _modules(source_root: Path, home: str, paths: list[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    total = 0
    for path in paths:
        contents[path] = _read(source_root, home, path)
        total += len(contents[path])
        if total > _MOST_IN_ALL:
            raise InconsistentSource(
                f"The modules in {home} of {source_root} that boot from a network are over "
                f"{_MOST_IN_ALL >> 20} MiB in all; reinstall the kernel there."
            )
    return contents


def _read(source_root: Path, home: str, path: str) -> bytes:
    data = read.read_whole(source_root, f"{home}/{path}")
    try:
        match data, path.rpartition(".")[2]:
            case None, _:
                raise OSError("it does not exist")
            case bytes(), "xz":
                return _limited(lzma.LZMADecompressor(), data)
            case bytes(), "gz":
                # The bits of the window, plus 16 for a gzip header (zlib's manual).
                return _limited(zlib.decompressobj(16 + zlib.MAX_WBITS), data)
            case _:
                return data
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InconsistentSource(
            f"Module {home}/{path} of {source_root} can't be read ({error}); reinstall the kernel there."
        ) from error


def _limited(stream: "_Stream", data: bytes) -> bytes:
    """Return the unpacked stream; raises OSError if it is too large, EOFError if it is cut short."""
    out = stream.decompress(data, read.MOST_BYTES)
    if not stream.eof:
        if len(out) >= read.MOST_BYTES:
            raise OSError(f"it unpacks to over {read.MOST_BYTES >> 20} MiB")
        raise EOFError("it is cut short")
    return out


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _firmware(source_root: Path, version: str, name: str) -> cpio.Entry | None:
    """Return the firmware file that a module names, under that name; None if the source has none."""
    if {"..", ""} & set(name.split("/")):
        return None
    # The kernel's own order and suffixes (drivers/base/firmware_loader).
    for place in (f"updates/{version}/{name}", f"updates/{name}", f"{version}/{name}", name):
        for suffix in ("", ".zst", ".xz"):
            data = read.read_whole(source_root, f"{_FIRMWARE}/{place}{suffix}")
            if data is None:
                data = read.read_whole(source_root, f"lib/firmware/{place}{suffix}")
            if data is not None:
                return cpio.file(f"lib/firmware/{name}{suffix}", data)
    return None
