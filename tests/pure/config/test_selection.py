"""Which accounts clients get: by the names of users, of groups, and both."""

import pytest

from ltspd.config.selection import named, select
from ltspd.model.account import Account, Group
from tests.worlds.planning import conf


def account(name: str, uid: int, gid: int = 100) -> Account:
    return Account(name, uid, gid, "", f"/home/{name}", "/bin/sh")


PEOPLE = (account("anna", 1001), account("bob", 1002, 2000), account("carl", 1003), account("admin", 1004))
GROUPS = (
    Group("sudo", 27, ("admin", "carl")),
    Group("users", 100, ()),
    Group("pupils", 2000, ("anna",)),
    Group("empty", 2001, ()),
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "anna bob carl admin"),
        ("PWMERGE_SUR='a.*'", "anna admin"),
        ("PWMERGE_SUR='^(?!admin)(a|b).*'", "anna bob"),
        ("PWMERGE_SGR=pupils", "anna bob"),
        ("PWMERGE_SGR=':sudo'", "carl admin"),
        # Groups of the system are meant only where they are written so.
        ("PWMERGE_SGR='s.*'", ""),
        ("PWMERGE_SGR=pupils\nPWMERGE_SUR=admin", "anna bob admin"),
    ],
)
def test_accounts_are_chosen_by_name_and_by_group(text: str, names: str) -> None:
    settings = conf(f"[server]\n{text}\n").settings
    accounts, groups = select(settings, PEOPLE, GROUPS)
    assert " ".join(each.name for each in accounts) == names
    assert {name for each in groups for name in each.members} <= set(names.split())


def test_groups_come_with_those_who_are_in_them() -> None:
    _, groups = select(conf("[server]\nPWMERGE_SUR=carl\n").settings, PEOPLE, GROUPS)
    assert groups == (Group("sudo", 27, ("carl",)), Group("users", 100, ()))


@pytest.mark.parametrize(
    ("text", "users", "groups"),
    [
        ("", (), ()),
        ("PWMERGE_SUR=anna|bob.b\nPWMERGE_SGR=:sudo|pupils", ("anna", "bob.b"), ("sudo", "pupils")),
        ("PWMERGE_SUR='a.*'\nPWMERGE_SGR='-x'", (), ()),
    ],
)
def test_only_names_that_stand_there_are_asked_for(
    text: str, users: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    assert named(
        conf(
            f"[server]\n{text}\n".replace("=anna|bob.b", "='anna|bob.b'").replace(
                "=:sudo|pupils", "=':sudo|pupils'"
            )
        ).settings
    ) == (users, groups)
