"""Which image a Raspberry Pi boots, and what is refused by name."""

from dataclasses import replace

import pytest

from ltspd.model.facts import Facts, PiFiles
from ltspd.model.image import Image
from ltspd.model.output import Output
from ltspd.outputs import outputs
from ltspd.paths import Paths
from ltspd.plan import plan
from tests.worlds.planning import conf, image, link, programs, world

FILES = PiFiles({"start4.elf": "/srv/ltsp/pi/boot/start4.elf"}, {"": {"bcm2711-rpi-4-b.dtb": "/x.dtb"}})


def built(name: str, architecture: str) -> Image:
    (generation,) = image(name).generations
    return Image(name, (replace(generation, architecture=architecture),), generation.id)


FACTS = Facts(
    links=(link("eth0", "10.0.3.2/24"),),
    images=(built("bare", "aarch64"), built("pi", "aarch64"), built("pi32", "armv7l"), built("pc", "x86_64")),
    programs=programs("ganesha.nfsd", "nbd-server"),
    pi_files={"pi": FILES, "pi32": FILES, "pc": FILES},
    machine="x86_64",
)


def problems(line: str, facts: Facts = FACTS) -> list[str]:
    found = plan(conf(f"[server]\n{line}\n"), facts, Paths()).problems
    return [each.message for each in found if each.subject == "Raspberry Pi"]


def of(*lines: str, facts: Facts = FACTS) -> Output | None:
    config = conf("[server]\n" + "".join(f"{each}\n" for each in lines))
    return next((each for each in outputs(world(config, facts)) if each.name == "rpi"), None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("RPI_IMAGE=gone", "RPI_IMAGE=gone is not a built image; there is: bare, pi, pi32, pc."),
        ("RPI_IMAGE=pc", "RPI_IMAGE=pc is an image for x86_64; a Raspberry Pi needs one for ARM."),
        ("RPI_IMAGE_9ffefdef=bare", "RPI_IMAGE_9ffefdef=bare: the image's source is no directory with the"),
        ("RPI_IMAGE_9ffefde=pi", "RPI_IMAGE_9ffefde= names no Raspberry Pi: write the last 8 digits of its"),
        ("RPI_IMAGE_pi4=pi", "RPI_IMAGE_pi4= names no Raspberry Pi"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(line: str, says: str) -> None:
    (said,) = problems(line)
    assert said.startswith(says)
    assert of(line) is None


def test_one_that_cannot_be_does_not_stop_the_others() -> None:
    assert problems("RPI_IMAGE=pi\nRPI_IMAGE_9FFEFDEF=pi32") == []
    output = of("RPI_IMAGE=gone", "RPI_IMAGE_9FFEFDEF=pi32")
    assert output is not None
    assert {each.path: each.target for each in output.links}[
        "/srv/tftp/9ffefdef"
    ] == "/srv/tftp/ltsp/rpi/pi32"
    assert not any(each.path == "/srv/tftp/config.txt" for each in output.files)
    (config,) = (each.data.decode() for each in output.files if each.path.endswith("rpi/pi32/config.txt"))
    assert "\narm_64bit=0\n" in config


def test_without_a_setting_there_is_nothing() -> None:
    assert of() is None
    assert problems("") == []


def words(*lines: str, facts: Facts = FACTS) -> list[str]:
    output = of("RPI_IMAGE=pi", *lines, facts=facts)
    assert output is not None
    (found,) = (each.data.decode().split() for each in output.files if each.path.endswith("cmdline.txt"))
    return found


def test_its_root_comes_as_to_everybody_but_not_by_a_program_for_other_machines() -> None:
    assert "ltsp.root=nfs" in words()
    assert "ltsp.root=http" in words("ROOT_TRANSPORT=http")
    # There is no program of ours for NBD on ARM here.
    assert "ltsp.root=nfs" in words("ROOT_TRANSPORT=nbd")
    assert "ltsp.root=nbd" in words("ROOT_TRANSPORT=nbd", facts=replace(FACTS, machine="aarch64"))


def test_in_several_networks_it_asks_dhcp_for_the_server() -> None:
    assert "ltsp.server=10.0.3.2" in words()
    two = replace(FACTS, links=(*FACTS.links, link("eth1", "192.168.67.1/24", index=3)))
    found = words("HTTP_PORT=8080", facts=two)
    assert [each for each in found if each.startswith(("ltsp.server", "ltsp.base"))] == []
    assert "ltsp.port=8080" in found
