"""Logins by the PAM services of greeters, as their packages have them."""

import pytest

from tests.pam.machines import PASSWORD, School

pytestmark = pytest.mark.lab
SUCCESS, AUTH_ERR = 0, 7
STEPS = ("authenticate", "acct_mgmt", "setcred 2", "open_session", "close_session")


@pytest.mark.parametrize("service", ["lightdm", "gdm-password", "sddm", "greetd"])
def test_greeters_bring_the_home(school: School, service: str) -> None:
    name = f"at-{service}"
    school.person(name)
    school.log()
    assert school.call(name, "wrong", service=service)["codes"] == [AUTH_ERR]
    seen = school.call(name, PASSWORD, service=service, steps=STEPS)
    assert seen["codes"] == [SUCCESS] * len(STEPS)
    assert [kind for kind, words in seen["said"] if words == "Password: "] == ["hidden"]
    assert [line.split()[0] for line in school.log()] == ["up", "master", "down"]
    assert school.connections(name) == ""
