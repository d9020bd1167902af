"""Logins by the PAM services of greeters, as their packages have them."""

import pytest

from tests.pam.machines import PASSWORD, School

pytestmark = pytest.mark.lab
SUCCESS, AUTH_ERR, ACCT_EXPIRED, AUTHINFO_UNAVAIL = 0, 7, 13, 9
NEW, NEWER, NEWEST = "Brighter-9-Candles", "Colder-8-Rivers", "Darker-7-Forests"
STEPS = ("authenticate", "acct_mgmt", "setcred 2", "open_session", "close_session")


@pytest.mark.parametrize("service", ["lightdm", "gdm-password", "sddm", "greetd"])
def test_greeters_bring_the_home(school: School, service: str) -> None:
    name = f"at-{service}"
    uid = school.person(name)
    school.log()
    assert school.call(name, "wrong", service=service)["codes"] == [AUTH_ERR]
    seen = school.call(name, PASSWORD, service=service, steps=STEPS)
    assert seen["codes"] == [SUCCESS] * len(STEPS)
    assert [kind for kind, words in seen["said"] if words == "Password: "] == ["hidden"]
    assert [line.split()[0] for line in school.log()] == ["up", "connected"]
    # What a greeter has started for the session, such as a keyring, systemd ends on a booted client.
    school.client.run(f"pkill -KILL -u {uid}", check=False)
    school.leave(name)


def test_a_greeter_that_shows_one_message_at_a_time_gets_all_words_in_it(school: School) -> None:
    """And in none that it takes for an error, because it says "wrong password" in place of that."""
    ages = "-d $(date -d '-7 days' +%F) -M 10 -W 7"
    for name, state in (("anja", "-E 0"), ("bodo", "-d 0"), ("cora", ages)):
        school.person(name)
        school.server.run(f"chage {state} {name}")
    asked = ["hidden", "Password: "]
    seen = school.call("anja", PASSWORD, service="lightdm")
    assert seen["codes"] == [ACCT_EXPIRED]
    expired = "Your account has expired; please contact your system administrator."
    assert seen["said"] == [asked, ["info", expired]]
    seen = school.call("bodo", PASSWORD, PASSWORD, NEW, NEW, service="lightdm")
    assert seen["codes"] == [SUCCESS]
    required = "You are required to change your password immediately (administrator enforced)."
    assert seen["said"] == [
        asked,
        # Its own prompt is not shown beside a message.
        ["info", f"{required}\nChanging password for bodo.\nCurrent password: "],
        ["hidden", "Current password: "],
        ["hidden", "New password: "],
        ["hidden", "Retype new password: "],
    ]
    # The session covers the words, so it is some seconds before it begins.
    seen = school.call("cora", PASSWORD, service="lightdm")
    assert seen["codes"] == [SUCCESS]
    assert seen["said"] == [asked, ["info", "Warning: your password will expire in 3 days."]]
    assert seen["took"] > 4
    school.serve_no_more()
    seen = school.call("cora", PASSWORD, service="lightdm")
    school.serve()
    assert seen["codes"] == [AUTHINFO_UNAVAIL]
    ((kind, words),) = seen["said"]
    assert kind == "info"
    # Of a line they show what fits on the screen.
    first, *more = words.split("\n")
    assert first.startswith("The login server can't be reached")
    assert more
    assert max(map(len, (first, *more))) <= 80


def test_a_login_opens_the_keyring_and_each_new_password_becomes_its_own(school: School) -> None:
    uid, name = school.person("kira"), "kira"
    place = f"XDG_RUNTIME_DIR=/run/user/{uid}"
    # pam_systemd does that on a booted client.
    school.client.put("/etc/environment", f"{place}\n")
    school.client.run(f"install -d -m 700 -o {uid} -g {uid} /run/user/{uid}")
    person = (
        f"env -i PATH=/usr/bin {place} HOME=/home/{name} setpriv --reuid {uid} --regid {uid} --clear-groups"
    )
    look = "timeout 60 secret-tool lookup key lab"

    def in_session(*answers: str, script: str) -> str:
        seen = school.call(name, *answers, service="lightdm", steps=STEPS[:-1])
        assert seen["codes"] == [SUCCESS] * (len(STEPS) - 1)
        said = school.client.run(f"{person} dbus-run-session -- sh -c '{script}' 2>/dev/null", check=False)
        # The home stays, as the session is not closed; the keyring's program would go on, too.
        school.client.run(f"pkill -u {uid}; while pgrep -u {uid}; do sleep 0.1; done", check=False)
        return said

    # Nobody could answer a question here.
    store = f"printf words | secret-tool store --label=lab key lab; {look}"
    assert in_session(PASSWORD, script=store) == "words"
    assert in_session(PASSWORD, script=look) == "words"
    # By passwd, where the first new one is refused.
    answers = f"{PASSWORD}\n{PASSWORD}\ntiny\ntiny\n{NEW}\n{NEW}\n"
    assert "updated successfully" in school.client.run(f"{person} passwd", stdin=answers)
    assert in_session(NEW, script=look) == "words"
    # By a login that demands it. pam_systemd makes the directory, as soon as there is a session.
    common = school.client.get("/etc/pam.d/common-session")
    mkdir = f"/usr/bin/install -d -m 700 -o {uid} -g {uid} /run/user/{uid}"
    school.client.put("/etc/pam.d/common-session", f"{common}session required pam_exec.so {mkdir}\n")
    for old, new in ((NEW, NEWER), (NEWER, NEWEST)):
        school.client.run(f"rm -r /run/user/{uid}")
        school.server.run(f"chage -d 0 {name}")
        assert in_session(old, old, "tiny", "tiny", new, new, script=look) == "words"
    assert in_session(NEWEST, script=look) == "words"
    school.client.put("/etc/pam.d/common-session", common)
    school.client.run("rm /etc/environment")
    school.leave(name)
