"""What TFTP hands out (boot programs, add-on initrds) and the dnsmasq that does it. Pure."""

from ltspd.model.desired import Desired
from ltspd.model.output import File, Output, Symlink

PATH = "/var/lib/ltspd/outputs/tftp.conf"

# dnsmasq(8), tftp-max: 50 by default, which stalls a lab of more; 500 needs about 1,000 descriptors.
MAX_TRANSFERS = 500


def boot_files(desired: Desired, add_on: bytes, nbd_add_on: bytes) -> Output:
    """Return the output of the add-on initrds, and of links to boot programs and to the image store.

    Links, so that an upgrade of the boot programs' package needs nothing from us, and so that TFTP
    can stand in for HTTP without a second copy of each kernel.
    """
    files = [File(f"{desired.tftp_directory}/ltsp.img", add_on)]
    if nbd_add_on:
        files.append(File(f"{desired.tftp_directory}/nbd.img", nbd_add_on))
    targets = {**desired.boot_programs, "images": desired.images_path}
    links = (Symlink(f"{desired.tftp_directory}/{name}", target) for name, target in sorted(targets.items()))
    return Output(name="boot-files", files=tuple(files), links=tuple(links))


def service(desired: Desired) -> Output:
    """Return the output that serves the TFTP directory on the served links."""
    root = desired.tftp_directory.rsplit("/", 1)[0]
    lines = [
        "# Written by ltspd; changes here are reported, not kept.",
        "port=0",
        "bind-dynamic",
        "except-interface=lo",
        # Otherwise transfers stop as soon as the journal takes no more lines.
        "log-async=100",
        *(f"interface={name}" for name in sorted({link.link for link in desired.served})),
        "enable-tftp",
        f"tftp-root={root}",
        f"tftp-max={MAX_TRANSFERS}",
    ]
    missing = "" if "dnsmasq" in desired.programs else "dnsmasq is not installed; install dnsmasq-base."
    return Output(
        name="tftp",
        files=(File(PATH, "\n".join(lines).encode() + b"\n"),),
        unit="ltspd-tftp.service",
        wanted=bool(desired.served) and desired.tftp,
        check=("dnsmasq", "--test", "--conf-file={}"),
        ports=(("udp", 69),),
        missing=missing,
        questions=tuple(f"tftp:{link.link}:{link.address.ip}" for link in desired.served),
    )
