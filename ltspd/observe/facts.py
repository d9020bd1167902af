"""The Facts of one pass, gathered side by side. Changes nothing."""

import asyncio
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ltspd.disk import use
from ltspd.image.source.dpkg import read_packages
from ltspd.image.source.find import find_sources
from ltspd.image.store.store import read_images
from ltspd.migration import leftovers
from ltspd.model.facts import Facts, Program
from ltspd.model.image import Source, SourceKind
from ltspd.model.state import Problem
from ltspd.observe import closed, directory, host, links, people, pi
from ltspd.observe.connections import connected
from ltspd.paths import Paths

# The digest of dpkg's database by the stat that it was read with; reading 3,000 packages costs 50 ms.
_packages: dict[Path, tuple[tuple[int, int, int], str]] = {}


async def look(
    paths: Paths,
    programs: Iterable[Program],
    home_dir: str = "/home",
    named: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> tuple[Facts, tuple[Problem, ...]]:
    """Return the facts, and a problem for each thing that is broken (an unreadable generation).

    ``programs`` are the ones to look for, ``home_dir`` is where ltsp.conf says that homes are, ``named``
    are the users and the groups that it names.
    """
    people_elsewhere = await directory.look(paths, *named)
    found, (facts, problems), homes = await asyncio.gather(
        links.snapshot(),
        asyncio.to_thread(_of_files, paths, programs, people_elsewhere),
        asyncio.to_thread(host.homes, paths, home_dir),
    )
    return replace(facts, links=found, homes=homes), problems


def renew(paths: Paths, facts: Facts) -> Facts:
    """Return the facts as they are now of what methods change: images, leftovers, serving."""
    images, _ = read_images(paths)
    left, aside = leftovers.look(paths), leftovers.aside(paths)
    return replace(facts, images=images, leftovers=left, set_aside=aside, serving=not paths.silence.exists())


def _of_files(
    paths: Paths, programs: Iterable[Program], elsewhere: Mapping[str, Sequence[str]]
) -> tuple[Facts, tuple[Problem, ...]]:
    accounts, groups, unsent = people.look(paths, elsewhere)
    nameservers, domain = host.resolver(paths)
    boot_programs = host.boot_programs(paths)
    images, problems = read_images(paths)
    sources = find_sources(paths)
    left = leftovers.look(paths)
    exported, exported_homes = host.exported(paths)
    return (
        Facts(
            hostname=host.hostname(),
            machine=platform.machine(),
            nameservers=nameservers,
            search_domain=domain,
            epoptes=host.epoptes(paths),
            accounts=accounts,
            closed=closed.look(paths),
            groups=groups,
            unsent=unsent,
            packages_digest=packages_digest(paths.root),
            source_packages={source.name: _digest(source) for source in sources},
            sources=sources,
            images=images,
            programs=host.programs(programs),
            boot_programs=boot_programs,
            ipxe_enters_setup=host.ipxe_enters_setup(paths, boot_programs),
            loaders=host.loaders(paths, boot_programs),
            kernel_nfsd=host.kernel_nfsd(paths),
            container=host.in_container(paths),
            leftovers=left,
            set_aside=leftovers.aside(paths),
            connected=connected(paths),
            setup=host.setup(paths),
            exported=exported,
            exported_homes=exported_homes,
            boot=host.boot(paths),
            serving=not paths.silence.exists(),
            pi_files=pi.look(sources),
        ),
        (*problems, *leftovers.problems(left)),
    )


def _digest(source: Source) -> str:
    """Return what changes when a rebuild would bring something newer; empty if that is not known now."""
    # A disk can't be read while a machine runs on it, so it has no digest until the machine ends.
    file = Path(source.path)
    return use.stamp(file) if source.kind is SourceKind.DISK else packages_digest(file)


def packages_digest(root: Path) -> str:
    """Return a digest of the installed packages of a system, empty if it has no dpkg."""
    try:
        stat = (root / "var/lib/dpkg/status").stat()
    except OSError:
        return ""
    key = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if _packages.get(root, ((0, 0, 0), ""))[0] != key:
        _packages[root] = (key, read_packages(root).digest)
    return _packages[root][1]
