"""Logins at servers of two releases, whose own sshd and PAM judge people in every state."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import product
from tests.lab.asked import HOST, OTHER, PORT, STRANGER, Asked, Desk, desk
from tests.lab.net import SERVER_ADDRESS, make_lan
from tests.lab.people import CLASS, LENA, PEOPLE, code, make_directory, make_people
from tests.lab.server import start_server
from tests.lab.session import leftovers, open_session

pytestmark = pytest.mark.lab

WRONG = "Permission denied (publickey,keyboard-interactive)."
NEW = PORT + 1
KEYS = "/var/lib/ltspd/outputs/login/keys"
# Names that are not people's, each with a password.
SYSTEM = {"root": "Root-Secret-1", "www-data": "Data-Secret-2", "nobody": "Body-Secret-3"}


@pytest.fixture(scope="module", params=["login-server", "trixie-server"])
def school(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Boot a server with people, and return a machine on its LAN."""
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=request.param)
        product.wait_until_up(server)
        make_people(server)
        make_directory(server)
        for name, password in SYSTEM.items():
            server.run("chpasswd", stdin=f"{name}:{password}\n")
        # The trees have the module that judges new words, but not its dictionary.
        server.run("echo dictcheck=0 >>/etc/security/pwquality.conf")
        product.configure(server, {})
        server.wait_for("systemctl is-active --quiet ltspd-login")
        yield desk(server, tmp_path_factory.mktemp("desk"))
    assert leftovers(session.name) == []


def password(name: str) -> str:
    return PEOPLE[name].password


def every(school: Desk, *tries: tuple[str, str]) -> dict[str, Asked]:
    """Try names with passwords side by side: PAM lets those wait who are wrong."""
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda each: school.ask(*each), tries)
    return {name: each for (name, _), each in zip(tries, results, strict=True)}


def test_who_is_right_gets_in_and_the_client_learns_who_it_is(school: Desk) -> None:
    anna = school.ask("anna", password("anna"))
    assert (anna.prompts, anna.status) == (("Password: ",), 0)
    assert anna.said == (
        "ltspd-passwd: anna:x:1501:1501::/home/anna:/bin/bash\nltspd-groups: anna:1501 sudo:27\n"
    )
    otto = school.ask("otto", password("otto"), code(school.server))
    assert (len(otto.prompts), otto.status) == (2, 0)
    assert "One-time password" in otto.prompts[1]
    wanda = school.ask("wanda", password("wanda"))
    assert wanda.status == 0
    assert "your password will expire in 3 days" in wanda.said


def test_an_account_of_a_directory_gets_in_and_its_home_is_made(school: Desk) -> None:
    school.server.run("rm -rf /home/lena")
    lena = school.ask("lena", LENA.password)
    assert lena.status == 0
    assert f":{LENA.uid}:{LENA.uid}:Lena of the directory:/home/lena:/bin/bash\n" in lena.said
    assert f"{CLASS}:5100" in lena.said
    assert school.server.run("stat -c '%a %U' /home/lena").strip() == "700 lena"


def test_who_is_wrong_stays_out_and_nothing_tells_why(school: Desk) -> None:
    wrong = every(
        school,
        ("bert", "Wrong-Horse-0"),
        ("locked", password("locked")),
        ("otto", password("otto")),
        ("nobodyknows", "Wrong-Horse-0"),
        *SYSTEM.items(),
    )
    for name, each in wrong.items():
        assert each.prompts[0] == "Password: ", name
        assert (each.said.strip(), each.status) == (f"{name}@{SERVER_ADDRESS}: {WRONG}", 255)


def test_who_is_right_and_may_not_come_in_is_told_why(school: Desk) -> None:
    told = every(school, *((name, password(name)) for name in ("gone", "nora")))
    assert "Your account has expired; please contact your system administrator." in told["gone"].said
    assert "nora may not log in: the shell of this account is not in /etc/shells" in told["nora"].said
    school.server.write("/etc/nologin", "Back at noon.\n")
    try:
        noon = school.ask("anna", password("anna"))
    finally:
        school.server.run("rm /etc/nologin")
    assert "Back at noon." in noon.said
    # A shell that only images have is no reason to take a right password for a wrong one.
    school.server.run("usermod -s /usr/bin/fish bert 2>/dev/null")
    try:
        assert "bert may not log in" in school.ask("bert", password("bert")).said
        school.server.run("cp /etc/shells /run/shells; echo /usr/bin/fish >>/etc/shells")
        assert school.ask("bert", password("bert")).status == 0
    finally:
        school.server.run("usermod -s /bin/bash bert; mv /run/shells /etc/shells")
    assert {each.status for each in (*told.values(), noon)} == {255}


def test_an_expired_password_is_changed_in_the_same_conversation(school: Desk) -> None:
    old, new = password("stale"), "Neues-Wort-77"
    stale = school.ask("stale", old, old, "short", new, new)
    assert stale.status == 0
    assert "You are required to change your password immediately" in stale.prompts[1]
    asked = [each.splitlines()[-1] for each in stale.prompts]
    assert asked == [
        *("Password: ", "Current password: ", "New password: ", "New password: ", "Retype new password: ")
    ]
    assert "BAD PASSWORD: The password is shorter" in stale.prompts[3]
    again = every(school, ("stale", old), ("bert", password("bert")))
    assert [each.status for each in again.values()] == [255, 0]
    assert len(school.ask("stale", new).prompts) == 1


def test_the_second_port_asks_for_a_new_password(school: Desk) -> None:
    old, new = password("bert"), "Anderes-Wort-88"
    before = school.server.run("grep ^bert: /etc/shadow")
    first = school.ask("bert", old, old, new, "something else", port=NEW)
    assert first.status == 255
    assert school.server.run("grep ^bert: /etc/shadow") == before
    assert school.ask("bert", old, old, new, new, port=NEW).status == 0
    assert school.server.run("grep ^bert: /etc/shadow") != before
    assert school.ask("bert", new).status == 0
    assert "may not log in" in school.ask("nora", password("nora"), port=NEW).said
    school.server.run("chpasswd", stdin=f"bert:{old}\n")
    # A directory's, where SSSD asks, and changes it in the person's name.
    lena = school.ask("lena", LENA.password, LENA.password, new, new, port=NEW)
    assert lena.status == 0, lena
    assert school.ask("lena", new).status == 0
    assert school.ask("lena", new, new, LENA.password, LENA.password, port=NEW).status == 0


def test_nothing_but_files_can_be_had(school: Desk) -> None:
    def anna(*words: str) -> Asked:
        return school.ask("anna", password("anna"), words=words)

    forward = ("-N", "-o", "ExitOnForwardFailure=yes")
    refused = {
        "a shell": anna(HOST),
        "a command": anna(HOST, "id"),
        "a terminal": anna("-tt", HOST, "id"),
        "another subsystem": anna("-s", HOST, "netconf"),
        "a connection from the server": anna("-W", "127.0.0.1:22", HOST),
        "a listener on the server": anna(*forward, "-R", "9999:127.0.0.1:22", HOST),
        "a tunnel": anna(*forward, "-w", "9:9", HOST),
    }
    for what, each in refused.items():
        assert each.status != 0, what
        assert "uid=" not in each.output + each.said, what


def test_others_files_are_closed_and_new_ones_have_the_clients_mode(school: Desk) -> None:
    school.server.run("chmod 750 /home/bert; echo secret >/home/bert/file")
    notes = school.folder / "notes"
    notes.touch()
    notes.chmod(0o664)
    commands = "ls /home/bert\nget /etc/shadow /dev/null\nput /etc/hostname /etc/ltsp/x\nmkdir shared\n"
    commands += f"chmod 2775 shared\nput {notes} shared/file\n"
    anna = school.ask("anna", password("anna"), words=(HOST,), program="sftp", stdin=commands)
    for refused in ("bert", "/etc/shadow", "/etc/ltsp/x"):
        assert re.search(f"{refused}.*: Permission denied", anna.said), (refused, anna)
    modes = school.server.run("stat -c '%a %U' /home/anna/shared /home/anna/shared/file").split()
    assert modes == ["2775", "anna", "664", "anna"], "the server takes away what the client's umask allowed"


def test_all_groups_come_however_many_they_are(school: Desk) -> None:
    names = [f"a-long-name-of-a-course-{number}" for number in range(200)]
    lines = "".join(f"{name}:x:{4000 + number}:bert\n" for number, name in enumerate(names))
    school.server.run("cp -a /etc/group /run/group; cat >>/etc/group", stdin=lines)
    try:
        said = school.ask("bert", password("bert")).said
    finally:
        school.server.run("mv /run/group /etc/group")
    told = [line.removeprefix("ltspd-groups: ") for line in said.splitlines() if "ltspd-groups: " in line]
    assert " ".join(told).split() == [
        "bert:1502",
        *(f"{name}:{4000 + number}" for number, name in enumerate(names)),
    ]
    assert max(map(len, told)) <= 1000


def test_a_key_opens_one_home_of_one_who_may_come_in_and_nothing_else(school: Desk) -> None:
    for name in ("machine", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", school.folder / name], check=True
        )
    public = (school.folder / "machine.pub").read_text()
    school.server.run("usermod -s /bin/bash games")
    for name in ("anna", "nora", "root", "games"):
        school.server.write(f"{KEYS}/{name}", f'restrict,command="internal-sftp" {public}')

    def come(user: str, key: str = "machine", port: int = PORT) -> Asked:
        words = ("-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no")
        identity = ("-o", "IdentitiesOnly=yes", "-i", str(school.folder / key))
        return school.ask(user, words=(*words, *identity, "-s", HOST, "sftp"), port=port)

    try:
        anna = come("anna")
        assert (anna.status, anna.prompts) == (0, ())
        assert "ltspd-passwd: anna:" in anna.said
        tries = {
            "the key of nobody": come("anna", "other"),
            "nobody's home": come("bert"),
            "root": come("root"),
            "a system account": come("games"),
            "a new password": come("anna", port=NEW),
            "who may not log in": come("nora"),
        }
    finally:
        school.server.run(f"rm -f {KEYS}/*")
    assert {what for what, each in tries.items() if each.status == 0} == set()
    assert "may not log in" in tries["who may not log in"].said
    assert come("anna").status == 255


def test_wrong_passwords_shut_nobody_else_out(school: Desk) -> None:
    """As in a room behind one address, where a child doesn't remember and others do."""
    with ThreadPoolExecutor(6) as pool:
        tries = list(pool.map(lambda number: school.ask("bert", f"Wrong-Horse-{number}"), range(6)))
    assert {(each.status, len(each.prompts)) for each in tries} == {(255, 1)}
    right = every(school, ("anna", password("anna")), ("bert", password("bert")))
    assert [each.status for each in right.values()] == [0, 0]


def test_a_machine_that_holds_connections_shuts_only_itself_out(school: Desk) -> None:
    """They say nothing and stay. The person's machine has another address."""
    with school.held(OTHER, 650) as greeted:
        assert greeted == 600
        anna = school.ask("anna", password("anna"))
        assert anna.status == 0
    refused = school.ask("anna", password("anna"), source=STRANGER)
    assert (refused.status, refused.prompts) == (255, ("Password: ",)), "only served networks may log in"


def test_sessions_outlive_restarts_and_new_settings(school: Desk) -> None:
    server = school.server
    with school.session("anna", password("anna")) as run:

        def at_home() -> bool:
            return "/home/anna" in run("pwd")

        assert at_home()
        listening = server.run("ss -Hltn | awk '{ print $4 }'").split()
        ours = {f"{SERVER_ADDRESS}:{PORT}", f"{SERVER_ADDRESS}:{NEW}"}
        assert {each for each in listening if each.endswith((f":{PORT}", f":{NEW}"))} == ours
        server.run("systemctl restart ltspd-login")
        assert at_home()
        with product.configured(server, {"server": {"LOGIN_PORT": "222"}}):
            server.wait_for(f"ss -Hltn | grep -q {SERVER_ADDRESS}:222")
            assert school.ask("bert", password("bert"), port=222).status == 0
            assert at_home()
        with product.configured(server, {"server": {"LOGIN": "0"}}):
            server.wait_for("! systemctl is-active --quiet ltspd-login")
            assert at_home()
        product.settled(server)
        assert school.ask("bert", password("bert")).status == 0
        server.run("mv /usr/sbin/sshd /usr/sbin/sshd.away; ltspctl reload")
        try:
            (problem,) = product.problems(server)
            assert problem.startswith("output login: openssh-server is not installed")
            assert at_home()
        finally:
            server.run("mv /usr/sbin/sshd.away /usr/sbin/sshd; ltspctl reload")
        product.settled(server)


def test_a_machine_that_nobody_knows_gets_neither_keys_nor_homes(school: Desk) -> None:
    """What it gets by HTTP and TFTP is searched where there are images: tests/login. NBD has layers only."""
    server = school.server
    server.wait_for("systemctl is-active --quiet ltspd-nfs")
    server.run("echo private >/home/anna/notes; chmod -R a+rX /home/anna")
    homes, keys = "/home/anna/notes", "/var/lib/ltspd/keys"
    assert server.run(f"stat -c '%a %U' {keys} {keys}/login {keys}/orders").split() == [
        *("700", "root", "600", "root", "600", "root")
    ]
    public = "/srv/ltsp/images/public"
    server.run(f"echo public >{public}")
    got = {
        path: school.run("nfs-cat", f"nfs://{SERVER_ADDRESS}{path}?version=4").stdout
        for path in (public, "/etc/shadow", homes, f"{keys}/login", f"{keys}/orders")
    }
    server.run(f"rm {public}")
    assert {path: text for path, text in got.items() if text} == {public: "public\n"}
    scan = school.run("ssh-keyscan", "-p", str(PORT), SERVER_ADDRESS).stdout
    (known,) = (line.split()[1:] for line in scan.splitlines() if not line.startswith("#"))
    assert known == (school.folder / "known_hosts").read_text().split()[1:]
    methods = school.ask("anna", words=("-o", "PreferredAuthentications=none", "-s", HOST, "sftp"))
    assert WRONG in methods.said
