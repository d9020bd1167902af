"""Files that clients fetch: a request's path is looked up in the table, and never joined to a directory."""

import asyncio
import logging
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from ltspd.gateway.metrics import Counts
from ltspd.gateway.slim import Slim

log = logging.getLogger("ltspd.gateway")

_SLASHES = re.compile("/{2,}")


class Files:
    """The files of the table."""

    def __init__(self, counts: Counts, slim: Slim) -> None:
        """Count the bytes that go out; ``slim`` serves parts of initrds. There is no file yet."""
        self._counts, self._slim = counts, slim
        self.paths: Mapping[str, str] = {}
        self._kept: Mapping[str, bytes] = {}

    def follow(self, paths: Mapping[str, str], documents: Mapping[str, str]) -> None:
        """Answer with these files; keep what all running clients fetch at one moment in memory.

        ``documents`` are such files by URL, with the digests that clients were told. One whose file is newer
        by now stays as it was: its signature belongs to it, and another table is about to come.
        """
        kept = dict[str, bytes]()
        for url, digest in documents.items():
            pair = {each: _read(paths.get(each, "")) for each in (url, f"{url}.sig")}
            if sha256(pair[url]).hexdigest() == digest:
                kept |= pair
            elif url in self._kept:
                kept |= {each: self._kept[each] for each in pair}
        self.paths, self._kept = paths, kept

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the file that a request asks for; raises HTTPNotFound."""
        if (data := self._kept.get(request.path)) is not None:
            self._counts.bytes += len(data)
            return web.Response(body=data, content_type="application/octet-stream")
        # shim asks for its second part with two slashes before the name.
        file = self.paths.get(_SLASHES.sub("/", request.path))
        if file is None:
            # The path as it came: decoded it could hold control characters.
            log.info("%s %s %s 404", request.remote, request.method, request.raw_path[:200])
            raise web.HTTPNotFound(
                text="No such boot file. 'ltspctl output list' on the server tells more.\n"
            )
        span = request.headers.get("Range", "")[:60]
        log.info("%s %s %s %s", request.remote, request.method, request.path, span)
        # aiohttp 3.8 gives no answer at all if it can't open the file.
        if not await asyncio.to_thread(os.access, file, os.R_OK):
            log.error("%s of the table can't be read", file)
            raise web.HTTPNotFound(text="This boot file is not there now. The server's journal tells more.\n")
        if file.endswith("/initrd.img") and (part := await self._slim.answer(request, file)) is not None:
            return part
        return _File(self._counts, file)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


class _File(web.FileResponse):
    """A file whose bytes are counted once they have gone out."""

    def __init__(self, counts: Counts, path: str) -> None:
        super().__init__(path, chunk_size=1 << 20, headers={"Content-Type": "application/octet-stream"})
        self._counts = counts

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        # Sends everything; a transfer that is cut off raises.
        try:
            writer = await super().prepare(request)
        except TimeoutError as error:
            # The client took nothing for long. aiohttp handles the end of a connection only as this error.
            raise ConnectionResetError(str(error)) from error
        if request.method == "GET" and self.status in (200, 206):
            self._counts.bytes += self.content_length or 0
        return writer
