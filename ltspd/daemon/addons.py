"""The add-on initrds, which every pass makes from accounts, settings and the client's files."""

import asyncio
import logging

from ltspd.errors import LtspError
from ltspd.initrd.addon import make_nbd_initrd, make_settings_initrd
from ltspd.initrd.boot import read_client
from ltspd.model.desired import AddOn
from ltspd.paths import Paths

log = logging.getLogger(__name__)


class AddOns:
    """Makes ltsp.img and nbd.img, and keeps between passes what seldom changes."""

    def __init__(self, paths: Paths) -> None:
        """Take programs for nbd.img from below ``paths.root``."""
        self._paths = paths
        self._nbd: tuple[str, bytes] = ("", b"")
        self._client: dict[str, bytes] = {}

    async def make(self, add_on: AddOn, packages_digest: str) -> dict[str, bytes]:
        """Return the add-on initrds by their names; ``packages_digest`` is that of the server's packages."""
        nbd = await self._nbd_add_on(packages_digest or "-")
        # Read once: while our package is upgraded, files of two versions lie there. Then it restarts us.
        client = self._client = self._client or await asyncio.to_thread(read_client)
        settings = await asyncio.to_thread(
            make_settings_initrd, add_on.settings, add_on.accounts, add_on.groups, add_on.resolver, client
        )
        return {"ltsp.img": settings} | ({"nbd.img": nbd} if nbd else {})

    async def _nbd_add_on(self, digest: str) -> bytes:
        """Return nbd.img, made again only when the server's packages changed; empty if that fails."""
        if self._nbd[0] != digest:
            try:
                data = await make_nbd_initrd(self._paths.root)
            except LtspError as error:
                log.warning("No NBD roots: %s", error.message)
                data = b""
            self._nbd = (digest, data)
        return self._nbd[1]
