"""Keys of clients, by the accounts that they open: authorized_keys(5), one file for each account. Pure."""

from ltspd.model.output import File, Output
from ltspd.outputs.world import World

# Before the sshd that reads them.
ORDER = 54
PATH = "/var/lib/ltspd/outputs/login/keys"
# Only files, whatever else that sshd may ever allow.
_OPTIONS = 'restrict,command="internal-sftp"'


def render(world: World) -> Output | None:
    """Return the output with a file for each account that a client opens; None if none does."""
    lines: dict[str, list[str]] = {}
    for each in sorted(world.desired.openings, key=lambda each: (each.account, each.mac)):
        lines.setdefault(each.account, []).append(f"{_OPTIONS} {each.key} {each.mac}\n")
    files = tuple(File(f"{PATH}/{name}", "".join(texts).encode()) for name, texts in lines.items())
    return Output("login-keys", files) if files else None
