"""Documents for running clients: what they say, and numbers that only grow."""

import pytest

from ltspd.clients.documents import accounts_text, numbered
from ltspd.model.account import Account, Group

ALICE = Account("alice", 1000, 1000, "Alice ÄÖ,,,", "/home/alice", "/bin/bash")


def test_accounts_are_lines_without_secrets_and_those_that_would_be_more_are_left_out() -> None:
    accounts = [
        ALICE,
        Account("mallory", 1001, 1001, "x\nroot::0:0::/:/bin/sh", "/home/m", "/bin/sh"),
        Account("eve", 1002, 1002, "a:b", "/home/eve", "/bin/sh"),
        Account("bob", 1003, 1003, "", "/home/bob", "/bin/sh", closed_from=1),
    ]
    groups = [Group("alice", 1000, ()), Group("sudo", 27, ("alice", "bob"))]
    assert accounts_text(accounts, groups).decode().splitlines() == [
        "passwd:alice:x:1000:1000:Alice ÄÖ,,,:/home/alice:/bin/bash",
        "passwd:bob:x:1003:1003::/home/bob:/bin/sh",
        "expires:bob:1",
        "group:alice:x:1000:",
        "group:sudo:x:27:alice,bob",
    ]


@pytest.mark.parametrize("now", [0, 50, 1000])
def test_a_document_that_changes_gets_a_higher_number_whatever_the_clock_says(now: int) -> None:
    first = numbered("accounts", b"a\n", b"", 100)
    assert first == b"serial=100\ndocument=accounts\na\n"
    assert numbered("accounts", b"a\n", first, now) == first
    second = numbered("accounts", b"b\n", first, now)
    assert second == f"serial={max(101, now)}\ndocument=accounts\nb\n".encode()


@pytest.mark.parametrize(
    "before", [b"", b"serial=\n", b"serial=-1\nx", b"\xff", b"serial=99999999999999999\n"]
)
def test_a_file_that_is_no_document_does_no_harm(before: bytes) -> None:
    assert numbered("accounts", b"", before, 7) == b"serial=7\ndocument=accounts\n"


def test_one_document_never_passes_for_another() -> None:
    settings = numbered("settings", b"", b"", 7)
    assert numbered("accounts", b"", settings, 7) == b"serial=8\ndocument=accounts\n"
