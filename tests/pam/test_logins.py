"""Logins as a greeter sees them: each prompt and message of the server, and what PAM says at the end."""

import hashlib
import hmac
import struct
import time
from typing import Any

import pytest

from tests.pam.machines import LOGIN, PASSWORD, PRESET, School

pytestmark = pytest.mark.lab
SUCCESS, PERM_DENIED, AUTH_ERR, CRED_INSUFFICIENT, AUTHINFO_UNAVAIL = 0, 6, 7, 8, 9
ACCT_EXPIRED, CONV_ERR, AUTHTOK_ERR = 13, 19, 20
NEW = "Brighter-9-Candles"
_SESSION = ("acct_mgmt", "open_session", "sleep 1", "close_session")
LOGIN_STEPS = ("authenticate", "acct_mgmt", "setcred 2", "open_session")
ASKED = ["hidden", "Password: "]


def one_time_code(counter: int) -> str:
    """Return what otto's token shows (RFC 4226)."""
    digest = hmac.new(b"12345678901234567890", struct.pack(">Q", counter), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def test_the_right_password_brings_the_home_for_as_long_as_somebody_is_there(school: School) -> None:
    uid = school.person("anna")
    school.log()
    steps = (*LOGIN_STEPS, "sleep 0.1", "close_session")
    seen = school.call("anna", PASSWORD, steps=steps, watch=PASSWORD)
    assert seen["codes"] == [SUCCESS] * 5
    assert seen["said"] == [ASKED]
    # The connection stays, and is the person's own.
    assert school.log() == [f"up anna {uid} 0 ", f"connected {uid}"]
    # No process has shown the password, no file has it, and the caller has nothing more than before.
    assert seen["shown"] == seen["left"] == []
    assert seen["children"] == ""
    assert school.client.run(f"grep -rlF {PASSWORD} /run /tmp /var /etc /home", check=False) == ""
    school.leave("anna")


def test_the_home_stays_while_another_session_is_there(school: School) -> None:
    school.person("berta")
    first = school.at_terminal("python3", "-c", _HOLDS, "berta", PASSWORD, *_SESSION)
    first.expect("in")
    assert school.client.run("findmnt -n -o FSTYPE /home/berta").strip() == "tmpfs"
    school.log()
    # A locker of hers, which has no rights, and a second login: there is one connection.
    uid = school.client.run("id -u berta").strip()
    assert school.call("berta", PASSWORD, uid=int(uid))["codes"] == [SUCCESS]
    assert school.call("berta", "wrong", uid=int(uid))["codes"] == [AUTH_ERR]
    assert school.call("berta", PASSWORD, steps=(*LOGIN_STEPS, "close_session"))["codes"] == [SUCCESS] * 5
    assert school.call("berta", "wrong", steps=LOGIN_STEPS)["codes"] == [AUTH_ERR]
    assert [line.split()[0] for line in school.log()] == ["up"]
    # She can't trace the connection, and so make it say what she likes; nor with what pam_systemd gives her.
    master = school.connections("berta").split()[0]
    traced = school.client.run(
        f"setpriv --reuid {uid} --regid $(id -g berta) --clear-groups --inh-caps +wake_alarm "
        f"--ambient-caps +wake_alarm cat /proc/{master}/environ",
        check=False,
    )
    assert "Permission denied" in traced
    # It has nothing of the caller's: no terminal, no descriptor, no directory.
    assert school.client.run(f"ps -o tty= -p {master}").strip() == "?"
    held = school.client.run(f"readlink /proc/{master}/fd/* /proc/{master}/cwd").split("\n")
    assert [each for each in held if each.startswith(("/dev/pts", "/dev/ptmx", "/tmp", "pipe:"))] == []
    assert "/" in held
    assert school.held("berta")
    first.type("out")
    first.expect("left")
    first.close()
    school.leave("berta")


@pytest.mark.parametrize("killed", [False, True])
def test_the_home_is_held_from_the_password_on(school: School, killed: bool) -> None:
    name = f"mona{killed:d}"
    school.person(name)
    assert school.call(name, "wrong")["codes"] == [AUTH_ERR]
    entering = school.at_terminal("python3", "-c", _HOLDS, name, PASSWORD, "acct_mgmt", "sleep 1")
    entering.expect("in")
    assert school.held(name)
    # Another session, such as a job of cron, ends before that of the login begins.
    assert school.call(name, steps=("open_session", "close_session"))["codes"] == [SUCCESS] * 2
    assert school.held(name)
    # And that never does: somebody gives up, or the program ends.
    if killed:
        school.client.run("pkill -KILL -f ^python3")
        with pytest.raises(AssertionError, match="left"):
            entering.expect("left")
    else:
        entering.type("out")
        entering.expect("left")
    entering.close()
    school.leave(name)


# What a greeter does, and the pause in it lasts until a line is typed.
_HOLDS = """
import os, sys; sys.path.insert(0, "/tmp")
import caller
os.chdir("/tmp")
os.set_inheritable(os.open("/tmp/caller.py", os.O_RDONLY), True)
caller.time.sleep = lambda _: (print("in", flush=True), input())
orders = {"service": "greeter", "user": sys.argv[1], "answers": [sys.argv[2]]}
print(caller.call(orders | {"steps": ["authenticate", *sys.argv[3:]]}), "left")
"""


def test_whom_the_server_refuses(school: School) -> None:
    for name, change in (
        ("carl", "true"),
        ("dirk", "usermod -L dirk"),
        ("emma", "chage -E 0 emma"),
        ("fred", "true"),
    ):
        uid = school.person(name)
        school.server.run(change)
    school.log()
    assert school.call("carl", "wrong") | {"took": 0} == _seen(AUTH_ERR, ASKED)
    assert school.call("carl", "") | {"took": 0} == _seen(AUTH_ERR, ASKED)
    assert school.call("dirk", PASSWORD) | {"took": 0} == _seen(AUTH_ERR, ASKED)
    expired = "Your account has expired; please contact your system administrator."
    assert school.call("emma", PASSWORD) | {"took": 0} == _seen(ACCT_EXPIRED, ASKED, ["error", expired])
    assert school.call("emma", "wrong") | {"took": 0} == _seen(AUTH_ERR, ASKED)
    school.server.put("/etc/nologin", "The school is closed until Monday.\n")
    seen = school.call("fred", PASSWORD) | {"took": 0}
    school.server.run("rm /etc/nologin")
    assert seen == _seen(PERM_DENIED, ASKED, ["error", "The school is closed until Monday."])
    assert school.call("fred", PASSWORD, steps=(*LOGIN_STEPS, "close_session"))["codes"] == [SUCCESS] * 5
    assert [line.split()[:2] for line in school.log()] == [
        ["up", "fred"],
        ["connected", str(uid)],
    ]


def _seen(code: int, *said: list[str]) -> dict[str, object]:
    return {
        "codes": [code],
        "said": list(said),
        "shown": [],
        "left": [],
        "children": "",
        "sigchld": "0",
        "took": 0,
    }


def test_accounts_of_the_client_are_none_of_ours(school: School) -> None:
    for name in ("local", "root"):
        seen = school.call(name, "wrong", service="only-ours")
        assert seen["said"] == []
    assert school.call("local", PASSWORD, steps=("authenticate", "acct_mgmt"))["codes"] == [SUCCESS] * 2
    assert school.call("local", "wrong")["codes"] == [AUTH_ERR]


def test_a_name_that_nobody_knows_is_refused_as_a_wrong_password(school: School) -> None:
    assert school.call("nobody-knows", PASSWORD) | {"took": 0} == _seen(AUTH_ERR, ASKED)
    # Words that a shell or ssh could take for something else never leave this machine.
    for name in ("-oProxyCommand=id", "a b", "a'b", "$(id)", "a\nb"):
        assert school.call(name, PASSWORD)["codes"] != [SUCCESS]


def test_an_expired_password_is_changed_at_the_login(school: School) -> None:
    school.person("gerd")
    school.server.run("chage -d 0 gerd")
    seen = school.call(
        "gerd", PASSWORD, PASSWORD, "short", "short", NEW, NEW, service="with-token", watch=NEW
    )
    assert seen["codes"] == [SUCCESS]
    assert seen["said"] == [
        ASKED,
        ["info", "You are required to change your password immediately (administrator enforced)."],
        ["info", "Changing password for gerd."],
        ["hidden", "Current password: "],
        ["hidden", "New password: "],
        ["hidden", "Retype new password: "],
        ["info", "You must choose a longer password."],
        ["hidden", "New password: "],
        ["hidden", "Retype new password: "],
    ]
    assert seen["shown"] == []
    # Keyrings are opened with the new one.
    assert school.token() == NEW
    assert school.call("gerd", NEW)["codes"] == [SUCCESS]
    assert school.call("gerd", PASSWORD)["codes"] == [AUTH_ERR]


def test_a_change_that_fails_says_why(school: School) -> None:
    school.person("hans")
    school.server.run("chage -d 0 hans")
    seen = school.call("hans", PASSWORD, PASSWORD, NEW, "Another-3-Thing")
    assert seen["codes"] == [PERM_DENIED]
    assert seen["said"][-1] == ["error", "Sorry, passwords do not match."]
    seen = school.call("hans", PASSWORD, PASSWORD, *(word for word in "aabbcc"))
    assert seen["codes"] == [PERM_DENIED]
    assert seen["said"].count(["hidden", "New password: "]) == 3
    assert seen["said"][-1][0] == "error"


def test_all_kinds_of_prompts_come_one_by_one(school: School) -> None:
    school.person("otto")
    counter = school.people.index("otto")
    seen = school.call("otto", PASSWORD, one_time_code(1), service="with-token")
    assert seen["codes"] == [SUCCESS]
    assert seen["said"] == [ASKED, [seen["said"][1][0], "One-time password (OATH) for `otto': "]]
    assert counter >= 0
    assert school.token() == PASSWORD
    assert school.call("otto", PASSWORD, "000000")["codes"] == [AUTH_ERR]
    school.person("paul")
    words = "Welcome,_paul.|Which_class_are_you_in,|and_since_when?|Class:_"
    school.ask(
        ask=f"user=paul ask=on text={words} want=7b", account="user=paul ask=info text=Expires_in_3_days."
    )
    seen = school.call("paul", "7b", PASSWORD)
    assert seen["codes"] == [SUCCESS]
    assert seen["said"] == [
        ["info", "Welcome, paul."],
        ["info", "Which class are you in,"],
        ["info", "and since when?"],
        ["visible", "Class: "],
        ASKED,
        ["info", "Expires in 3 days."],
    ]
    # A prompt that ends with a new line, and one that is longer than a terminal's buffer.
    school.ask(ask=f"user=paul ask=off text=Secret|{'x' * 700}|Your_token|| want=tok")
    seen = school.call("paul", "tok", PASSWORD, service="with-token")
    assert seen["codes"] == [SUCCESS]
    assert seen["said"][1:] == [["info", "x" * 700], ["hidden", "Your token"], ASKED]
    assert school.token() == PASSWORD
    school.ask()
    assert school.call("paul", PASSWORD)["said"] == [ASKED]


def test_a_password_ages_and_the_person_is_told(school: School) -> None:
    school.person("quin")
    school.server.run("chage -d $(date -d '-7 days' +%F) -M 10 -W 7 quin")
    seen = school.call("quin", PASSWORD)
    assert seen["codes"] == [SUCCESS]
    assert seen["said"] == [ASKED, ["info", "Warning: your password will expire in 3 days."]]


def test_any_password_goes_unchanged(school: School) -> None:
    for number, password in enumerate(("\x03\x04\x15\x17\x7f\x16tab\t", "grüße €", " '\"$`\\ ", "p" * 250)):
        school.person(f"rosa{number}", password=password)
        assert school.call(f"rosa{number}", password)["codes"] == [SUCCESS], password


def test_a_password_that_another_module_asked_for_is_used_once(school: School) -> None:
    school.person("sven", password=PRESET)
    assert school.call("sven", service="preset") | {"took": 0} == _seen(SUCCESS)
    school.person("tina")
    assert school.call("tina", service="preset")["codes"] == [AUTH_ERR]


def test_an_account_that_the_client_does_not_know_comes_with_its_login(school: School) -> None:
    uid = school.person("uwe", listed=False)
    school.log()
    entry, groups = f"uwe:x:{uid}:100:Uwe_of_7b:/home/uwe:/bin/bash", "uwe:100_staff:50"
    # Nothing of that is shown.
    school.ask(account=f"user=uwe ask=info text=ltspd-passwd:_{entry}|ltspd-groups:_{groups}|Good_morning.")
    seen = school.call("uwe", PASSWORD, steps=(*LOGIN_STEPS, "close_session"))
    assert seen["codes"] == [SUCCESS] * 5
    assert seen["said"] == [ASKED, ["info", "Good morning."]]
    told = f"ltspd-passwd: {entry} ltspd-groups: {groups}".replace("_", " ")
    assert " ".join(school.log()) == f"up uwe  0 {told} connected 0"
    school.leave("uwe")
    assert school.call("uwe", PASSWORD)["codes"] == [SUCCESS]
    # A server that says nothing, or a number that is no person's, gives no home.
    for number, line in enumerate(
        ("x", "ltspd-passwd:_vera1:x:0:0::/root:/bin/sh", "ltspd-passwd:_root:x:1:1::/:/")
    ):
        name = f"vera{number}"
        school.person(name, listed=False)
        school.ask(account=f"user={name} ask=info text={line}")
        assert school.call(name, PASSWORD)["codes"] == [CRED_INSUFFICIENT]
        assert school.connections(name) == ""
    school.ask()


def test_a_home_that_fails_ends_the_login_with_its_words(school: School) -> None:
    school.person("willi")
    school.client.put(f"{LOGIN}/broken", "the disk is full")
    seen = school.call("willi", PASSWORD)
    school.client.run(f"rm {LOGIN}/broken")
    assert seen["codes"] == [CRED_INSUFFICIENT]
    assert seen["said"] == [ASKED, ["error", "Your home can't be had: the disk is full"]]
    assert school.connections("willi") == ""
    # polkit asks for a password, and nobody gets a home by that.
    school.log()
    assert school.call("willi", PASSWORD, service="polkit-1")["codes"] == [SUCCESS]
    assert school.log() == []


@pytest.mark.parametrize(
    "orders",
    [
        {"closed": [0, 1, 2]},
        {"ignore": True},
        {"thread": True},
        {"uid": 1500, "euid": 0},
    ],
    ids=["closed", "ignores-children", "thread", "setuid"],
)
def test_callers_of_all_kinds(school: School, orders: dict[str, Any]) -> None:
    name = f"xaver{len(school.people)}"
    school.person(name)
    seen = school.call(name, PASSWORD, **orders)
    assert seen["codes"] == [SUCCESS]
    assert seen["left"] == []
    assert seen["children"] == ""
    assert seen["sigchld"] == ("1" if "ignore" in orders else "0")
    assert school.call(name, "wrong", **orders)["codes"] == [AUTH_ERR]


def test_a_person_who_gives_up_leaves_nothing(school: School) -> None:
    school.person("yves")
    seen = school.call("yves", None)
    assert seen["codes"] == [CONV_ERR]
    assert seen["left"] == []
    assert seen["children"] == ""
    assert school.connections("yves") == ""


def test_a_server_that_is_not_there(school: School) -> None:
    school.person("zoe")
    # Another key.
    right = school.client.get(f"{LOGIN}/known_hosts")
    other = school.client.run("ssh-keygen -q -t ed25519 -N '' -f /tmp/other; cut -d' ' -f1,2 /tmp/other.pub")
    school.client.put(f"{LOGIN}/known_hosts", f"ltsp-login {other}")
    seen = school.call("zoe", PASSWORD) | {"took": 0}
    school.client.put(f"{LOGIN}/known_hosts", right)
    assert seen["codes"] == [AUTHINFO_UNAVAIL]
    assert [style for style, _ in seen["said"]] == ["error"]
    assert "has another key" in seen["said"][0][1]
    # It ends while the person types.
    caller = school.at_terminal("python3", "-c", _THINKS, "zoe", PASSWORD)
    caller.expect("in")
    school.serve_no_more()
    caller.type("go on")
    caller.expect(r"'codes': \[9\].*The login server has ended the connection \(.*\)\. Please")
    caller.close()
    # Nobody listens.
    why = "ssh: connect to host 10.9.0.1 port 2222: Connection refused"
    refused = (
        f"The login server can't be reached ({why}). Please try again later, or tell your administrator."
    )
    assert school.call("zoe", PASSWORD) | {"took": 0} == _seen(AUTHINFO_UNAVAIL, ["error", refused])
    # One that closes before it asks.
    school.server.put("/tmp/closes.py", _CLOSES)
    school.server.run(
        "python3 /tmp/closes.py >/tmp/closes.log 2>&1 & until grep -q up /tmp/closes.log; do sleep 0.1; done"
    )
    (said,) = school.call("zoe", PASSWORD)["said"]
    assert said[0] == "error"
    assert "can't be reached" in said[1]
    # One that is switched off.
    if school.release == "bookworm":
        school.server.run("ip link set eth0 down")
        seen = school.call("zoe", PASSWORD)
        school.server.run("ip link set eth0 up")
        assert seen["codes"] == [AUTHINFO_UNAVAIL]
        assert "can't be reached" in seen["said"][0][1]
    school.serve()
    for hidden, restored in (("ssh_config", LOGIN), ("ssh", "/usr/bin")):
        school.client.run(f"mv {restored}/{hidden} {restored}/{hidden}.away")
        seen = school.call("zoe", PASSWORD)
        school.client.run(f"mv {restored}/{hidden}.away {restored}/{hidden}")
        assert seen["codes"] == [AUTHINFO_UNAVAIL]
        assert [style for style, _ in seen["said"]] == ["error"]
    assert school.call("zoe", PASSWORD)["codes"] == [SUCCESS]


# A person who thinks before they answer.
_THINKS = """
import os, sys; sys.path.insert(0, "/tmp")
import caller
os.chdir("/tmp")
os.set_inheritable(os.open("/tmp/caller.py", os.O_RDONLY), True)
caller.time.sleep = lambda _: (print("in", flush=True), input())
orders = {"service": "greeter", "user": sys.argv[1], "answers": [sys.argv[2]], "steps": ["authenticate"]}
print(caller.call(orders | {"thinks": 1}))
"""
_CLOSES = """
import socket
listener = socket.create_server(("10.9.0.1", 2222))
print("up", flush=True)
listener.accept()[0].close()
"""


def test_a_busy_machine_tears_no_prompt(school: School) -> None:
    school.person("zora")
    # More than the kernel takes from a program at once, and than it keeps for us.
    school.ask(ask=f"user=zora ask=on text={'x' * 61}|yours?_ repeat=100 want=yes")
    school.client.run("for i in 1 2 3 4 5 6; do timeout 8 sh -c 'while :; do :; done' >/dev/null 2>&1 & done")
    began = time.monotonic()
    while time.monotonic() - began < 5:
        seen = school.call("zora", "yes", PASSWORD)
        assert seen["codes"] == [SUCCESS]
        words = [["info", "x" * 61], *[["info", f"yours? {'x' * 61}"]] * 99]
        assert seen["said"] == [*words, ["visible", "yours? "], ASKED]
    school.ask()
