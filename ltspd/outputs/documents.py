"""The signed documents that running clients fetch: accounts, and settings. Pure."""

from ltspd.model.output import File, Output
from ltspd.outputs.world import World

# Before the gateway, which is told of its new table once all files are there.
ORDER = 45
DIRECTORY = "/var/lib/ltspd/documents"


def render(world: World) -> Output | None:
    """Return the output; None where nothing can be signed."""
    if not world.signed:
        return None
    files = (File(f"{DIRECTORY}/{name}", data) for name, data in sorted(world.signed.items()))
    return Output("documents", tuple(files))
