"""Desired -> files, purely: one module per output; ``outputs`` lists them in the order of applying. Pure."""

from ltspd.model.desired import Desired
from ltspd.model.output import Output
from ltspd.outputs import dhcp_dnsmasq as dnsmasq
from ltspd.outputs import gateway as http
from ltspd.outputs import menu_ipxe as ipxe
from ltspd.outputs import nbd, nfs, radvd
from ltspd.outputs import tftp_dnsmasq as tftp
from ltspd.outputs.sound import sound
from ltspd.paths import Paths


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
