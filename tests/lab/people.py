"""The people of the lab's server: made as administrators make them, in every state an account can be in."""

import shlex
import textwrap
from dataclasses import dataclass

from tests.lab.server import Server

# Where a directory's server listens: this machine only.
_LDAP = "ldap://127.0.0.1:3389"
# A program of the directory, and a client of it that asks for passwords without TLS, as this is one machine.
_SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /run/slapd/lab.pid
database mdb
suffix "dc=lab"
rootdn "cn=admin,dc=lab"
directory /var/lib/ldap-lab
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
"""
_SSSD = f"""\
[sssd]
services = nss, pam
domains = lab
[domain/lab]
id_provider = ldap
ldap_uri = {_LDAP}
ldap_search_base = dc=lab
ldap_auth_disable_tls_never_use_in_production = true
ldap_id_use_start_tls = false
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the server: its password, and the words that bring it into its state."""

    uid: int
    password: str
    state: str = ""
    options: str = "--shell /bin/bash"


PEOPLE = {
    "anna": Account(1501, "Blue-Whale-7", options="--shell /bin/bash --groups sudo"),
    "bert": Account(1502, "Green-Snail-8"),
    "locked": Account(1503, "Red-Snake-9", "usermod -L locked"),
    "gone": Account(1504, "Pink-Horse-1", "chage -E 1 gone"),
    "stale": Account(1505, "Grey-Goose-2", "chage -d 0 stale"),
    "nora": Account(1506, "Gold-Finch-3", options="--shell /usr/sbin/nologin"),
    "otto": Account(1507, "Dark-Raven-4", options="--shell /bin/bash --groups codes"),
    # Told from seven days before, and three of them are left.
    "wanda": Account(1508, "Warm-Camel-5", 'chage -M 10 -W 7 -d "$(date -d -7days +%F)" wanda'),
}
# The key of otto's one-time codes, as pam_oath's file and oathtool have it.
CODES = "00112233445566778899aabbccddeeff00112233"
# Known by the directory alone.
LENA = Account(5001, "Lime-Tiger-6")
CLASS = "class5b"


def make_people(server: Server) -> None:
    """Make everybody of PEOPLE; otto needs a one-time code of pam_oath as well."""
    script = ["set -e", "groupadd --force codes"]
    for name, each in PEOPLE.items():
        script.append(f"useradd --uid {each.uid} --create-home {each.options} {name}")
        script.append(f"echo {shlex.quote(f'{name}:{each.password}')} | chpasswd")
        script.append(each.state)
    script += [
        f"(umask 077; echo 'HOTP/T30/6 otto - {CODES}' >/etc/users.oath)",
        # Only members of the group are asked, after their password.
        "cat >>/etc/pam.d/common-auth <<'EOF'",
        "auth [success=1 default=ignore] pam_succeed_if.so quiet user notingroup codes",
        "auth required pam_oath.so usersfile=/etc/users.oath window=20 digits=6",
        "EOF",
    ]
    server.run("\n".join(script))


def code(server: Server) -> str:
    """Return otto's one-time code of this moment; each is taken once, and a new one comes every 30 s."""
    return server.run(f"oathtool --totp {CODES}").strip()


def make_directory(server: Server) -> None:
    """Have slapd know lena and her class, and SSSD ask it."""
    entries = f"""\
        dn: dc=lab
        objectClass: dcObject
        objectClass: organization
        o: lab

        dn: uid=lena,dc=lab
        objectClass: inetOrgPerson
        objectClass: posixAccount
        sn: Lena
        cn: Lena of the directory
        uidNumber: {LENA.uid}
        gidNumber: {LENA.uid}
        homeDirectory: /home/lena
        loginShell: /bin/bash
        userPassword: {LENA.password}

        dn: cn=lena,dc=lab
        objectClass: posixGroup
        gidNumber: {LENA.uid}

        dn: cn={CLASS},dc=lab
        objectClass: posixGroup
        gidNumber: 5100
        memberUid: lena
        """
    server.write("/etc/ldap/lab.conf", _SLAPD)
    server.write("/etc/sssd/sssd.conf", _SSSD)
    server.run(
        "set -e; chmod 600 /etc/sssd/sssd.conf; mkdir -p /var/lib/ldap-lab /run/slapd;"
        "slapadd -f /etc/ldap/lab.conf",
        stdin=textwrap.dedent(entries),
    )
    server.run(
        "set -e; systemctl stop slapd;"
        "systemd-run --quiet --unit=lab-slapd --service-type=forking"
        f" slapd -f /etc/ldap/lab.conf -h {_LDAP}/;"
        "systemctl restart sssd;"
        f"install -d -m 700 -o {LENA.uid} -g {LENA.uid} /home/lena"
    )
    server.wait_for(f"getent passwd lena && id lena | grep -q {CLASS}")
