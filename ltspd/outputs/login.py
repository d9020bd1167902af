"""Logins: an sshd of our own that asks PAM and hands out homes, and does nothing else. Pure."""

from ltspd.model.facts import Program
from ltspd.model.output import File, Output, Unit
from ltspd.outputs.world import World

ORDER = 55
PATH = "/var/lib/ltspd/outputs/login/sshd_config"
SSHD = Program("sshd")
# Versions that don't know an option don't accept a file with it.
SERVICE_NAME = Program("sshd", knows="pamservicename")
PENALTIES = Program("sshd", knows="persourcepenalties")
PROGRAMS = (SSHD, SERVICE_NAME, PENALTIES)
UNIT = "ltspd-login.service"
UNITS = (UNIT,)

# PAMServiceName: versions without it name the service after the program, so the unit starts it by a link.
_NAME = "PAMServiceName ltspd-login\n"
# A class may be behind one address, and one child's wrong passwords must not shut it out.
_FORGIVING = "PerSourcePenalties no\n"
# DisableForwarding, PermitTTY, PermitUserRC, ForceCommand: nothing but files. ForceCommand alone is not
# enough: a client that asks for the subsystem gets it only by the line Subsystem.
# -u 0002: the modes of new files are the client's, for it has the person's umask; but none is open to
# everybody if a program names no mode.
# ChrootDirectory: without any, sshd refuses accounts whose shell only images have, and says that the password
# was wrong; /etc/pam.d/ltspd-login judges shells, and says so.
_CONFIG = """# Written by ltspd; the settings LOGIN and LOGIN_PORT of ltsp.conf change it.
{listen}{allow}HostKey /var/lib/ltspd/keys/login
PidFile none
UsePAM yes
{options}AuthenticationMethods keyboard-interactive publickey
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile /var/lib/ltspd/outputs/login/keys/%u
PermitRootLogin no
ChrootDirectory /
LoginGraceTime 0
MaxStartups 3000
PerSourceMaxStartups 600
DisableForwarding yes
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
PrintMotd no
PrintLastLog no
UseDNS no
Compression no
Subsystem sftp internal-sftp -u 0002
ForceCommand internal-sftp -u 0002
# Whoever comes by this port wants a new password; see /etc/pam.d/ltspd-login.
Match LocalPort {passwords}
    PubkeyAuthentication no
    AuthenticationMethods keyboard-interactive
"""


def render(world: World) -> Output:
    """Return the output that lets people log in at clients, with their passwords and homes here."""
    port = world.desired.add_on.login_port
    served = world.desired.network.served
    addresses = sorted({link.address.ip for link in served})
    networks = world.desired.network.networks
    listen = "".join(f"ListenAddress {ip}:{each}\n" for ip in addresses for each in (port, port + 1))
    allow = "".join(f"AllowUsers *@{network}\n" for network in networks)
    options = _NAME if SERVICE_NAME in world.programs else ""
    options += _FORGIVING if PENALTIES in world.programs else ""
    text = _CONFIG.format(listen=listen, allow=allow, options=options, passwords=port + 1)
    return Output(
        name="login",
        files=(File(PATH, text.encode()),),
        activation=Unit(UNIT),
        wanted=bool(addresses and port),
        check=("/usr/sbin/sshd", "-t", "-f", "{}"),
        ports=(("tcp", port), ("tcp", port + 1)),
        port_setting="LOGIN_PORT",
        missing=""
        if SSHD in world.programs
        else (
            "openssh-server is not installed, so nobody can log in at clients with a password of this "
            "server; install it, or set LOGIN=0 in [server] of ltsp.conf."
        ),
    )
