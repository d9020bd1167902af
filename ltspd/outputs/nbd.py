"""NBD exports: one per layer, named by its digest, so that any kept generation can be reached. Pure."""

from collections.abc import Mapping

from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 40
PATH = "/var/lib/ltspd/outputs/nbd-server.conf"
NBD_SERVER = Program("nbd-server")
PROGRAMS = (NBD_SERVER,)
UNIT = "ltspd-nbd.socket"
UNITS = (UNIT,)
PORT = 10809


def configuration(layers: Mapping[str, str]) -> bytes:
    """Return nbd-server's configuration that exports files, given by their digests, read-only."""
    # No port here, or nbd-server would listen itself; it gets its connection from systemd.
    lines = ["[generic]"]
    for digest, path in sorted(layers.items()):
        lines += [f"[{digest}]", f"    exportname = {path}", "    readonly = true", "    multifile = false"]
    return "\n".join(lines).encode() + b"\n"


def render(world: World) -> Output:
    """Return the output that exports every layer of every kept generation."""
    store = world.desired.store
    layers = {
        layer.digest: f"{store.path}/{image.name}/layers/{layer.file_name}"
        for image in store.images
        for generation in image.generations
        for layer in generation.layers
    }
    missing = "" if NBD_SERVER in world.programs else "nbd-server is not installed; NBD roots won't work."
    return Output(
        name="nbd",
        files=(File(PATH, configuration(layers)),),
        # Each connection has a process of its own, which reads the exports when it starts.
        activation=Unit(UNIT, follows=True),
        wanted=bool(layers) and bool(world.desired.network.served),
        ports=(("tcp", PORT),),
        missing=missing,
    )
