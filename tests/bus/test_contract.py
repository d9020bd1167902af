"""XML contract == handlers == what is shown == packaging files."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from dbus_next import Variant

from ltspd import names
from ltspd.api.contract import contract, parse
from ltspd.api.introspection import introspect, standard
from ltspd.api.methods import GATEWAY, JOB_ACTIONS, METHODS, READ_ONLY
from ltspd.api.tree import tree
from ltspd.api.values import plain
from ltspd.model.job import Job, JobState
from tests.bus.fakes import STATE

TOP = Path(__file__).parents[2]
ALL = {(name, method) for name, interface in contract().items() for method in interface.methods}


def test_every_method_has_a_handler_and_no_handler_is_without_a_method() -> None:
    assert set(METHODS) == ALL


def test_every_method_has_an_action_or_is_on_the_read_only_list() -> None:
    free = {key for key, method in METHODS.items() if method.action is None and not method.gateway}
    assert free == READ_ONLY
    assert {key for key, method in METHODS.items() if method.gateway} == {
        (GATEWAY, "ReportClients"),
        (GATEWAY, "ReportProblems"),
    }


def test_every_action_is_in_the_policy() -> None:
    policy = ElementTree.parse(TOP / "polkit" / f"{names.STEM}.policy")
    known = {each.attrib["id"] for each in policy.iter("action")}
    used = {method.action for method in METHODS.values() if isinstance(method.action, str)}
    assert used | set(JOB_ACTIONS.values()) <= known
    assert all(each.startswith(names.STEM + ".") for each in known)


def test_messages_of_the_policy_name_only_details_that_are_always_sent() -> None:
    policy = ElementTree.parse(TOP / "polkit" / f"{names.STEM}.policy")
    for action in policy.iter("action"):
        message = action.findtext("message") or ""
        assert ("$(image)" in message) == (action.attrib["id"].endswith("-image"))


def test_every_text_of_the_policy_is_translated_with_its_details() -> None:
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    policy = ElementTree.parse(TOP / "polkit" / f"{names.STEM}.policy")
    for action in policy.iter("action"):
        for tag in ("description", "message"):
            texts = {each.attrib.get(language, ""): each.text or "" for each in action.findall(tag)}
            assert set(texts) == {"", "de", "el", "es", "fr"}
            assert len(set(texts.values())) == len(texts)
            assert len({tuple(re.findall(r"\$\(\w+\)", text)) for text in texts.values()}) == 1


def test_options_are_declared_exactly_where_the_contract_has_options() -> None:
    with_options = {
        (name, method.name)
        for name, interface in contract().items()
        for method in interface.methods.values()
        if "a{sv}" in dict(method.inputs).values()
    }
    assert {key for key, method in METHODS.items() if method.options is not None} == with_options


def test_the_bus_policy_lets_everyone_send_to_every_interface_but_the_gateways() -> None:
    policy = ElementTree.parse(TOP / "dbus" / f"{names.STEM}.conf")

    def allowed(who: str) -> set[str]:
        found = policy.findall(f"policy[@{who}]/allow")
        return {each.attrib["send_interface"] for each in found if "send_interface" in each.attrib}

    assert allowed("context='default'") == (set(contract()) | set(standard())) - {GATEWAY}
    assert allowed("user='ltspd-gateway'") == {GATEWAY}


def test_activation_goes_through_systemd() -> None:
    lines = (TOP / "dbus" / f"{names.STEM}.service").read_text().splitlines()
    assert f"Name={names.STEM}" in lines
    assert "SystemdService=ltspd.service" in lines


def test_all_arguments_are_named() -> None:
    for interface in contract().values():
        for method in interface.methods.values():
            assert all(name for name, _ in (*method.inputs, *method.outputs))


def test_the_tree_has_exactly_the_properties_of_the_contract() -> None:
    job = Job("1", "build", "x", 0, JobState.RUNNING)
    from dataclasses import replace

    seen = set()
    for interfaces in tree(replace(STATE, jobs=(job,))).values():
        for name, values in interfaces.items():
            seen.add(name)
            assert list(values) == list(contract()[name].properties)
            for key, value in values.items():
                Variant(contract()[name].properties[key].signature, plain(value))  # raises if it doesn't fit
    assert seen == set(contract())


def test_properties_are_read_only() -> None:
    assert {each.access for i in contract().values() for each in i.properties.values()} == {"read"}


@pytest.mark.parametrize("path", ["/", "/org", names.ROOT_PATH, names.ROOT_PATH + "/image"])
def test_introspection_lists_the_children(path: str) -> None:
    document = introspect(tree(STATE), path, contract())
    children = {each.attrib["name"] for each in ElementTree.fromstring(document).findall("node")}
    prefix = path.rstrip("/") + "/"
    assert children == {
        each.removeprefix(prefix).split("/")[0] for each in tree(STATE) if each.startswith(prefix)
    }
    assert parse(document)  # the standard interfaces at least
