"""What Raspberry Pis fetch: the real TFTP server has all that each model asks for, in its order."""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.model.image import Image, Source, SourceKind
from ltspd.model.network import Link, LinkKind
from ltspd.observe import pi
from ltspd.outputs import outputs
from ltspd.paths import Paths
from tests import REPOSITORY
from tests.lab import releases, rooms
from tests.lab.session import end
from tests.worlds.planning import image, programs, world

SERVER = "192.168.67.1"
DNSMASQ, HPA = "dnsmasq", "tftpd-hpa"
MINE, OTHER = "9ffefdef", "00c0ffee"
CONF = f"[server]\nRPI_IMAGE=raspios\nRPI_IMAGE_{MINE}=debian\nKERNEL_PARAMETERS=quiet\nROOT_TRANSPORT=nfs\n"
FIRMWARE = ("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat")
TREES = {3: "bcm2710-rpi-3-b-plus.dtb", 4: "bcm2711-rpi-4-b.dtb", 5: "bcm2712-rpi-5-b.dtb"}


def _write(place: Path, *names: str) -> None:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"{place.name}/{name}\n")


def _made(root: Path, server: str) -> None:
    """Make two sources, the files of their generations, and what our outputs put into the TFTP directory."""
    paths = Paths(base=f"{root}/ltsp", tftp=f"{root}/tftp/ltsp")
    base = Path(paths.base)
    # Raspberry Pi OS has all in one place; Debian's kernels have the trees, its package the firmware.
    trees = (*TREES.values(), "overlays/vc4-kms-v3d.dtbo")
    _write(base / "raspios/boot/firmware", *FIRMWARE, *trees, "kernel8.img")
    _write(base / "debian/usr/lib/raspi-firmware", *FIRMWARE)
    for kernel in ("5.10", "6.1.0-29-amd64"):
        _write(base / f"debian/usr/lib/linux-image-{kernel}/broadcom", *TREES.values(), "other.dtb")
    (base / "debian/usr/lib/raspi-firmware/start_x.elf").symlink_to("/etc/passwd")
    names = ("debian", "raspios")
    sources = tuple(Source(each, SourceKind.DIRECTORY, f"{base}/{each}") for each in names)
    images = []
    for name in names:
        (generation,) = image(name).generations
        images.append(Image(name, (replace(generation, architecture="aarch64"),), generation.id))
        _write(base / f"images/{name}/generations/{generation.id}", "vmlinuz", "initrd.img")
    config = load({"/etc/ltsp/ltsp.conf": f"{CONF}TFTP_SERVER={server}\n"})
    assert config.ok, config.errors
    lan = Link(rooms.LINK, 2, "", LinkKind.ETHERNET, True, addresses=(IPv4Interface(f"{SERVER}/24"),))
    facts = Facts(
        links=(lan,), sources=sources, images=tuple(images), machine="x86_64",
        programs=programs("dnsmasq", "in.tftpd", "ganesha.nfsd"), pi_files=pi.look(sources),
    )  # fmt: skip
    for output in outputs(world(config, facts, paths)):
        for file in output.files:
            if output.name in ("rpi", "boot-files", "tftp"):
                place = root / Path(file.path).name if output.name == "tftp" else Path(file.path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.data)
        for link in output.links:
            Path(link.path).parent.mkdir(parents=True, exist_ok=True)
            Path(link.path).symlink_to(link.target)


@dataclass(frozen=True)
class Tftp:
    """A TFTP server in a network of its own."""

    netns: str

    def fetch(self, path: str) -> bytes | None:
        """Return a file; None if there is none."""
        argv = ["ip", "netns", "exec", self.netns, "curl", "-sS", "--path-as-is", f"tftp://{SERVER}/{path}"]
        done = subprocess.run(argv, capture_output=True, check=False)
        # CURLE_TFTP_NOTFOUND, _PERM and _ILLEGAL, which dnsmasq says of a directory.
        assert done.returncode in (0, 68, 69, 71), done.stderr
        return done.stdout if done.returncode == 0 else None

    def text(self, path: str) -> str:
        found = self.fetch(path)
        assert found is not None, path
        return found.decode()


def _program(server: str, release: str, root: Path) -> list[str]:
    """Return the words that start a server of a release with our files, in the foreground."""
    if server == DNSMASQ:
        program = releases.program(release, "dnsmasq-base", "usr/sbin/dnsmasq", root / "dnsmasq")
        return [str(program), "--keep-in-foreground", f"--conf-file={root}/tftp.conf", "--pid-file="]
    program = releases.program(release, "tftpd-hpa", "usr/sbin/in.tftpd", root / "in.tftpd")
    unit = (REPOSITORY / "systemd/ltspd-tftpd-hpa.service").read_text()
    (words,) = re.findall(r"in\.tftpd --listen (.*); done", unit)
    words = words.replace("/var/lib/ltspd/outputs", str(root)).replace("$$a", SERVER)
    return [str(program), "--foreground", "--listen", *shlex.split(words)]


@contextmanager
def serving(server: str, release: str) -> Iterator[Tftp]:
    with rooms.room() as room, tempfile.TemporaryDirectory(prefix="ltspd-rpi-", dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)
        _made(root, server)
        netns = room.server(f"{SERVER}/24")
        argv = ["nsenter", f"--net=/run/netns/{netns}", "--", *_program(server, release, root)]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            rooms.wait_for_port(process, 69)
            yield Tftp(netns)
        finally:
            end(process, patience=2.0)


def boot(tftp: Tftp, model: int, serial: str) -> dict[str, str]:
    """Fetch what a model's firmware fetches, as its documentation says, and return what it starts with."""
    if model == 3:
        tftp.text("bootcode.bin")
    first = {3: "start.elf", 4: "start4.elf", 5: "config.txt"}[model]
    prefix = f"{serial}/" if tftp.fetch(f"{serial}/{first}") is not None else ""
    lines = tftp.text(f"{prefix}config.txt").splitlines()
    assert all(len(each) <= 98 for each in lines), "it reads no more of a line"
    config = dict(each.split("=", 1) for each in lines if "=" in each)
    (initramfs,) = (each.split() for each in lines if each.startswith("initramfs "))
    assert (config["arm_64bit"], initramfs[2]) == ("1", "followkernel")
    system = f"{prefix}{config['os_prefix']}"
    found = {name: tftp.text(f"{system}{name}") for name in initramfs[1].split(",")}
    found |= {"kernel": tftp.text(system + config["kernel"]), "tree": tftp.text(system + TREES[model])}
    if model != 5:
        found["firmware"] = tftp.text(f"{prefix}{first}")
        tftp.text(prefix + first.replace("start", "fixup").replace("elf", "dat"))
    return found | {"words": tftp.text(f"{system}cmdline.txt"), "system": system}


@pytest.mark.parametrize("release", [releases.DEBIAN_12, releases.DEBIAN_13])
@pytest.mark.parametrize("server", [DNSMASQ, HPA])
def test_each_model_gets_the_image_for_all_or_that_of_its_serial_number(server: str, release: str) -> None:
    generation = image("x").generations[0].id
    with serving(server, release) as tftp:
        for model, tree in TREES.items():
            every, own = boot(tftp, model, OTHER), boot(tftp, model, MINE)
            for found in (every, own):
                assert found["kernel"] == f"{generation}/vmlinuz\n"
                assert (found["ltsp.img"], found["initrd.img"]) == (
                    "ltsp.img\n",
                    f"{generation}/initrd.img\n",
                )
            assert (every["system"], own["system"]) == (
                f"ltsp/rpi/raspios/{generation}/",
                f"{MINE}/{generation}/",
            )
            # The trees are those of the generation's kernel.
            assert (every["tree"], own["tree"]) == (f"firmware/{tree}\n", f"broadcom/{tree}\n")
            assert own["words"] == (
                f"ltsp.server={SERVER} ltsp.root=nfs ltsp.base=http://{SERVER}/ltsp ltsp.image=debian "
                f"ltsp.generation={generation} quiet\n"
            )
            assert "ltsp.image=raspios" in every["words"]
        assert boot(tftp, 4, OTHER)["firmware"] == "firmware/start4.elf\n"
        assert boot(tftp, 4, MINE)["firmware"] == "raspi-firmware/start4.elf\n"
        overlay = f"ltsp/rpi/raspios/{generation}/overlays/vc4-kms-v3d.dtbo"
        assert tftp.text(overlay) == "firmware/overlays/vc4-kms-v3d.dtbo\n"
        # What a source links to elsewhere is not handed out.
        assert tftp.fetch("ltsp/rpi/debian/start_x.elf") is None
        assert tftp.fetch(f"ltsp/rpi/debian/{generation}/other.dtb") is None
        # Nothing else of the server is there, whatever it is called.
        for path in (
            "/etc/passwd",
            "etc/passwd",
            "../etc/passwd",
            "ltsp/../../etc/passwd",
            "..",
            f"{MINE}/../config.txt",
        ):
            assert tftp.fetch(path) is None, path
        assert tftp.text("//config.txt") == tftp.text("config.txt")
