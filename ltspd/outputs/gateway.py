"""The gateway's table: every URL that exists, and the file behind it. Pure."""

from ltspd.clients.table import Table, dump
from ltspd.model.desired import Desired
from ltspd.model.output import File, Output

PATH = "/var/lib/ltspd/outputs/gateway.json"
BASE = "/ltsp"


def gateway(desired: Desired, with_nbd: bool) -> Output:
    """Return the output that serves boot files and layers over HTTP."""
    addresses = tuple(sorted({str(link.address.ip) for link in desired.served}))
    networks = tuple(sorted({str(link.address.network) for link in desired.served}))
    files = _files(desired, with_nbd)
    table = Table(
        addresses, desired.http_port, files, networks, desired.metrics_port, desired.http_connections
    )
    return Output(
        name="http",
        files=(File(PATH, dump(table)),),
        unit="ltspd-gateway.service",
        wanted=bool(addresses),
        reload=True,
        ports=(("tcp", desired.http_port),),
        port_setting="HTTP_PORT",
    )


def _files(desired: Desired, with_nbd: bool) -> dict[str, str]:
    files = {f"{BASE}/{name}": f"{desired.tftp_directory}/{name}" for name in ("ltsp.ipxe", "ltsp.img")}
    if with_nbd:
        files[f"{BASE}/nbd.img"] = f"{desired.tftp_directory}/nbd.img"
    for name, path in desired.boot_programs.items():
        files[f"{BASE}/{name}"] = path
    for image in desired.images:
        for generation in image.generations:
            for layer in generation.layers:
                _add(files, desired, f"{image.name}/layers/{layer.file_name}")
            for name in ("vmlinuz", "initrd.img"):
                _add(files, desired, f"{image.name}/generations/{generation.id}/{name}")
    return files


def _add(files: dict[str, str], desired: Desired, relative: str) -> None:
    files[f"{BASE}/images/{relative}"] = f"{desired.images_path}/{relative}"
