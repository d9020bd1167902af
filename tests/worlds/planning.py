"""Configurations, links and images to plan with."""

from ipaddress import IPv4Interface

from ltspd.config.configuration import Config, load
from ltspd.model.desired import Desired
from ltspd.model.facts import Facts, Program
from ltspd.model.image import Generation, Image, Layer
from ltspd.model.network import Link, LinkKind
from ltspd.outputs.world import World
from ltspd.paths import Paths
from ltspd.plan import plan

# What a server has with Debian's package of iPXE.
BOOT_PROGRAMS = {name: f"/usr/lib/ipxe/{name}" for name in ("undionly.kpxe", "snponly.efi")}


def conf(text: str = "") -> Config:
    config = load({"/etc/ltsp/ltsp.conf": text})
    assert config.ok, config.errors
    return config


def link(name: str, *addresses: str, kind: LinkKind = LinkKind.ETHERNET, index: int = 2) -> Link:
    return Link(
        name=name,
        index=index,
        mac="52:54:00:00:00:01",
        kind=kind,
        up=True,
        addresses=tuple(IPv4Interface(each) for each in addresses),
    )


def image(name: str, current: bool = True) -> Image:
    generation = Generation(
        id="20250101T000000Z-0a1b2c3d",
        image=name,
        created=1735689600.0,
        source=f"/srv/ltsp/{name}",
        architecture="x86_64",
        kernel="6.1.0-29-amd64",
        layers=(Layer("0a" * 32, 4096),),
        source_bytes=1,
        source_files=1,
        kernel_bytes=1,
        initrd_bytes=1,
        packages_digest="",
    )
    return Image(name, (generation,), generation.id if current else "")


def programs(*names: str) -> frozenset[Program]:
    """Return these programs as installed, in versions that know none of the options asked for."""
    return frozenset(map(Program, names))


def world(config: Config, facts: Facts, paths: Paths | None = None, nbd: bytes = b"nbd.img\n") -> World:
    """Return what outputs are rendered from on a server with these facts; an empty ``nbd``: no nbd.img."""
    paths = paths or Paths()
    add_ons = {"ltsp.img": b"ltsp.img\n"} | ({"nbd.img": nbd} if nbd else {})
    signed = {name: f"{name}\n".encode() for name in ("accounts", "accounts.sig", "settings", "settings.sig")}
    return World.of(config.settings, plan(config, facts, paths), facts, paths, add_ons, signed)


def decide(text: str, *links: Link, images: tuple[Image, ...] = (), container: bool = False) -> Desired:
    here = programs("ganesha.nfsd", "nbd-server")
    facts = Facts(links=links, images=images, container=container, programs=here, boot_programs=BOOT_PROGRAMS)
    return plan(conf(text), facts, Paths())


def server_section(line: str) -> str:
    return f"[server]\n{line}\n"
