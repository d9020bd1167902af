"""The text of an order: one line a client, and words that no shell reads as anything else."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients.known import answers
from ltspd.clients.orders import document, is_user, text_problem, words_of
from ltspd.clients.table import Table, dump, load
from ltspd.model.order import Order, Target, Verb

MAC, BOOT = "52:54:00:00:00:01", "01234567-89ab-cdef-0123-456789abcdef"


def test_a_client_has_its_line_if_its_boot_is_known() -> None:
    targets = (Target(MAC, BOOT), Target("52:54:00:00:00:02", BOOT, 20), Target("52:54:00:00:00:03"))
    order = Order("17", Verb.REBOOT, ("force",), targets)
    assert document(order).decode() == f"17 reboot force\n{MAC} {BOOT} 0\n52:54:00:00:00:02 {BOOT} 20\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_one_word(text: str) -> None:
    first = document(Order("1", Verb.MESSAGE, (text,))).decode()
    assert first.endswith("\n")
    order, verb, *words = first[:-1].split(" ")
    assert (order, verb, [unquote(each) for each in words]) == ("1", "message", [text])
    assert set(first[:-1]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~% ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Class ends\n\tat ten: <b>$(id)</b> äöü", ""),
        (" \n", "it is empty"),
        ("x" * 1001, "it has 1001 characters, and 1000 is the most"),
        ("\x1b[2J", "it has a control character"),
        ("a\0b", "it has a control character"),
        ("a\u202eb", "it has a control character"),
    ],
)
def test_texts_that_can_be_shown(text: str, problem: str) -> None:
    assert text_problem(text) == problem


def test_the_words_of_each_verb() -> None:
    assert words_of(Verb.MESSAGE, "a b", "", True) == ("a b",)
    assert words_of(Verb.LOGOUT, "", "ada", False) == ("ada",)
    assert words_of(Verb.LOGOUT, "", "", True) == ()
    assert words_of(Verb.POWEROFF, "", "", True) == ("force",)
    assert words_of(Verb.REBOOT, "", "", False) == words_of(Verb.WAKE, "", "", True) == ()
    assert [is_user(each) for each in ("ada", "a.b@C", "", "-x", "a b", "a\n")] == [True, True, *[False] * 4]


def test_answers_that_cant_be_right_are_left_out() -> None:
    good = {"Mac": MAC, "Boot": BOOT, "Order": "17", "Result": "ok"}
    wrong = ({"Order": "x"}, {"Result": "a\nb"}, {"Result": ""}, {"Boot": ""}, {"Mac": "x"})
    found = list(answers([good, *({**good, **each} for each in wrong), {"Mac": MAC, "Stage": "off"}]))
    assert found == [{"mac": MAC, "boot": BOOT, "order": "17", "result": "ok"}]


def test_whom_to_wake_is_in_the_table() -> None:
    table = Table((), 80, {}, wakes={"17": ((MAC, 0), ("52:54:00:00:00:02", 5))})
    assert load(dump(table)) == table
