"""Clients' swap: which sizes the server has, for whom, and what clients are told."""

import pytest

from ltspd.config.configuration import load
from ltspd.model.facts import Facts
from ltspd.outputs import gateway, outputs, swap_nbd
from tests.worlds.planning import conf, link, programs, world

LINK = link("eth0", "192.168.67.1/24")
FACTS = Facts(links=(LINK,), programs=programs("nbd-server"))


def files(text: str, facts: Facts = FACTS) -> dict[str, str]:
    found = outputs(world(conf(text), facts))
    return {file.path: file.data.decode() for each in found if each.name == "swap" for file in each.files}


def test_each_size_has_an_export_that_makes_the_file_and_one_that_needs_it() -> None:
    text = "[server]\nNBD_SWAP_CLIENTS=7\n[clients]\nNBD_SWAP=512M\n[52:54:00:00:00:01]\nNBD_SWAP=2G\n"
    made = files(text)
    sections = dict(part.split("]\n", 1) for part in made[swap_nbd.PATH].split("[")[1:])
    assert sorted(sections) == ["generic", "swap-2G", "swap-2G-new", "swap-512M", "swap-512M-new"]
    assert "prerun = /usr/lib/ltspd/nbd-swap make 2147483648 7 %s\n" in sections["swap-2G-new"]
    assert "prerun" not in sections["swap-2G"]
    for name in sections.keys() - {"generic"}:
        assert f"authfile = {swap_nbd.ALLOWED}\n" in sections[name]
    assert made[swap_nbd.ALLOWED] == "192.168.67.0/24\n"
    assert made[swap_nbd.ENVIRONMENT] == "KEEP=600\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server]\nNBD_SWAP=512M\n", "512M"),
        ("[clients]\nNBD_SWAP=512M\n", "0"),
        ("[server]\nNBD_SWAP=0\n[clients]\nNBD_SWAP=1G\n", "0"),
        ("[clients]\nNBD_SWAP=0\n", ""),
        ("", ""),
    ],
)
def test_clients_are_told_the_size_of_those_that_have_none_of_their_own(text: str, told: str) -> None:
    here = world(conf(text), FACTS)
    assert here.desired.add_on.swap == told
    urls = [file.data for each in outputs(here) if each.name == "http" for file in each.files]
    assert (f'"{gateway.BASE}/nbd-client"'.encode() in urls[0]) is bool(told)
    assert bool(files(text)) is bool(told)


@pytest.mark.parametrize("word", ["512", "512m", "1T", "65G", "-1M", "0M", "1 G"])
def test_what_is_no_size_is_a_mistake(word: str) -> None:
    (found,) = load({"/etc/ltsp/ltsp.conf": f"[server]\nNBD_SWAP='{word}'\n"}).errors
    assert found.reason.startswith(f"NBD_SWAP {word!r} is ")
    assert found.step == "write 0, or a size like 512M or 2G"
