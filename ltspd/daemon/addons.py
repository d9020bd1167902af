"""The add-on initrds, which every pass makes from accounts, settings, keys and the client's files."""

import asyncio
import logging
from hashlib import sha256
from pathlib import PurePosixPath

from ltspd.clients.documents import ACCOUNTS, SETTINGS, accounts_text
from ltspd.config.features import for_clients
from ltspd.daemon.documents import Documents
from ltspd.errors import LtspError
from ltspd.initrd.addon import make_nbd_initrd, make_settings_initrd, nbd_client
from ltspd.initrd.boot import read_client
from ltspd.model.desired import SWAP_PORT, AddOn
from ltspd.model.state import Problem
from ltspd.paths import Paths
from ltspd.system import sshkeys

log = logging.getLogger(__name__)


class AddOns:
    """Makes ltsp.img and nbd.img, and keeps between passes what seldom changes.

    ``problems`` are those of the server's own keys, of which clients get the public halves, and of the signed
    documents for clients that run, which are in ``signed`` with their signatures, by name.
    """

    def __init__(self, paths: Paths) -> None:
        """Take programs for nbd.img from below ``paths.root``."""
        self._paths = paths
        self._nbd: tuple[str, bytes] = ("", b"")
        self._client: dict[str, bytes] = {}
        self._documents = Documents(paths)
        self.signed: dict[str, bytes] = {}
        self.problems: tuple[Problem, ...] = ()

    async def make(self, add_on: AddOn, packages_digest: str) -> dict[str, bytes]:
        """Return the add-on initrds by their names; ``packages_digest`` is that of the server's packages."""
        nbd = await self._nbd_add_on(packages_digest or "-")
        # Read once: while our package is upgraded, files of two versions lie there. Then it restarts us.
        client = self._client = self._client or await asyncio.to_thread(read_client)
        login = await self._login(add_on.login_port)
        features = {
            PurePosixPath(path).stem: data.decode()
            for path, data in client.items()
            if path.startswith("features/")
        }
        accounts = await asyncio.to_thread(accounts_text, add_on.accounts, add_on.groups)
        documents = await self._documents.number({ACCOUNTS: accounts, SETTINGS: add_on.settings})
        self.signed = await self._documents.sign(documents) if login else {}
        self.problems = (*self.problems, *self._documents.problems)
        archive = await asyncio.to_thread(
            make_settings_initrd,
            documents[SETTINGS],
            documents[ACCOUNTS],
            add_on.resolver,
            client | {"known": for_clients(features).encode()},
            login,
            add_on.homes,
            await self._swap(add_on.swap),
            add_on.epoptes,
        )
        return {"ltsp.img": archive} | ({"nbd.img": nbd} if nbd else {})

    async def _login(self, port: int) -> dict[str, bytes]:
        """Return the files by which clients know the server; its keys are made first where there are none."""
        keys, comments = self._paths.keys, {"login": "ltspd login", "orders": "ltspd orders"}
        try:
            for name, comment in comments.items():
                await sshkeys.make(keys / name, comment)
        except (LtspError, OSError) as error:
            self.problems = (
                Problem(
                    "keys",
                    f"this server has no keys of its own, so nobody can log in at clients: {error}. "
                    "ssh-keygen comes with openssh-client; install it if it is missing.",
                ),
            )
            return {}
        self.problems = ()
        host, orders = (sshkeys.public(keys / name) for name in comments)
        files = {
            "known_hosts": f"ltsp-login {host}\n",
            "allowed_signers": f'ltsp-server namespaces="ltspd" {orders}\n',
        }
        if port:
            files["port"] = f"{port}\n"
        # For sessions that run on the server (SESSION), by the sshd that its administrator has set up.
        if own := await asyncio.to_thread(sshkeys.of_sshd, self._paths.at("/etc/ssh")):
            files["session_hosts"] = "".join(f"server {each}\n" for each in own)
        return {name: text.encode() for name, text in files.items()}

    async def _swap(self, size: str) -> str:
        """Return what clients must know of their swap; empty if there is none."""
        program = await nbd_client(self._paths.root) if size else None
        return f"{SWAP_PORT} {sha256(program).hexdigest()} {size}" if program else ""

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
