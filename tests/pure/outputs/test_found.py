"""Outputs are found by themselves, and what their modules say of themselves is so."""

import re
from pathlib import Path

import pytest

import ltspd.outputs
from ltspd.model.facts import Facts, Program
from ltspd.outputs import PROGRAMS, UNITS, outputs
from tests import REPOSITORY
from tests.worlds.planning import conf, link, programs, world

SYSTEMD = REPOSITORY / "systemd"
NAMES = [
    *(
        "boot-files",
        "menu",
        "nfs",
        "nbd",
        "documents",
        "http",
        "login",
        "listener",
        "tftp",
        "router-advertisements",
        "nat",
        "dns",
        "dhcp",
        "proxy-dhcp",
    )
]


@pytest.mark.parametrize("kernel", [False, True])
def test_each_service_has_one_output_whichever_program_does_it(kernel: bool) -> None:
    """Users know these names, and the order is that of 'ltspctl output list'."""
    facts = Facts(kernel_nfsd=kernel, programs=programs("exportfs"))
    assert [each.name for each in outputs(world(conf(), facts))] == NAMES


def test_outputs_name_their_units_and_ours_exist() -> None:
    facts = Facts(links=(link("eth0", "192.168.67.1/24"),), programs=PROGRAMS)
    for kernel in (False, True):
        here = world(conf(), Facts(links=facts.links, programs=PROGRAMS, kernel_nfsd=kernel))
        assert {each.unit for each in outputs(here)} - {""} <= UNITS
    assert [each for each in UNITS if each.startswith("ltspd-") and not (SYSTEMD / each).is_file()] == []


def test_the_daemon_may_write_where_outputs_are() -> None:
    unit = (SYSTEMD / "ltspd.service").read_text()
    bases = {"StateDirectory": "/var/lib/", "ConfigurationDirectory": "/etc/", "ReadWritePaths": ""}
    found = re.findall(rf"^({'|'.join(bases)})=(.+)", unit, re.MULTILINE)
    places = [bases[kind] + name.removeprefix("-") for kind, names in found for name in names.split()]
    outside = [
        path
        for module in ltspd.outputs._MODULES
        for name, path in vars(module).items()
        if name == "PATH" and not any(Path(path).is_relative_to(place) for place in places)
    ]
    assert outside == [], "systemd/ltspd.service needs a ReadWritePaths= for it"


def test_what_is_looked_for_on_the_server_is_what_outputs_name() -> None:
    assert programs("dnsmasq", "exportfs", "ganesha.nfsd", "nbd-server", "nft", "radvd", "sshd") <= PROGRAMS
    assert Program("ganesha.nfsd", knows="allow_set_io_flusher_fail") in PROGRAMS


def test_a_new_file_is_all_that_a_new_output_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from ltspd.model.facts import Program\n"
        "from ltspd.model.output import File, Output\n"
        "ORDER = 15\n"
        "PROGRAMS = (Program('late'),)\n"
        "def render(world):\n"
        "    return Output('late', (File('/late', world.desired.store.path.encode()),))\n"
    )
    (tmp_path / "late_program.py").write_text(text)
    monkeypatch.setattr(ltspd.outputs, "__path__", [*ltspd.outputs.__path__, str(tmp_path)])
    monkeypatch.setattr(ltspd.outputs, "_MODULES", ltspd.outputs._modules())
    found = outputs(world(conf(), Facts()))
    assert [each.name for each in found] == [NAMES[0], "late", *NAMES[1:]]
