"""Keys and signatures of OpenSSH, by ssh-keygen; keys lie in a directory that only root may read."""

import asyncio
import tempfile
from pathlib import Path

from ltspd.errors import ToolFailed
from ltspd.system.files import write_atomically
from ltspd.system.run import run


def _public_half(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


async def make(path: Path, comment: str) -> None:
    """Make an Ed25519 key at ``path``, and its public half beside it, where they are missing.

    The public half comes first, so that a private key that is there is whole. Raises ToolFailed, OSError.
    """
    if path.exists() and _public_half(path).exists():
        return
    await asyncio.to_thread(path.parent.mkdir, 0o700, parents=True, exist_ok=True)
    if path.exists():
        public = (await run(["ssh-keygen", "-y", "-f", str(path)], whole=4096)).stdout
        await asyncio.to_thread(write_atomically, _public_half(path), public)
        return
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        new = Path(place) / "key"
        await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(new)])
        await asyncio.to_thread(write_atomically, _public_half(path), _public_half(new).read_bytes())
        await asyncio.to_thread(write_atomically, path, new.read_bytes(), 0o600)


def public(path: Path) -> str:
    """Return the public half of the key at ``path``, as ``ssh-ed25519 AAAA…``; empty if it can't be read."""
    try:
        kind, key, *_ = _public_half(path).read_text().split()
    except (OSError, ValueError):
        return ""
    return f"{kind} {key}"


def of_sshd(place: Path) -> tuple[str, ...]:
    """Return the public halves of the keys that an sshd has, from the directory of its settings."""
    found = (public(each.with_suffix("")) for each in sorted(place.glob("ssh_host_*_key.pub")))
    return tuple(filter(None, found))


async def sign(path: Path, namespace: str, data: bytes) -> bytes:
    """Return the signature of the data, as ``ssh-keygen -Y verify`` takes it; raises ToolFailed."""
    signed = await run(["ssh-keygen", "-Y", "sign", "-f", str(path), "-n", namespace], stdin=data, whole=4096)
    if not signed.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise ToolFailed("ssh-keygen gave no signature")
    return signed.stdout
