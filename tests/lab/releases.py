"""Single programs of another Debian release, run beside this machine's own: no tree, no container.

A package comes with everything it depends on, its C library too, and a small script starts the
program with those libraries. It sees this machine's files and network like any other program.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.lab.cache import cache_dir, locked

# What a release is called in Debian's archive; the names of the tests' parameters.
DEBIAN_12 = "bookworm"
DEBIAN_13 = "trixie"
TESTING = "forky"
UNSTABLE = "sid"

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Debian 12 still has both places, later releases have a link.
_LIBRARIES = (
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    # Of its own, for a library of sound that some programs are linked with.
    "usr/lib/x86_64-linux-gnu/pulseaudio",
)
_LOADER = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# Since all releases keep programs below /usr, packages may name either place.
_MERGED = ("bin", "sbin", "lib", "lib64")


def packages(suite: str, *names: str) -> Path:
    """Return a directory with these packages of a release, and all they depend on, unpacked.

    It is fetched anew each week, because testing and unstable move. Raises RuntimeError with apt's words.
    """
    place = cache_dir() / "releases" / f"{suite}-{'-'.join(names)}-{time.strftime('%G-W%V')}"
    if place.is_dir():
        return place
    with locked(place.with_name(f"{place.name}.lock")):
        if not place.is_dir():
            unfinished = place.with_name(f".{place.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            try:
                _fetch(suite, names, unfinished)
                unfinished.rename(place)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return place


def program(suite: str, package: str, path: str, script: Path) -> Path:
    """Write a script that runs ``path`` (``usr/sbin/dnsmasq``) of a release's package, and return it."""
    script.write_text(starter(packages(suite, package), path))
    script.chmod(0o755)
    return script


def starter(place: Path | str, path: str) -> str:
    """Return a script that runs a program of unpacked packages with the libraries that came with it."""
    libraries = ":".join(f"{place}/{each}" for each in _LIBRARIES)
    loader = f'"{place}/{_LOADER}" --library-path "{libraries}"'
    return f'#!/bin/sh\nexec {loader} "{place}/{path}" "$@"\n'


def _fetch(suite: str, names: tuple[str, ...], place: Path) -> None:
    state = place / "apt"
    for name in ("lists/partial", "archives/partial", "preferences.d", "sources.d"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={_KEYS}] {archive()} {suite} main\n")
    # Nothing of this machine's apt counts: not its lists, not its sources, not what is installed.
    options = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": state / "sources.d",
        "Dir::Etc::PreferencesParts": state / "preferences.d",
        # A mirror that was not refreshed for some weeks is as good.
        "Acquire::Check-Valid-Until": "false",
        "APT::Install-Recommends": "false",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    _run("apt-get", "-q", *words, "update")
    _run("apt-get", "-q", "-y", *words, "--download-only", "install", *names)
    for name in _MERGED:
        (place / "usr" / name).mkdir(parents=True)
        (place / name).symlink_to(f"usr/{name}")
    for package in sorted((state / "archives").glob("*.deb")):
        _run("dpkg", "--extract", str(package), str(place))
    shutil.rmtree(state)


def archive() -> str:
    """Return where this machine gets Debian's own packages from."""
    wanted = ["Label: Debian", "Component: main", "Created-By: Packages"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]
    places = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if not places:
        raise RuntimeError("apt has no lists of Debian's archive; 'apt-get update' fetches them.")
    return places[0]


def _run(*argv: str) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
