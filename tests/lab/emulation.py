"""Programs for ARM on this machine, in a user namespace of their own: the machine itself stays as it is.

The kernel is told there how to run them (binfmt_misc, from Linux 6.7 on).
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import releases

# What Debian calls the architectures that a PC does not run by itself.
FOREIGN = ("arm64",)
# How programs for ARM of 64 bits begin (elf(5)), and which bits of that count.
_MAGIC = r"\x7fELF\x02\x01\x01\x00" + r"\x00" * 8 + r"\x02\x00\xb7\x00"
_MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
# F: the kernel opens the emulator at once, so a root tree needs none in it.
_RULE = f":qemu-aarch64:M::{_MAGIC}:{_MASK}:{{program}}:F"
# It says when it is in its namespace, and goes on once it has users there.
_SCRIPT = (
    "echo; read -r _; "
    "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; "
    'printf %s "$0" >/proc/sys/fs/binfmt_misc/register; '
    'exec "$@"'
)
# All users that a Debian system has, under their own numbers.
_USERS = "0 0 65536\n"


def run(argv: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command whose programs may be for ARM, and return what it printed and how it ended."""
    emulator = releases.packages(releases.DEBIAN_12, "qemu-user-static") / "usr/bin/qemu-aarch64-static"
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "sh", "-ec", _SCRIPT, _RULE.format(program=emulator), *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    if process.stdout.readline():
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text(_USERS)
    output, errors = process.communicate("\n")
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)
