"""Run client features on a small root by busybox sh, as an ordinary user: the shell that clients have."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltspd.config.features import for_clients
from ltspd.config.parse import parse
from ltspd.config.settings import render_settings
from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
NEEDS_BUSYBOX = pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox, the shell of clients")
# What the boot has found out when features run; client/features/README.md lists these.
FACTS: Mapping[str, str] = {
    "LTSP_API": "1",
    "mac": "52:54:00:00:00:01",
    "nic": "eth0",
    "address": "192.168.67.20",
    "netmask": "255.255.255.0",
    "given_name": "",
    "dns": "",
    "server": "192.168.67.1",
    "base": "http://192.168.67.1/ltsp",
    "image": "x86_64",
    "generation": "g1",
    "transport": "nfs",
    "cmdline": "quiet",
    "memory": "16000000",
    "trial": "",
    "debug_shell": "",
    "processor": "",
    # Each with a comma behind it.
    "cards": "",
    "passed": "",
    # Seconds that the clock is behind the server's; empty: the server does not say.
    "slow": "0",
    "marks": "init=1.00 ",
}
# What would reach out of the root: the console, the clock and the server.
STUBS = """
say() { echo "ltsp: $*"; }
mark() { marks="$marks$1=2.00 "; }
report() { echo "reported: $*"; }
processor_has() { [ "$1" = "$processor" ]; }
graphics_cards() { printf '%s' "$cards" | tr , '\n'; }
in_root() { "$@"; }
take_time() { [ -n "$slow" ]; }
"""
# What each client has: our scripts, and the boot initrd's busybox.
BROUGHT = tuple(f"run/initramfs/ltsp/{each}" for each in ("boot", "live", "busybox"))
# Scripts that a feature takes into one of its own.
PARTS = ("live/code.sh", "live/remoteapps.sh")
SOURCES = ("text", "settings", "features", "code")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a client has afterwards: files and links below its root, by path, and what it said."""

    tree: Mapping[str, str]
    said: str


def run(
    root: Path,
    features: Mapping[str, Path] | tuple[str, ...] = (),
    conf: str = "",
    facts: Mapping[str, str] | None = None,
    commands: str = "load_settings; code_in_root; run_features",
) -> Ran:
    """Run features by their names, or files by the names that they are given, in ``root``, which is changed.

    The new root is ``root`` itself with its ``run`` in it, as the booted system has it, and what ltsp.img
    brings is in ``root/ltsp``. ``conf`` is the text of ltsp.conf, and ``commands`` are what its
    shell does.
    """
    files = features if isinstance(features, Mapping) else {each: _feature(each) for each in features}
    home, shell, store = root / "ltsp/client", root / "bin/busybox", root / "run/initramfs/ltsp"
    (home / "features").mkdir(parents=True)
    store.mkdir(parents=True, exist_ok=True)
    shell.parent.mkdir(exist_ok=True)
    # Copied by features as a program, and never run here.
    shell.write_text("busybox\n")
    shell.chmod(0o755)
    (root / "ltsp/settings").write_bytes(render_settings(parse(conf)))
    for each in ("boot", "live"):
        shutil.copytree(CLIENT / each, home / each)
    scripts = {name: file.read_text() for name, file in files.items()}
    (home / "known").write_text(for_clients(scripts))
    for name, file in files.items():
        (home / f"features/{name}.sh").symlink_to(file)
    places = {"new": root, "run": root / "run", "ltsp": root / "ltsp", "store": store, "busybox": shell}
    known = {**FACTS, **(facts or {}), **{name: str(path) for name, path in places.items()}}
    lines = [f". {CLIENT}/boot/{each}.sh" for each in SOURCES]
    script = "\n".join([*lines, STUBS, 'umask 022; cd "$new"', commands])
    environment = {**known, "PATH": os.environ["PATH"]}
    words = ["busybox", "sh", "-c", script]
    pipe, together = subprocess.PIPE, subprocess.STDOUT
    done = subprocess.run(words, env=environment, stdout=pipe, stderr=together, text=True, check=True)
    for file in (root / "run").glob("ltsp-feature*"):
        file.unlink()
    # It holds all settings and the names of all parameters.
    (root / "run/ltsp-code/run").unlink(missing_ok=True)
    shutil.rmtree(root / "ltsp")
    shutil.rmtree(root / "bin")
    return Ran(read(root), done.stdout.replace(str(root), ""))


def read(root: Path) -> dict[str, str]:
    """Return the content of each file below a directory, and "-> TARGET" of each link, without ``root``.

    What each client has there is left out. Where a file contains a whole script of the client, there stands
    the script's path.
    """
    return {
        str(path.relative_to(root)): f"-> {os.readlink(path)}" if path.is_symlink() else _shown(path, root)
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not str(path.relative_to(root)).startswith(BROUGHT)
    }


def _shown(path: Path, root: Path) -> str:
    text = path.read_text().replace(str(root), "")
    for script in PARTS:
        text = text.replace((CLIENT / script).read_text(), f"[{script}]\n")
    return text


def _feature(name: str) -> Path:
    file = CLIENT / f"features/{name}.sh"
    assert file.is_file(), f"there is no {file}"
    return file
