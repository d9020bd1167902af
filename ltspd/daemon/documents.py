"""The signed documents for running clients: numbered, kept over restarts, signed once for each change."""

import asyncio
import time
from collections.abc import Mapping

from ltspd.clients.documents import numbered
from ltspd.errors import LtspError
from ltspd.model.state import Problem
from ltspd.outputs.documents import DIRECTORY
from ltspd.paths import Paths
from ltspd.system import sshkeys


class Documents:
    """Makes the documents of each pass. ``problems`` says why clients get none."""

    def __init__(self, paths: Paths) -> None:
        """Go on from the documents below ``paths.root``, which the last daemon wrote."""
        self._paths = paths
        self._last: dict[str, bytes] = {}
        self._signatures: dict[str, tuple[bytes, bytes]] = {}
        self.problems: tuple[Problem, ...] = ()

    async def number(self, texts: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the documents by name; one that says what it said before keeps its number."""
        for name, text in texts.items():
            if name not in self._last:
                self._last[name] = await asyncio.to_thread(self._read, name)
            self._last[name] = numbered(name, text, self._last[name], int(time.time()))
        return {name: self._last[name] for name in texts}

    def _read(self, name: str) -> bytes:
        try:
            return self._paths.at(f"{DIRECTORY}/{name}").read_bytes()
        except OSError:
            return b""

    async def sign(self, documents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return them with their signatures beside them; nothing, if the server can't sign."""
        found: dict[str, bytes] = {}
        self.problems = ()
        for name, text in documents.items():
            if self._signatures.get(name, (b"", b""))[0] != text:
                try:
                    signature = await sshkeys.sign(self._paths.keys / "orders", "ltspd", text)
                except (LtspError, OSError) as error:
                    why = f"running clients get no changes before they restart: {error}"
                    self.problems = (Problem("keys", why),)
                    return {}
                self._signatures[name] = (text, signature)
            found |= {name: text, f"{name}.sig": self._signatures[name][1]}
        return found
