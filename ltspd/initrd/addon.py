"""The add-on initrd ltsp.img: what runs on clients, their settings, the server's login accounts. Pure.

It is loaded before the boot initrd of whichever image, so that a change of settings or accounts, or an
upgrade of ltspd, touches this one small file and no image. It holds no secret.
"""

import re
from collections.abc import Iterable, Mapping

from ltspd.initrd import cpio
from ltspd.model.account import Account, Group

# Every generation's ``init`` with LTSP_API=1 starts this file, and generations never change.
_ENTRY = cpio.symlink("ltsp/client/main.sh", "boot/main.sh")
# What ends a field or a line. Bytes that are no UTF-8 are some old account's real name, and break neither.
_BREAKS = re.compile("[:\x00-\x1f\x7f]")


def make_settings_initrd(
    settings: bytes,
    accounts: Iterable[Account],
    groups: Iterable[Group],
    resolver: bytes,
    client: Mapping[str, bytes],
) -> bytes:
    """Return ltsp.img: an uncompressed archive, because the first initrd must be one.

    ``settings`` is the generated shell text, ``resolver`` what clients have in resolv.conf(5) where they set
    nothing, ``client`` are the files of what runs on them by their paths. Accounts and groups become lines of
    passwd(5) and group(5) with ``x`` for the password; one whose fields would break its line is left out.
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
            *(cpio.file(f"ltsp/client/{path}", data, 0o755) for path, data in sorted(client.items())),
            _ENTRY,
        ]
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    sound = (row for row in rows if row[0] and not any(map(_BREAKS.search, row)))
    return "".join(":".join(row) + "\n" for row in sound).encode("utf-8", "surrogateescape")
