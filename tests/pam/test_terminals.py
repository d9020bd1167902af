"""Logins at terminals, by the programs of Debian 12 and 13: login, su, sudo, passwd."""

import pytest

from tests.pam.machines import PASSWORD, School

pytestmark = pytest.mark.lab
NEW = "Brighter-9-Candles"


def test_login_at_a_console(school: School) -> None:
    uid = school.person("alma")
    school.server.run("chage -d 0 alma")
    school.log()
    # It opens its terminal by name, so that must be one of the client.
    console = school.at_terminal("script", "-qec", "exec login", "/dev/null")
    console.expect("login: ")
    console.type("alma")
    console.expect("Password: ")
    console.type("wrong")
    console.expect("Login incorrect")
    console.expect("login: ")
    console.type("alma")
    console.expect("Password: ")
    console.type(PASSWORD)
    console.expect("required to change your password immediately")
    console.expect("Current password: ")
    console.type(PASSWORD)
    console.expect("New password: ")
    console.type(NEW)
    console.expect("Retype new password: ")
    console.type(NEW)
    console.expect(r"\$ ")
    console.type("echo $(id -un) $(stat -f -c %T ~)")
    console.expect("alma tmpfs")
    console.type("exit")
    console.close()
    assert school.log() == [f"up alma {uid} 0 ", f"connected {uid}"]
    school.leave("alma")
    assert school.client.run(f"grep -rlF -e {NEW} -e {PASSWORD} /run /tmp /var /etc /home", check=False) == ""


def test_su_and_sudo_ask_the_server(school: School) -> None:
    school.person("bea")
    shell = school.at_terminal("su", "-", "local")
    shell.expect(r"\$ ")
    for answer, said in (("wrong", "Authentication failure"), (PASSWORD, r"\$ ")):
        shell.type("LD_PRELOAD=/nowhere.so PATH=/nowhere /bin/su - bea")
        shell.expect("Password: ")
        shell.type(answer)
        shell.expect(said)
    # Who has asked has forgotten the password.
    for pid in school.client.run("pgrep -x su").split():
        assert school.client.run(_SEARCH, stdin=f"{pid} bea")
        assert not school.client.run(_SEARCH, stdin=f"{pid} {PASSWORD}")
    shell.type("echo $(id -un)-$(pwd)")
    shell.expect("bea-/home/bea")
    shell.type("sudo -k id -un")
    shell.expect("assword.*: ")
    shell.type("wrong")
    shell.expect("try again")
    shell.expect("assword.*: ")
    shell.type(PASSWORD)
    shell.expect("root\n")
    # sudo's end is not that of the session.
    assert school.held("bea")
    shell.type("exit")
    shell.expect(r"logout(.|\n)*\$ ")
    school.leave("bea")
    # Root asks nobody.
    shell.type("exit")
    shell.close()
    assert school.at_terminal("su", "bea", "-c", "true").close() == 0


# Says where in the memory of a process a word is.
_SEARCH = """python3 -c '
pid, word = input().split()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        begin, end = (int(each, 16) for each in line.split()[0].split("-"))
        if line.split()[1].startswith("rw"):
            memory.seek(begin)
            at = memory.read(end - begin).find(word.encode())
            if at >= 0: print(line, hex(at))
'
"""


def test_ctrl_c_leaves_nothing(school: School) -> None:
    school.person("cleo")
    shell = school.at_terminal("su", "-", "local")
    shell.expect(r"\$ ")
    shell.type("su - cleo")
    shell.expect("Password: ")
    shell.press(b"\x03")
    shell.expect(r"\$ ")
    shell.type("exit")
    shell.close()
    gone = "for i in $(seq 600); do pgrep -x ssh -a | grep -e '-l cleo ' || exit 0; sleep 1; done; exit 1"
    school.client.run(gone)
    # So does a caller that is killed, also while the server thinks.
    for pause in ("0.2", "0.6"):
        caller = "import sys; sys.path.insert(0, '/tmp'); import caller; caller.call({'service': 'greeter', "
        caller += "'user': 'cleo', 'answers': ['wrong'], 'steps': ['authenticate'], 'thinks': 0.3})"
        school.client.run(f'timeout -s KILL {pause} python3 -c "{caller}"', check=False)
        school.client.run(gone)


def test_passwd_changes_the_password_on_the_server(school: School) -> None:
    school.person("dora")
    before = school.server.run("getent shadow dora").split(":")[1]
    shell = school.at_terminal("su", "-", "dora")
    shell.expect(r"\$ ")
    shell.type("passwd")
    for words, answer in (
        ("Password: ", PASSWORD),
        ("Current password: ", PASSWORD),
        ("New password: ", "tiny"),
        ("Retype new password: ", "tiny"),
        ("longer password(.|\n)*New password: ", NEW),
        ("Retype new password: ", NEW),
    ):
        shell.expect(words)
        shell.type(answer)
    shell.expect("password updated successfully|password has been changed")
    assert school.server.run("getent shadow dora").split(":")[1] != before
    assert school.client.run("getent shadow dora").split(":")[1] == "*"
    # A wrong one changes nothing, and no server is said.
    shell.type("passwd")
    shell.expect("Password: ")
    shell.type(PASSWORD)
    shell.expect("password unchanged|manipulation error|Authentication failure")
    shell.type("exit")
    shell.close()
    # Root of the client is nobody on the server, and has to know the password, too.
    root = school.at_terminal("passwd", "dora")
    root.expect("Password: ")
    root.type(NEW)
    root.expect("Current password: ")
    root.type(NEW)
    for words in ("New password: ", "Retype new password: "):
        root.expect(words)
        root.type(PASSWORD)
    root.expect("password updated successfully|password has been changed")
    root.close()
    assert school.call("dora", PASSWORD)["codes"] == [0]
    # Accounts of the image go on as before.
    root = school.at_terminal("passwd", "local")
    root.expect("New password: ")
    root.type(PASSWORD)
    root.expect("Retype new password: ")
    root.type(PASSWORD)
    root.expect("password updated successfully|password has been changed")
    root.close()
