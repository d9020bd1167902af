"""Findings and server settings that need more than a golden file."""

from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface
from typing import assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients.fields import is_sound
from ltspd.config.check import DEEPEST_INCLUDE
from ltspd.config.configuration import load
from ltspd.config.document import Host, Severity
from ltspd.config.evaluate import effective, effective_menu
from ltspd.config.former import FORMER
from ltspd.config.headers import matches
from ltspd.config.hostnames import fill_hostname, hostname_problem
from ltspd.config.names import OF_LTSP
from ltspd.config.parameter import Settings
from ltspd.config.parameters import find
from ltspd.config.parse import parse
from ltspd.config.secrecy import withheld
from ltspd.config.settings import quote
from ltspd.jobs.builds import KEEP, KERNEL
from ltspd.jobs.unattended import REBUILD
from ltspd.menu.choice import TIMEOUT, TRANSPORT
from ltspd.model.menu import RootTransport
from ltspd.model.network import DhcpRole
from ltspd.names import is_host_name
from ltspd.network.links import DHCP_LINKS, LinkChoice
from ltspd.network.roles import ADVERTISE, PROXY_DHCP, REAL_DHCP, gives_addresses
from ltspd.outputs.dhcp_dnsmasq import LEASE
from ltspd.outputs.gateway import HTTP_PORT
from ltspd.outputs.tftp_dnsmasq import TFTP
from ltspd.plan import ACCOUNTS, DNS_SERVER, TITLES


def test_what_has_no_meaning_here_is_told_with_the_reason_unless_it_is_done_anyway() -> None:
    told = [
        str(each) for each in load({"x": "[server]\nBACKUP=0\nCLEANUP=1\nBASE_DIR=/srv/ltsp/\n"}).findings
    ]
    assert told == [
        "x:2: warning: BACKUP has no meaning here: earlier generations are kept by themselves; "
        "KEEP_GENERATIONS says how many"
    ]
    again = load({"x": "[server]\n\nBACKUP=$SERVER\nIONICE=\n[common]\nIONICE=nice\n"})
    assert again.ok
    assert [each.line for each in again.findings] == [3, 4], "each name once; what is made from others, too"


@pytest.mark.parametrize("name", FORMER)
def test_each_name_without_a_meaning_is_one_of_ltsps_and_says_what_to_do(name: str) -> None:
    assert name in OF_LTSP
    assert find(name) is None, "what counts here is no former parameter: take it out of that table"
    (finding,) = load({"x": f"[server]\n{name}=what/ever\n"}).findings
    assert finding.reason == f"{name} has no meaning here: {FORMER[name].why}"
    assert finding.step


def test_the_usual_kernel_is_the_first_word_as_in_ltsp() -> None:
    config = load({"x": "[server]\nKERNEL_INITRD='/boot/vmlinuz-*-generic s|vmlinuz|initrd|'\n"})
    assert (config.settings[KERNEL], config.findings) == ("boot/vmlinuz-*-generic", ())


def test_server_settings() -> None:
    config = load(
        {
            "x": """
[common]
DNS_SERVER="8.8.8.8 208.67.222.222"
[server]
LOW=192.168.67.20
DHCP_LINKS="eth0=real:$LOW-192.168.67.250 eth0.5=real br-lan=proxy wlan0=off"
DHCP_LEASE=2h REAL_DHCP=0 PROXY_DHCP=0
HTTP_PORT=8080
AUTO_REBUILD=0
ROUTER_ADVERTISEMENTS=0
KEEP_GENERATIONS=5
SERVE_ACCOUNTS=0
ROOT_TRANSPORT=http
MENU_TIMEOUT=-1
IPXE_X86_64_IMG="Debian 12"
TFTP=
[clients]
HTTP_PORT=9
"""
        }
    )
    assert config.ok
    server = config.settings
    assert server[DHCP_LINKS] == {
        "eth0": LinkChoice(DhcpRole.REAL, IPv4Address("192.168.67.20"), IPv4Address("192.168.67.250")),
        "eth0.5": LinkChoice(DhcpRole.REAL),
        "br-lan": LinkChoice(DhcpRole.PROXY),
        "wlan0": LinkChoice(DhcpRole.OFF),
    }
    assert_type(server[LEASE], int)
    assert_type(server[TRANSPORT], RootTransport | None)
    assert (server[LEASE], server[REAL_DHCP], server[PROXY_DHCP]) == (7200, False, False)
    assert (server[HTTP_PORT], server[REBUILD]) == (8080, False)
    assert (server[ADVERTISE], server[KEEP]) == (False, 5)
    assert (server[ACCOUNTS], server[TIMEOUT], server[TFTP]) == (False, -1, True)
    assert server[TRANSPORT] is RootTransport.HTTP
    assert server[DNS_SERVER] == (IPv4Address("8.8.8.8"), IPv4Address("208.67.222.222"))
    assert server.family(TITLES) == {"X86_64_IMG": "Debian 12"}
    assert (server.given(KEEP), server.given(TFTP), server.readable(TFTP)) == (True, False, True)


@pytest.mark.parametrize(
    "line",
    [
        "DHCP_LINKS=eth0",
        "DHCP_LINKS=eth0=both",
        "DHCP_LINKS='eth0=off eth0=real'",
        "DHCP_LINKS=eth0=proxy:10.0.0.1-10.0.0.2",
        "DHCP_LINKS=eth0=real:10.0.0.1",
        "DHCP_LINKS=eth0=real:10.0.0.9-10.0.0.1",
        "DHCP_LINKS=eth0=real:",
        "DHCP_LINKS=../x=off",
        "DHCP_LINKS=a-name-that-is-too-long=off",
        "DHCP_LEASE=1",
        "DHCP_LEASE=99999999d",
        "HTTP_PORT=0",
        "HTTP_PORT=65536",
        "HTTP_PORT=٣",
        "KEEP_GENERATIONS=-1",
        "TFTP=true",
        "DNS_SERVER=dns.example",
        'DNS_SERVER="8.8.8.8 0.0.0.0"',
        "DNS_SERVER=224.0.0.251",
        "DNS_SERVER=255.255.255.255",
        "DHCP_ROUTER=off",
        'DHCP_ROUTER="10.0.0.1 none"',
        "DEFAULT_IMAGE=a/b",
        "DEFAULT_IMAGE=-x",
        "ROOT_TRANSPORT=NBD",
        "MENU_TIMEOUT=1.5",
        "KERNEL_PARAMETERS='a\nb'",
    ],
)
def test_bad_values_are_errors_and_give_the_default(line: str) -> None:
    config = load({"x": f"[server]\n{line}\n"})
    (error,) = config.errors
    assert error.line == 2
    assert error.step
    assert line.partition("=")[0] in error.reason
    row = find(line.partition("=")[0])
    assert row
    assert config.settings[row] == Settings()[row]
    # Roles that can't be read are not guessed: nobody is given addresses.
    assert gives_addresses(config.settings) is not line.startswith("DHCP_LINKS")


def test_a_bad_value_made_from_others_is_an_error_of_the_server() -> None:
    (error,) = load({"x": "[common]\nX=80a\n[server]\nHTTP_PORT=$X\n"}).errors
    assert (error.line, error.reason) == (4, "HTTP_PORT '80a' is not a number")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("[52:54:00:12:34:56]\nT=bogus\nROOT_TRANSPORT=$T", "'bogus' is not one of nbd, nfs, http"),
        ("[192.168.67.20]\nT=bogus\nMENU_TIMEOUT=$T", "'bogus' is not a number"),
        ("[pc01]\nT=a/b\nDEFAULT_IMAGE=$T", "'a/b' is not an image name"),
        ("[clients]\nT=1.2\nDNS_SERVER=$T", "has '1.2', which is not an IPv4 address"),
    ],
)
def test_a_value_made_from_others_is_judged_for_each_host(lines: str, reason: str) -> None:
    config = load({"x": lines})
    assert config.ok
    (finding,) = [each for each in config.findings if "made from" in each.reason]
    assert finding.line == 3
    assert reason in finding.reason
    assert finding.step.startswith("the default counts there")


def test_a_value_made_from_what_only_the_client_knows_is_not_judged() -> None:
    assert load({"x": "[clients]\nHOSTNAME=pc-$IP_ADDRESS\nDNS_SERVER=$SERVER:53\n"}).findings == ()


def test_a_bad_value_made_from_a_secret_is_not_shown() -> None:
    config = load({"x": "[clients]\nPASSWORDS_A='hush hush'\nHOSTNAME=$PASSWORDS_A\n"})
    assert any("HOSTNAME" in each.reason and "is not a host name" in each.reason for each in config.findings)
    assert "hush" not in " ".join(map(str, config.findings))


def test_warnings_do_not_stop_anything() -> None:
    config = load(
        {"x": "[clients]\nHOSTNME=pc\nTIMEZONE=UTC\nPOST_IMAGE_X=reboot\nBACKUP=$NOTHING\nMULTISEAT=yes\n"}
    )
    assert config.ok
    assert {each.severity for each in config.findings} == {Severity.WARNING}
    assert len(config.findings) == 5


def test_a_secret_is_not_repeated_in_messages() -> None:
    config = load({"x": "[clients]\nPASSWORDS_A='hush\nhush' x\nPASSWORDS_B=$(hush)\nPASSWORDS_C=hush\n"})
    assert "hush" not in " ".join(map(str, config.findings))


@pytest.mark.parametrize(("depth", "fine"), [(DEEPEST_INCLUDE - 1, True), (DEEPEST_INCLUDE + 5, False)])
def test_depth_of_includes(depth: int, fine: bool) -> None:
    text = "".join(f"[s{n}]\nINCLUDE=s{n + 1}\n" for n in range(depth)) + f"[s{depth}]\nTIMEZONE=UTC\n"
    assert load({"x": text}).ok is fine


def test_clients_never_read_the_servers_section() -> None:
    config = load({"x": "[clients]\nINCLUDE=server\n[server]\nTOKEN_URL=x\n"})
    assert [each.line for each in config.findings if "must not see" in each.reason] == [2]
    assert "TOKEN_URL" not in effective(config.document, Host("52:54:00:00:00:01"))


def test_secrets_spread_to_what_is_made_from_them() -> None:
    document = parse("[clients]\nA=$B\nB=$C\nC=x$PASSWORDS_X\nD=$E\nSSH_SERVER=x\nSESSION_KEY=x\nKEYMAP=gr\n")
    assert withheld(document) == {"A", "B", "C", "SESSION_KEY", "PASSWORDS_X"}


SECRETS = """\
//10.0.0.9/x /mnt cifs username=lab,password=abc 0 0
//nas/x /mnt cifs user=lab,pass=abc
//nas/x /mnt cifs user=lab%abc,rw
//nas/x /mnt cifs rw,passwd=abc
//nas/x /mnt cifs password2=abc
curl http://ann:secret@10.0.0.9/x
sshfs ann:secret@nas:/x
echo ann:secret | chpasswd
sshpass -p secret ssh x
tool --password secret
tool --password=secret
tool --token abc
psk="my wifi"
wpa_passphrase lab 12345678
Authorization: Bearer abcdefgh12
{SSHA}abcdefgh1234
ds=nocloud;user=a;password=b
usermod -p x root
api_key=abc
wep_key0=12345
/network:lan /p:abc
/gateway:g:gate,u:ann,p:abc
davfs https://a:b@cloud/x
x password=$P
quiet inst.vncpassword=abc
inst.rootpw=abc
systemd.set_credential=passwd.plaintext-password.root:abc
"""
PLAIN = """\
//10.0.0.9/x /mnt cifs credentials=/etc/cifs.cred,uid=1000 0 0
$SERVER:/home /home nfs defaults,nolock 0 0
10.0.0.1 passwords.example
quiet splash nopassword bypass=1
mailto:ann@example.org
52:54:00:00:00:01
rw,sec=krb5,multiuser
[::1]:80
http://server:8080/x
/mnt/pass fuse defaults
passdb backend
root=live:http://10.0.0.1/x
vt.global_cursor_default=0
a@b
ann@nas:/x /mnt fuse.sshfs defaults
*.example:x
systemd.set_credential=firstboot.keymap:de
"""


@pytest.mark.parametrize("text", SECRETS.splitlines())
def test_secrets_are_known_by_how_they_look(text: str) -> None:
    line = "FSTAB_X=" + (f'"{text}"' if "$P" in text else quote(text))
    config = load({"x": f"[clients]\n{line}\n"})
    assert withheld(config.document) == {"FSTAB_X"}
    assert any("FSTAB_X holds or uses a secret" in each.reason for each in config.findings)


@pytest.mark.parametrize("text", PLAIN.splitlines())
def test_what_only_looks_like_a_secret_goes_out(text: str) -> None:
    assert withheld(parse(f"[clients]\nFSTAB_X={quote(text)}\n")) == frozenset()


def test_the_menu_reads_the_server_section_for_all_clients() -> None:
    document = parse("[server]\nMENU_TIMEOUT=1\nDEFAULT_IMAGE=a\n[52:54:00:00:00:01]\nDEFAULT_IMAGE=b\n")
    values = effective_menu(document, Host("52:54:00:00:00:01"))
    assert {name: each.text for name, each in values.items()} == {"MENU_TIMEOUT": "1", "DEFAULT_IMAGE": "b"}


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ltsp%{IP}", "192.168.67.20/24", "ltsp20"),
        ("ltsp%{IP}", "10.0.1.20/16", "ltsp276"),
        ("rpi%{MAC}", "10.0.1.20/16", "rpi525400000001"),
        ("pc01 second", "10.0.1.20/16", "pc01"),
        ("pc_01", "10.0.1.20/16", "pc_01"),
        ("(none)", "192.168.67.20/24", "ltsp20"),
        ("x" * 60 + "-%{MAC}", "10.0.1.20/16", "x" * 60 + "-525"),
    ],
)
def test_pseudo_variables(text: str, address: str, name: str) -> None:
    assert fill_hostname(text, "52:54:00:00:00:01", IPv4Interface(address)) == name


@pytest.mark.parametrize("name", ["x" * 56 + "%{MAC}", "josé", "-pc", "pc.", "a..b", "x" * 65])
def test_a_name_that_clients_can_not_have_as_it_is_is_told_and_costs_nothing(name: str) -> None:
    config = load({"x": f"[clients]\nHOSTNAME={name}\n"})
    assert config.ok
    (finding,) = config.findings
    assert "; clients " in finding.reason


template = st.lists(st.sampled_from([*"aZ0._- é", "%{IP}", "%{MAC}", "x" * 30]), max_size=8).map("".join)


@given(template, st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_a_client_has_a_name_that_everybody_takes(text: str, number: int, prefix: int) -> None:
    address = IPv4Interface((number, prefix))
    name = fill_hostname(text, "52:54:00:00:00:01", address)
    assert is_host_name(name)
    assert is_sound("hostname", name)
    if not hostname_problem(text):
        host = str(int(address.ip) & int(address.hostmask))
        assert name == (text or "ltsp%{IP}").replace("%{IP}", host).replace("%{MAC}", "525400000001")


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_mean_what_they_mean_in_fnmatch(pattern: str, subject: str) -> None:
    assert matches(pattern, subject) is fnmatchcase(subject, pattern)


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("client", "clients"),
        ("all", "clients"),
        ("default", "clients"),
        ("cliens", "clients"),
        ("sever", "server"),
        ("525400000001", "52:54:00:00:00:01"),
    ],
)
def test_a_section_that_was_probably_meant_otherwise_is_told(header: str, meant: str) -> None:
    config = load({"x": f"[clients]\nINCLUDE=lab\n[lab]\nHOSTNAME=pc\n[{header}]\nHOSTNAME=x\n"})
    (finding,) = config.findings
    assert (finding.line, finding.step) == (5, f"is [{meant}] meant?")
    assert config.ok


def test_a_section_that_others_include_may_have_any_name() -> None:
    assert load({"x": "[pc01]\nINCLUDE=all\n[all]\nHOSTNAME=x\n"}).findings == ()


def test_settings_of_the_menu_may_be_in_sections_with_globs() -> None:
    text = "[192.168.67.*]\nDEFAULT_IMAGE=a\nHOSTNAME=x\n[pc*]\nMENU_TIMEOUT=1\nROOT_TRANSPORT=nbd\n"
    assert load({"x": text}).findings == ()


@pytest.mark.parametrize(
    ("text", "fine"), [("30s", True), ("2m", True), ("1d", True), ("5", False), ("2d", False)]
)
def test_how_long_a_trial_waits_is_no_lease(text: str, fine: bool) -> None:
    assert load({"x": f"[server]\nTEST_TIMEOUT={text}\n"}).ok is fine


def test_names_of_no_part_of_a_set_up_are_told() -> None:
    names = "cron pam_main swapp other_main cron_main config_dns"
    text = f'[clients]\nOMIT_FUNCTIONS="{names}"\n[pc1]\nOMIT_FUNCTIONS=$HOSTNAME\n'
    found = [each for each in load({"x": text}).findings if "OMIT_FUNCTIONS has" in each.reason]
    assert [(each.line, each.reason.split("'")[1]) for each in found] == [(2, "swapp"), (2, "other_main")]
    assert found[0].step == "is swap meant?"
    assert found[1].step.startswith("the parts are identity, ")
