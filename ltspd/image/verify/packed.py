"""Whether a layer holds what was meant to go into it; mksquashfs, memory or a disk may have made an error.

A program of its own (`ltspd.image.verify.compared`) does the comparing, because that takes a core for
seconds, and so that the layer is mounted where nobody else sees it.
"""

import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import ltspd
from ltspd.errors import NotInstalled, ToolFailed
from ltspd.image.look.contents import Contents
from ltspd.image.look.entries import Changes
from ltspd.image.pack import squashfs
from ltspd.image.pack.spool import members
from ltspd.system.run import run

log = logging.getLogger(__name__)

# The content is read again for this share of the time that packing took. That is all of a small image in
# two seconds, and a sample of a large one. Names and metadata are compared in any case.
SHARE = 0.03
# Files with holes may be packed wrongly by these (squashfs-tools, CHANGES.md of 4.7.5).
_BAD_FROM, _BAD_BEFORE = (4, 7), (4, 7, 5)
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from ltspd.image.verify.compared import main; main()"
)
# Where a machine (a container, say) does not let us mount a squashfs at all.
_UNABLE = re.compile(rb"unshare:|setup loop|unknown filesystem|not permitted|[Pp]ermission denied|superuser")


async def check_tool() -> str:
    """Return mksquashfs's version; raises NotInstalled if it is one that is known to make wrong layers."""
    if shutil.which("mksquashfs") is None:
        raise NotInstalled("There is no mksquashfs here to make layers with. Install squashfs-tools.")
    version = await squashfs.tool_version()
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
    if _BAD_FROM <= numbers < _BAD_BEFORE:
        raise NotInstalled(
            f"mksquashfs {version} may pack files that have holes wrongly: clients would read other content. "
            "Install squashfs-tools 4.7.5 or newer, or one older than 4.7, and build again."
        )
    return version


async def check_everything(
    layer: Path,
    root: Path,
    table: Path,
    now: Contents,
    above: Changes,
    scratch: Path,
    seconds: float,
    listing: Path,
) -> None:
    """Compare a layer of everything with its source, the content of its files for ``seconds``.

    ``table`` is the file with the generation's entries, ``listing`` that with the layer's own list, ``now``
    the last scan of the source. What changed between the scans, so that a layer ``above`` has it, is not
    judged, nor what changed since. Where squashfs can't be mounted a warning is logged. Raises ToolFailed.
    """
    apart = members(above, now.tree.links) | frozenset(above.gone) if above else ()
    said = {
        "kind": "tree",
        "source": str(root),
        "table": str(table),
        "links": [list(map(os.fsdecode, group)) for group in now.tree.links],
        "apart": list(map(os.fsdecode, apart)),
        "opaque": list(map(os.fsdecode, above.opaque)),
        "replaced": list(map(os.fsdecode, now.replaced)),
        "listing": str(listing),
    }
    await _compare(layer, said, scratch, seconds)


async def check_spooled(layer: Path, spooled: Path, scratch: Path) -> None:
    """Compare a layer of changes with the tar file that was packed, all of it; as ``check_everything``."""
    await _compare(layer, {"kind": "tar", "source": str(spooled)}, scratch, None)


async def check_folded(layer: Path, layers: Iterable[Path], scratch: Path, seconds: float) -> None:
    """Compare a layer with those (base first) that were folded into it; as ``check_everything``."""
    with TemporaryDirectory(dir=scratch) as place:
        before = squashfs.mounted(tuple(layers), Path(place))
        await _compare(layer, {"kind": "view", "source": f"{place}/view"}, scratch, seconds, before)


async def _compare(
    layer: Path, said: Mapping[str, object], scratch: Path, seconds: float | None, before: Iterable[str] = ()
) -> None:
    with TemporaryDirectory(dir=scratch) as place:
        asked = Path(place, "asked")
        asked.write_text(json.dumps({**said, "seconds": seconds}), "ascii")
        mounted = squashfs.mounted((layer,), Path(place, "mounts"))
        Path(place, "mounts").mkdir()
        library = str(Path(ltspd.__file__).parents[1])
        argv = [*squashfs.PRIVATE, *before, *mounted, sys.executable, "-I", "-c", _START, library, str(asked)]
        done = await run(argv, whole=1 << 20, background=True, check=False)
    if done.status != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        why = words[-1] if words else f"status {done.status}"
        if _UNABLE.search(done.stderr):
            log.warning("A new layer can't be compared with what went into it: %s", why)
            return
        raise ToolFailed(
            f"The layer that was packed can't be read, so it is not published: {why}. Build again. If it "
            "fails again, test the server's disk and memory."
        )
    found = json.loads(done.stdout)
    if wrong := found["wrong"]:
        more = f"; and {found['count'] - len(wrong)} more" if found["count"] > len(wrong) else ""
        raise ToolFailed(
            f"What was packed is not what was meant, so it is not published: {'; '.join(wrong)}{more}. Build "
            "again. If it fails again, try another version of squashfs-tools, and test this server's memory."
        )
    log.info(
        "Compared %d entries of a new layer with what went into it, and %d MB in %d of them",
        *(found["entries"], found["size"] // 10**6, found["read"]),
    )
