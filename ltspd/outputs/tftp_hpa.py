"""TFTP by tftpd-hpa, if TFTP_SERVER says so: the same directory on the same addresses as by dnsmasq. Pure."""

from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.tftp_dnsmasq import TFTP, TFTP_SERVER, TftpServer
from ltspd.outputs.world import World

ORDER = 60
# The unit's environment (systemd.exec(5)), as tftpd-hpa has no file of its own.
PATH = "/var/lib/ltspd/outputs/tftpd-hpa.conf"
# How it finds what is asked for. Closed into the directory, it could not follow links out of that, which lead
# to boot programs and images.
MAP = "/var/lib/ltspd/outputs/tftpd-hpa.map"
TFTPD = Program("in.tftpd")
PROGRAMS = (TFTPD,)
UNIT = "ltspd-tftpd-hpa.service"
UNITS = (UNIT,)


def render(world: World) -> Output | None:
    """Return the output that serves the TFTP directory on the served links; None if dnsmasq does."""
    if world.settings[TFTP_SERVER] is not TftpServer.HPA:
        return None
    served = world.desired.network.answered
    root = world.paths.tftp.rsplit("/", 1)[0]
    addresses = sorted({each.address.ip for each in served})
    head = "# Written by ltspd; changes here are reported, not kept."
    lines = [head, f'ADDRESSES="{" ".join(map(str, addresses))}"']
    # A backslash begins what stands for something else there.
    rules = [head, r"a (^|/)\.\.(/|$)", rf"r ^/*(.*)$ {root.replace(chr(92), chr(92) * 2)}/\1"]
    return Output(
        name="tftp",
        files=tuple(
            File(path, "\n".join(each).encode() + b"\n") for path, each in ((PATH, lines), (MAP, rules))
        ),
        activation=Unit(UNIT),
        wanted=bool(served) and world.settings[TFTP],
        ports=(("udp", 69),),
        missing=""
        if TFTPD in world.programs
        else (
            "in.tftpd is not installed, so nobody gets a boot program; install tftpd-hpa, or take "
            "TFTP_SERVER= out of ltsp.conf."
        ),
        questions=tuple(f"tftp:{link.link}:{link.address.ip}" for link in served),
    )
