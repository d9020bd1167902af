"""Desired -> files, purely: one module per output; ``outputs`` lists them in the order of applying. Pure."""

from ltspd.desired import Desired, Output
from ltspd.paths import Paths
from ltspd.render import dnsmasq, http, ipxe, nbd, nfs, radvd, tftp
from ltspd.render.sound import sound


def outputs(desired: Desired, paths: Paths, nbd_add_on: bytes, add_on: bytes) -> tuple[Output, ...]:
    """Return every output; files before the services that hand them out.

    ``add_on`` is the finished ltsp.img and ``nbd_add_on`` nbd.img (empty: there is none).
    """
    desired = sound(desired)
    return (
        tftp.boot_files(desired, add_on, nbd_add_on),
        ipxe.menu(desired),
        nfs.exports(desired),
        nbd.exports(desired),
        http.gateway(desired, bool(nbd_add_on)),
        tftp.service(desired),
        radvd.advertisements(desired),
        dnsmasq.dhcp(desired),
    )
