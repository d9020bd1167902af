"""The add-on initrds. ltsp.img: what runs on clients, their settings, and accounts. nbd.img: our nbd-client.

A client loads ltsp.img before the boot initrd of any image. So a change of settings or accounts, or an
upgrade of ltspd, changes this one small file and no image. It holds no secret. Roots by NBD need nbd.img.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from ltspd.errors import LtspError
from ltspd.foreign.read import read_whole
from ltspd.initrd import boot, cpio
from ltspd.model.account import Account, Group
from ltspd.model.desired import Homes

# Every generation's ``init`` with LTSP_API=1 starts this file, and generations never change.
_ENTRY = cpio.symlink("ltsp/client/main.sh", "boot/main.sh")
# Characters that end a field or a line. Bytes that are no UTF-8, as in old accounts' real names, do not.
_BREAKS = re.compile("[:\x00-\x1f\x7f]")
# The program that `make install` builds from nbd/nbd-client.c.
NBD_CLIENT = "usr/lib/ltspd/nbd-client"
# Where the boot initrds of all generations, however old, look for it.
_NBD_PLACE = "ltsp/nbd/bin/nbd-client"


def make_settings_initrd(
    settings: bytes,
    accounts: Iterable[Account],
    groups: Iterable[Group],
    resolver: bytes,
    client: Mapping[str, bytes],
    login: Mapping[str, bytes] = MappingProxyType({}),
    homes: Homes | None = None,
) -> bytes:
    """Return ltsp.img: an uncompressed archive, because the first initrd must be one.

    ``settings`` is the generated shell text, ``resolver`` what clients have in resolv.conf(5) where they set
    nothing, ``client`` are the files of what runs on them by their paths, ``login`` those by which they know
    the server, ``homes`` what they mount by NFS. Accounts and groups become lines of passwd(5) and group(5)
    with ``x`` for the password; one whose fields would break its line is left out.
    """
    passwd = [
        (each.name, "x", str(each.uid), str(each.gid), each.gecos, each.home, each.shell) for each in accounts
    ]
    group = [(each.name, "x", str(each.gid), ",".join(each.members)) for each in groups]
    return cpio.archive(
        [
            cpio.file("ltsp/settings", settings),
            cpio.file("ltsp/passwd", _lines(passwd)),
            cpio.file("ltsp/group", _lines(group)),
            cpio.file("ltsp/resolver", resolver),
            *(
                [cpio.file("ltsp/homes", f"{homes.port} {homes.path} {homes.point}\n".encode())]
                if homes
                else []
            ),
            *(cpio.file(f"ltsp/login/{name}", data) for name, data in sorted(login.items())),
            *(cpio.file(f"ltsp/client/{path}", data, 0o755) for path, data in sorted(client.items())),
            _ENTRY,
        ]
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    sound = (row for row in rows if row[0] and not any(map(_BREAKS.search, row)))
    return "".join(":".join(row) + "\n" for row in sound).encode("utf-8", "surrogateescape")


async def make_nbd_initrd(root: Path = Path("/")) -> bytes:
    """Return nbd.img with the nbd-client of the server, whose root is ``root``.

    Raises LtspError if the program is missing, ToolFailed.
    """
    program = await asyncio.to_thread(read_whole, root, NBD_CLIENT)
    if program is None:
        raise LtspError(f"{root / NBD_CLIENT} is missing: reinstall ltspd.")
    return cpio.aligned(await boot.compress(cpio.archive([cpio.file(_NBD_PLACE, program, 0o755)])))
