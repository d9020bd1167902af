"""Changes to a source like those of an upgrade: new files renamed over old ones, and dpkg's status."""

import os
import random
import stat
from pathlib import Path


def package_files(root: Path, package: str) -> list[Path]:
    """Return a package's regular files."""
    names = (root / f"var/lib/dpkg/info/{package}.list").read_text().splitlines()
    files = [root / name.lstrip("/") for name in names]
    return [file for file in files if file.is_file() and not file.is_symlink()]


def replace(files: list[Path], seed: int) -> int:
    """Give each file other content of the same length and compressibility; return their bytes."""
    chance = random.Random(seed)
    total = 0
    for file in files:
        status = file.lstat()
        content = bytearray(file.read_bytes())
        # A few bytes a page: every block differs, and compresses as it did.
        for at in range(0, len(content), 4096):
            content[at] = chance.randrange(256)
        new = file.with_name(f"{file.name}.dpkg-new")
        new.write_bytes(content)
        os.chown(new, status.st_uid, status.st_gid)
        new.chmod(stat.S_IMODE(status.st_mode))
        new.rename(file)
        total += len(content)
    return total


def record(root: Path, package: str, seed: int) -> None:
    """Write a new version of a package into dpkg's status file, as dpkg does, by a rename."""
    status = root / "var/lib/dpkg/status"
    paragraphs = status.read_text().split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if paragraph.startswith(f"Package: {package}\n"):
            lines = [line for line in paragraph.split("\n") if not line.startswith("Version:")]
            paragraphs[number] = "\n".join([*lines, f"Version: 1.{seed}"])
    new = status.with_name("status-new")
    new.write_text("\n\n".join(paragraphs))
    new.rename(status)
