"""TFTP by tftpd-hpa, and what Kea keeps dnsmasq from: by their settings."""

import pytest

from ltspd.model.facts import Facts
from ltspd.model.output import Output
from ltspd.outputs import outputs
from tests.worlds.planning import conf, link, programs, world

LINKS = (link("lan0", "192.168.67.1/24"), link("ext0", "10.0.3.2/24", index=3))


def of(name: str, text: str, *installed: str) -> Output:
    facts = Facts(links=LINKS, programs=programs(*installed))
    (found,) = (each for each in outputs(world(conf(f"[server]\n{text}\n"), facts)) if each.name == name)
    return found


def test_tftpd_hpa_gets_the_directory_and_the_served_addresses() -> None:
    found = of("tftp", "TFTP_SERVER=tftpd-hpa", "in.tftpd")
    assert (found.unit, found.needed) == ("ltspd-tftpd-hpa.service", True)
    environment, names = (each.data.decode().splitlines()[1:] for each in found.files)
    assert environment == ['ADDRESSES="10.0.3.2 192.168.67.1"']
    assert names == [r"a (^|/)\.\.(/|$)", r"r ^/*(.*)$ /srv/tftp/\1"]


def test_without_the_program_it_says_what_to_install() -> None:
    found = of("tftp", "TFTP_SERVER=tftpd-hpa", "dnsmasq")
    assert "install tftpd-hpa, or take TFTP_SERVER= out of ltsp.conf" in found.missing
    assert of("tftp", "TFTP_SERVER=tftpd-hpa\nTFTP=0", "in.tftpd").wanted is False


@pytest.mark.parametrize("server", ["kea", "isc"])
def test_a_card_in_the_place_of_another_makes_another_file(server: str) -> None:
    text = f"[server]\nDHCP_SERVER={server}\n"
    first, other = (
        world(conf(text), Facts(links=(link("lan0", "192.168.67.1/24", index=index),))) for index in (2, 3)
    )
    files = [each.files for here in (first, other) for each in outputs(here) if each.name == "dhcp"]
    assert files[0] != files[1]


def test_dhcpd_gives_of_a_large_network_what_it_has_memory_for() -> None:
    config = conf(
        '[server]\nDHCP_SERVER=isc\nDHCP_HOST_a="52:54:00:00:00:01 10.20.0.9"\nDHCP_LINKS=lan0=real\n'
    )
    facts = Facts(links=(link("lan0", "10.0.0.1/8"),), programs=programs("dhcpd"))
    (found,) = (each for each in outputs(world(config, facts)) if each.name == "dhcp")
    ranges = [line.split() for line in found.files[0].data.decode().splitlines() if "range" in line]
    assert ranges == [["range", "10.20.0.0", "10.20.0.8;"], ["range", "10.20.0.10", "10.21.0.0;"]]


def test_kea_leaves_no_port_to_the_dnsmasq_of_proxied_links() -> None:
    hindered = of("proxy-dhcp", "DHCP_SERVER=kea", "dnsmasq", "kea-dhcp4")
    assert "nothing is answered on ext0" in hindered.missing
    assert 'DHCP_LINKS="ext0=off"' in hindered.missing
    for text in ("DHCP_SERVER=isc", "DHCP_SERVER=kea\nREAL_DHCP=0"):
        assert of("proxy-dhcp", text, "dnsmasq", "kea-dhcp4").missing == ""
    alone = of("proxy-dhcp", "DHCP_SERVER=kea\nDHCP_LINKS=ext0=off", "dnsmasq", "kea-dhcp4")
    assert alone.wanted is False
    assert of("dhcp", "DHCP_SERVER=kea").missing.startswith("Kea is not installed")
