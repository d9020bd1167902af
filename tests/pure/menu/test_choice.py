"""The menu's choices: by the reduced rules they are those of the whole ltsp.conf; and the menu's channels."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients.table import Table, dump, load
from ltspd.config.document import Host
from ltspd.config.evaluate import effective_menu, effective_server, host_patterns
from ltspd.config.headers import is_glob, matches
from ltspd.config.parse import parse
from ltspd.config.secrecy import withheld
from ltspd.menu.channels import entries
from ltspd.menu.choice import PARAMETERS, Chooser, examples, rules
from ltspd.menu.ipxe import Scripts
from ltspd.model.image import Image
from ltspd.model.menu import Entry, MenuChoice, Offer, RootTransport
from tests.worlds.examples import drawn
from tests.worlds.ltsp_confs import texts
from tests.worlds.planning import decide, image

ENTRIES = (Entry("a", "1"), Entry("b", "2"), Entry("a", "3", channel="canary"))
MACS = st.sampled_from(["", "52:54:00:00:00:01", "52:54:00:12:34:56"])
ADDRESSES = st.sampled_from(["", "192.168.67.30", "10.0.0.1"])
NAMES = st.sampled_from(["", "pc01", "PC1", "x", "lib-3"])


def through_the_table(offer: Offer) -> Offer:
    found = load(dump(Table((), 80, {}, offer=offer))).offer
    assert found is not None
    return found


def chosen(text: str, host: Host) -> MenuChoice:
    offer = Offer(ENTRIES, RootTransport.NFS, rules(parse(text)))
    return Chooser(through_the_table(offer)).choose(host)


@drawn(400)
@given(texts(), MACS, ADDRESSES, NAMES)
def test_reduced_rules_say_of_any_host_what_the_whole_file_says(
    text: str, mac: str, ip: str, name: str
) -> None:
    document, host = parse(text), Host(mac, ip, name, server="192.168.67.1")
    hidden = withheld(document)
    if "HOSTNAME" in hidden:
        return  # it selects a section here, but neither for clients nor for the menu
    whole = effective_menu(document, host, effective_server(document))
    offer = Offer(ENTRIES, RootTransport.NFS, rules(document))
    expected = {each.name: whole[each.name].text for each in PARAMETERS if each.name in {*whole} - hidden}
    assert Chooser(through_the_table(offer)).settings(host).texts == expected


@drawn(200)
@given(texts())
def test_reduced_rules_hold_nothing_but_what_the_menu_needs(text: str) -> None:
    document = parse(text)
    hidden = withheld(document)
    names = {entry[0] for _, found in json.loads(rules(document)) for entry in found}
    assert not names & hidden


def test_secrets_and_other_settings_stay_out_of_the_table() -> None:
    text = "[clients]\nROOT_PASSWORD=hunter2\nTIMEZONE=UTC\nKERNEL_PARAMETERS=x$ROOT_PASSWORD\n"
    text += "FSTAB_HOME=//server/x cifs pass=hunter3\nA=1\nMENU_TIMEOUT=$A\n"
    made = rules(parse(text))
    assert [word for word in ("hunter", "TIMEZONE", "KERNEL", "FSTAB") if word in made] == []
    assert "MENU_TIMEOUT" in made


def test_globs_count() -> None:
    text = "[52:54:00:*]\nKERNEL_PARAMETERS=room1\n[192.168.67.3?]\nDEFAULT_IMAGE=b\n"
    text += "[pc*]\nROOT_TRANSPORT=http\n"
    everything = chosen(text, Host("52:54:00:00:00:01", "192.168.67.30", "pc07"))
    assert everything == MenuChoice("b", RootTransport.HTTP, "room1", 5000)
    assert chosen(text, Host("52:54:01:00:00:01", "192.168.67.50", "x")).entry == "a"


def test_rooms_count() -> None:
    text = "[clients]\nKERNEL_PARAMETERS=all\nROOT_TRANSPORT=nbd\n[room:lab]\nMEMBERS='52:54:00:* pc07'\n"
    text += "KERNEL_PARAMETERS=lab\nROOT_TRANSPORT=http\n[pc07]\nROOT_TRANSPORT=nfs\n"
    assert chosen(text, Host("52:54:00:00:00:01")) == MenuChoice("a", RootTransport.HTTP, "lab", 5000)
    assert chosen(text, Host(hostname="PC07")) == MenuChoice("a", RootTransport.NFS, "lab", 5000)
    assert chosen(text, Host(ip="10.0.0.1")) == MenuChoice("a", RootTransport.NBD, "all", 5000)


def test_the_static_script_knows_members_that_are_named_exactly() -> None:
    text = "[room:lab]\nMEMBERS='52:54:00:00:00:01 pc2*'\nKERNEL_PARAMETERS=lab\n"
    ((key, value, choice),) = decide(text, images=(image("a"),)).menu.hosts
    assert (key, value, choice.kernel_parameters) == ("mac", "52:54:00:00:00:01", "lab")


def test_what_is_made_from_the_client_itself() -> None:
    text = '[clients]\nKERNEL_PARAMETERS="name=$HOSTNAME log=$SERVER mac=$MAC_ADDRESS"\n'
    found = chosen(text, Host("52:54:00:00:00:01", "10.0.0.9", "pc1", server="10.0.0.1"))
    assert found.kernel_parameters == "name=pc1 log=10.0.0.1 mac=52:54:00:00:00:01"


@pytest.mark.parametrize(
    ("wanted", "entry"),
    [("", "a"), ("b", "b"), ("a@canary", "a@canary"), ("b@canary", "b"), ("gone", "a"), ("a@", "a")],
)
def test_a_choice_is_always_one_of_the_entries(wanted: str, entry: str) -> None:
    assert chosen(f"[clients]\nDEFAULT_IMAGE={wanted}\n", Host()).entry == entry


@drawn(200)
@given(texts())
def test_the_example_of_a_glob_fits_it(text: str) -> None:
    document = parse(text)
    globs = [*filter(is_glob, host_patterns(document))]
    for pattern, host in zip(globs, examples(document), strict=True):
        assert any(matches(pattern, each) for each in (host.mac, host.ip, host.hostname)) or "/" in pattern


def test_an_unknown_image_of_a_glob_is_told_and_its_transport_counts() -> None:
    desired = decide("[pc*]\nDEFAULT_IMAGE=nowhere\nROOT_TRANSPORT=http\n", images=(image("a"),))
    assert "DEFAULT_IMAGE=nowhere" in desired.problems[-1].message
    assert desired.menu.transports == {RootTransport.NFS, RootTransport.HTTP}
    assert desired.menu.hosts == ()


def test_earlier_generations_come_last_and_are_no_reason_for_a_menu() -> None:
    made = image("a").generations[0]
    ids = [f"2025010{day}T000000Z-0a1b2c3d" for day in range(1, 6)]
    one = Image("a", tuple(replace(made, id=each) for each in ids), ids[3], kept=frozenset(ids[:1]))
    both = (one, image("b"))
    names = [f"a@{each}" for each in ids]
    # The newest one is no current one: somebody has gone back.
    assert [each.name for each in entries(both, {}, earlier=1)] == ["a", "b", names[0]]
    assert [each.name for each in entries(both, {}, earlier=2)] == ["a", "b", names[4], names[0]]
    assert [each.name for each in entries(both, {}, named=(names[1], "b@gone"))] == ["a", "b", names[1]]
    led = replace(one, channels={"canary": ids[4]})
    assert [each.name for each in entries((led,), {}, earlier=1)] == ["a", "a@canary", names[0]]
    assert entries((replace(one, current=""),), {}, earlier=3) == ()
    assert decide("", images=(one,)).menu.default.timeout is None
    assert len(decide("", images=(one,)).menu.offer.entries) == 3
    assert len(decide("[server]\nMENU_GENERATIONS=0\n", images=(one,)).menu.offer.entries) == 1


def test_a_generation_that_a_client_is_to_boot_is_offered() -> None:
    made = image("a").generations[0]
    ids = [f"2025010{day}T000000Z-0a1b2c3d" for day in range(1, 6)]
    one = Image("a", tuple(replace(made, id=each) for each in ids), ids[4])
    desired = decide(f"[52:54:00:00:00:01]\nDEFAULT_IMAGE=a@{ids[0]}\n", images=(one,))
    ((_, _, choice),) = desired.menu.hosts
    assert choice.entry == f"a@{ids[0]}"
    assert not any("DEFAULT_IMAGE" in each.message for each in desired.problems)


def test_channels_are_entries_after_the_current_ones() -> None:
    one = image("a").generations[0]
    images = (
        Image("a", (one,), one.id, channels={"canary": one.id, "room1": "gone"}),
        Image("b", (), ""),
        image("c"),
    )
    found = entries(images, {"A_IMG": "Desktop"})
    assert [(each.name, each.title) for each in found] == [
        ("a", "Desktop"),
        ("c", ""),
        ("a@canary", "Desktop"),
    ]
    script = Scripts(Offer(found, RootTransport.NFS), 80).script(MenuChoice("a", RootTransport.NFS, "", None))
    assert "item image_a@canary Desktop, canary\n" in script
    assert "\n:image_a@canary\nset name a\nset generation 2025" in script
