"""Moving the files of an earlier LTSP aside, and back: they are renamed in place, so nothing is lost."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ltspd.errors import ToolFailed, Unanswered
from ltspd.migration import leftovers
from ltspd.migration.leftovers import ASIDE
from ltspd.model.facts import Leftover
from ltspd.paths import Paths

if TYPE_CHECKING:
    from ltspd.dbus.systemd import Systemd

log = logging.getLogger(__name__)

# The distribution's services that read a directory, and the method of systemd that makes them read it again.
_READERS = {
    "/etc/dnsmasq.d": ("dnsmasq.service", "RestartUnit"),
    "/etc/exports.d": ("nfs-server.service", "ReloadUnit"),
    "/etc/nbd-server/conf.d": ("nbd-server.service", "RestartUnit"),
}
# TFTP serves their directory, and LTSP's add-on initrd may hold passwords, so nobody may read them aside.
_SERVED = frozenset({"ltsp.ipxe", "ltsp.img"})


async def tell_readers(moved: Iterable[str], systemd: "Systemd", *, back: bool = False) -> None:
    """Make the distribution's services read their directories again after files were moved aside or ``back``.

    No service is restarted once its files are back: its ports are ours until ltspd is removed, and then the
    package restarts it. A service that failed because of our ports can start once its files are aside.
    """
    for directory in sorted({os.path.dirname(each) for each in moved} & _READERS.keys()):
        unit, method = _READERS[directory]
        restarts = method == "RestartUnit"
        if back and restarts:
            continue
        try:
            active = (await systemd.status(unit)).active
            if active == "active" or (active == "failed" and restarts):
                result = await systemd.act(method, unit)
                if result != "done":
                    # nbd-server ends if it has no export, which is right here.
                    log.info("%s after a change of %s: %s", unit, directory, result)
        except Unanswered as error:
            log.warning(
                "Whether %s took note of the change of %s is not known; 'systemctl %s %s' makes it do so: %s",
                unit, directory, "try-restart" if restarts else "reload", unit, error.message,
            )  # fmt: skip


def move_aside(paths: Paths, found: Iterable[Leftover]) -> tuple[str, ...]:
    """Rename the files aside and return their old names; raises ToolFailed with everything as it was."""
    moved: list[Path] = []
    for each in found:
        if not each.moves:
            continue
        place = paths.at(each.path)
        try:
            _keep(place)
        except OSError as error:
            for other in moved:
                with suppress(OSError):
                    _restore(other)
            raise ToolFailed(
                f"{each.path} can't be moved aside ({error.strerror}), so nothing was. If its directory is "
                "newer than the daemon, 'systemctl restart ltspd' helps."
            ) from error
        moved.append(place)
        log.info("Moved %s aside: %s", each.path, _aside(place).name)
    return tuple("/" + str(each.relative_to(paths.root)) for each in moved)


def put_back(paths: Paths) -> tuple[str, ...]:
    """Give files that were moved aside their names again and return those; raises ToolFailed.

    If a name was taken meanwhile by a file that isn't ours, the file stays aside.
    """
    back = []
    for name in leftovers.aside(paths):
        place = paths.at(name)
        if place.exists() and not leftovers.is_ours(place):
            log.info("%s is there again; %s stays aside", name, _aside(place).name)
            continue
        try:
            _restore(place)
        except OSError as error:
            raise ToolFailed(f"{name} can't be put back ({error.strerror}).") from error
        back.append(name)
    return tuple(back)


def _aside(place: Path) -> Path:
    return place.with_name(place.name + ASIDE)


def _keep(place: Path) -> None:
    kept = _aside(place)
    if kept.exists() and kept.read_bytes() != place.read_bytes():
        older = (place.with_name(f"{place.name}.{number}{ASIDE}") for number in range(1, 1000))
        kept.rename(next(each for each in older if not each.exists()))
    place.rename(kept)
    if place.name in _SERVED:
        kept.chmod(0o600)


def _restore(place: Path) -> None:
    if place.name in _SERVED:
        _aside(place).chmod(0o644)
    _aside(place).rename(place)
