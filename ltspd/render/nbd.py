"""NBD exports: one per layer, named by its digest, so that any kept generation can be reached. Pure."""

from ltspd.desired import Desired, File, Output

PATH = "/var/lib/ltspd/outputs/nbd-server.conf"
PORT = 10809


def exports(desired: Desired) -> Output:
    """Return the output that exports every layer of every kept generation."""
    layers = {
        layer.digest: f"{desired.images_path}/{image.name}/layers/{layer.file_name}"
        for image in desired.images
        for generation in image.generations
        for layer in generation.layers
    }
    lines = ["[generic]", "    user = nobody", "    group = nogroup", f"    port = {PORT}"]
    for digest, path in sorted(layers.items()):
        lines += [f"[{digest}]", f"    exportname = {path}", "    readonly = true", "    multifile = false"]
    missing = "" if "nbd-server" in desired.programs else "nbd-server is not installed; NBD roots won't work."
    return Output(
        name="nbd",
        files=(File(PATH, "\n".join(lines).encode() + b"\n"),),
        unit="ltspd-nbd.service",
        wanted=bool(layers) and bool(desired.served),
        # Not by a reload: after SIGHUP, nbd-server 3.24 serves only exports that are new. A restart leaves
        # the processes of connected clients alone (KillMode=process in the unit).
        reload=False,
        ports=(("tcp", PORT),),
        missing=missing,
    )
