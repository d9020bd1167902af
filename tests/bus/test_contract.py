"""The declared nouns == what is shown == packaging files."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from ltspd import names
from ltspd.api import gateway, job, listener
from ltspd.api.contract import NOUNS, contract, tree
from ltspd.api.introspection import introspect
from ltspd.api.noun import Method, arguments
from ltspd.api.standard import STANDARD, interface_names, known
from ltspd.dbus import wire
from ltspd.model.job import Job, JobState
from tests import REPOSITORY
from tests.bus.documents import parse
from tests.worlds.bus_fakes import STATE

METHODS = {
    f"{noun.word}.{each.name}": each for noun in NOUNS for each in noun.methods if isinstance(each, Method)
}
# The methods that only read: adding one here is a decision, so it is a list of its own.
READ_ONLY = {"manager.GetImage", "manager.Diagnose", "manager.MayCall"}


def test_every_method_has_an_action_or_is_on_the_read_only_list() -> None:
    free = {name for name, method in METHODS.items() if method.action is None and not method.only}
    assert free == READ_ONLY
    assert {name for name, method in METHODS.items() if method.only} == {
        "gateway.ReportClients",
        "gateway.ReportProblems",
        "listener.ReportMachines",
        "listener.ReportServers",
    }
    assert all(method.needs for method in METHODS.values() if callable(method.action) or method.only)


def test_every_action_is_in_the_policy() -> None:
    policy = ElementTree.parse(REPOSITORY / "polkit" / f"{names.STEM}.policy")
    known = {each.attrib["id"] for each in policy.iter("action")}
    used = {method.action for method in METHODS.values() if isinstance(method.action, str)}
    assert used | set(job.ACTIONS.values()) <= known
    assert all(each.startswith(names.STEM + ".") for each in known)


def test_messages_of_the_policy_name_only_details_that_are_always_sent() -> None:
    policy = ElementTree.parse(REPOSITORY / "polkit" / f"{names.STEM}.policy")
    for action in policy.iter("action"):
        message = action.findtext("message") or ""
        assert ("$(image)" in message) == (action.attrib["id"].endswith("-image"))


def test_every_text_of_the_policy_is_translated_with_its_details() -> None:
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    policy = ElementTree.parse(REPOSITORY / "polkit" / f"{names.STEM}.policy")
    for action in policy.iter("action"):
        for tag in ("description", "message"):
            texts = {each.attrib.get(language, ""): each.text or "" for each in action.findall(tag)}
            assert set(texts) == {"", "de", "el", "es", "fr"}
            assert len(set(texts.values())) == len(texts)
            assert len({tuple(re.findall(r"\$\(\w+\)", text)) for text in texts.values()}) == 1


def test_options_are_declared_exactly_where_the_contract_has_options() -> None:
    for name, method in METHODS.items():
        has = "a{sv}" in {each.signature for each in arguments(method.inputs)}
        assert bool(method.options) == has, name


def test_the_bus_policy_lets_everyone_send_to_every_interface_but_those_of_our_processes() -> None:
    policy = ElementTree.parse(REPOSITORY / "dbus" / f"{names.STEM}.conf")

    def allowed(who: str) -> set[str]:
        found = policy.findall(f"policy[@{who}]/allow")
        return {each.attrib["send_interface"] for each in found if "send_interface" in each.attrib}

    assert allowed("context='default'") == (set(contract()) | set(STANDARD)) - {
        gateway.NOUN.name,
        listener.NOUN.name,
    }
    assert allowed("user='ltspd-gateway'") == {gateway.NOUN.name}
    assert allowed("user='ltspd-listener'") == {listener.NOUN.name}


def test_activation_goes_through_systemd() -> None:
    lines = (REPOSITORY / "dbus" / f"{names.STEM}.service").read_text().splitlines()
    assert f"Name={names.STEM}" in lines
    assert "SystemdService=ltspd.service" in lines


def test_all_arguments_are_named_and_said_once() -> None:
    for noun in NOUNS:
        for each in noun.methods:
            found = [one.name for one in (*arguments(each.inputs), *arguments(each.outputs))]
            assert len(arguments(each.outputs)) <= 1
            assert len(set(found)) == len(found)
            assert all(found)
        assert len(noun.by_name) == len(noun.properties)
        assert len(noun.calls) == len(noun.methods)


def test_values_of_properties_fit_their_signatures() -> None:
    one = Job("1", "build", "x", 0, JobState.RUNNING)
    seen = set()
    for interfaces in tree(replace(STATE, jobs=(one,))).values():
        for name, values in interfaces.items():
            seen.add(name)
            for key, value in values.items():
                wire.write(bytearray(), contract()[name].by_name[key].signature, value)
    assert seen == set(contract())


@pytest.mark.parametrize("path", ["/", "/org", names.ROOT_PATH, names.ROOT_PATH + "/image"])
def test_introspection_lists_the_children(path: str) -> None:
    shown = tree(STATE)
    document = introspect(shown, path, map(known, interface_names(shown, path)))
    children = {each.attrib["name"] for each in ElementTree.fromstring(document).findall("node")}
    prefix = path.rstrip("/") + "/"
    assert children == {
        each.removeprefix(prefix).split("/")[0] for each in tree(STATE) if each.startswith(prefix)
    }
    assert parse(document)  # the standard interfaces at least
