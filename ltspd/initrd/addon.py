"""The add-on initrds. ltsp.img: what runs on clients, their settings, and accounts. nbd.img: our nbd-client.

A client loads ltsp.img before the boot initrd of any image. So a change of settings or accounts, or an
upgrade of ltspd, changes this one small file and no image. It holds no secret. Roots by NBD need nbd.img.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ltspd.errors import LtspError
from ltspd.foreign.read import read_whole
from ltspd.initrd import boot, cpio
from ltspd.model.desired import Homes

# Every generation's ``init`` with LTSP_API=1 starts this file, and generations never change.
_ENTRY = cpio.symlink("ltsp/client/main.sh", "boot/main.sh")
# The program that `make install` builds from nbd/.
NBD_CLIENT = "usr/lib/ltspd/nbd-client"
# Where the boot initrds of all generations, however old, look for it.
_NBD_PLACE = "ltsp/nbd/bin/nbd-client"


def make_settings_initrd(
    settings: bytes,
    accounts: bytes,
    resolver: bytes,
    client: Mapping[str, bytes],
    login: Mapping[str, bytes] = MappingProxyType({}),
    homes: Homes | None = None,
    swap: str = "",
    epoptes: bytes = b"",
) -> bytes:
    """Return ltsp.img: an uncompressed archive, because the first initrd must be one.

    ``settings`` is the generated shell text, ``accounts`` the document of the server's accounts, ``resolver``
    what clients have in resolv.conf(5) where they set nothing, ``client`` are the files of what runs on them
    by their paths, ``login`` those by which they know the server, ``homes`` what they mount by NFS.
    ``swap`` is a line: port, digest of the program for it, size if a client's own settings say none.
    ``epoptes`` is the certificate of the server's Epoptes.
    """
    return cpio.archive(
        [
            cpio.file("ltsp/settings", settings),
            cpio.file("ltsp/accounts", accounts),
            cpio.file("ltsp/resolver", resolver),
            *(
                [cpio.file("ltsp/homes", f"{homes.port} {homes.path} {homes.point}\n".encode())]
                if homes
                else []
            ),
            *([cpio.file("ltsp/swap", f"{swap}\n".encode())] if swap else []),
            *([cpio.file("ltsp/epoptes.crt", epoptes)] if epoptes else []),
            *(cpio.file(f"ltsp/login/{name}", data) for name, data in sorted(login.items())),
            *(cpio.file(f"ltsp/client/{path}", data, 0o755) for path, data in sorted(client.items())),
            _ENTRY,
        ]
    )


async def nbd_client(root: Path = Path("/")) -> bytes | None:
    """Return the server's program for clients; None if it is missing."""
    return await asyncio.to_thread(read_whole, root, NBD_CLIENT)


async def make_nbd_initrd(root: Path = Path("/")) -> bytes:
    """Return nbd.img with the nbd-client of the server, whose root is ``root``.

    Raises LtspError if the program is missing, ToolFailed.
    """
    program = await nbd_client(root)
    if program is None:
        raise LtspError(f"{root / NBD_CLIENT} is missing: reinstall ltspd.")
    (packed,) = await boot.compress([cpio.archive([cpio.file(_NBD_PLACE, program, 0o755)])])
    return cpio.aligned(packed)
