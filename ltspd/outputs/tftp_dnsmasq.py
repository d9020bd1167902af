"""TFTP: the dnsmasq that hands out boot programs, menu and add-on initrds. Pure."""

from enum import StrEnum

from ltspd.config.parameter import SERVER, Parameter
from ltspd.config.readers import FLAG, choice
from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 60
PATH = "/var/lib/ltspd/outputs/tftp.conf"
DNSMASQ = Program("dnsmasq")
PROGRAMS = (DNSMASQ,)
UNIT = "ltspd-tftp.service"
UNITS = (UNIT,)


class TftpServer(StrEnum):
    """The program that serves TFTP."""

    DNSMASQ = "dnsmasq"
    HPA = "tftpd-hpa"


TFTP = Parameter("TFTP", FLAG, "1", SERVER, "Serve TFTP")
TFTP_SERVER = Parameter(
    "TFTP_SERVER",
    choice("a TFTP server", TftpServer),
    "dnsmasq",
    SERVER,
    "The program that serves TFTP: dnsmasq or tftpd-hpa",
)

# tftp-max is 50 by default (dnsmasq(8)), which stalls larger labs; 500 needs about 1,000 file descriptors.
MAX_TRANSFERS = 500


def render(world: World) -> Output | None:
    """Return the output that serves the TFTP directory on the served links, if TFTP_SERVER says so."""
    if world.settings[TFTP_SERVER] is not TftpServer.DNSMASQ:
        return None
    served = world.desired.network.answered
    root = world.paths.tftp.rsplit("/", 1)[0]
    lines = [
        "# Written by ltspd; changes here are reported, not kept.",
        "port=0",
        "bind-dynamic",
        "except-interface=lo",
        # Without this, transfers stop when the journal takes no more lines.
        "log-async=100",
        *(f"interface={name}" for name in sorted({link.link for link in served})),
        "enable-tftp",
        f"tftp-root={root}",
        f"tftp-max={MAX_TRANSFERS}",
    ]
    missing = "" if DNSMASQ in world.programs else "dnsmasq is not installed; install dnsmasq-base."
    return Output(
        name="tftp",
        files=(File(PATH, "\n".join(lines).encode() + b"\n"),),
        activation=Unit(UNIT),
        wanted=bool(served) and world.settings[TFTP],
        check=("dnsmasq", "--test", "--conf-file={}"),
        ports=(("udp", 69),),
        missing=missing,
        questions=tuple(f"tftp:{link.link}:{link.address.ip}" for link in served),
    )
