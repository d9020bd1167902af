"""What the gateway makes of reports: parsed within bounds, limited, kept once a client, shown as metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.clients.fields import SENTENCE_MOST, ClientStage, is_mac
from ltspd.gateway import limits, registry
from ltspd.gateway.admission import Neighbours
from ltspd.gateway.exposition import Family, Histogram, text
from ltspd.gateway.limits import Limits
from ltspd.gateway.metrics import BOUNDS, RESULTS, STATES, Counts, families
from ltspd.gateway.registry import Registry
from ltspd.gateway.reports import BYTES_MOST, LINES_MOST, MARKS, SECONDS_MOST, BadReport, Report, parse
from ltspd.model.job import JobState
from ltspd.model.state import ServerState
from ltspd.names import ROOT_PATH, interface
from tests.worlds.exposition import read

MAC = "52:54:00:00:00:01"
GOOD = {
    "mac": MAC, "stage": "root", "clock": "3.21", "marks": "init=1.05 network=1.5 root=3.2",
    "hostname": "pc1", "image": "x86_64", "generation": "20261121T215312Z-0123abcd", "transport": "nfs",
    "error": "",
}  # fmt: skip
SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


def body(**changes: str) -> bytes:
    return "".join(f"{key}={value}\n" for key, value in {**GOOD, **changes}.items()).encode()


def report(stage: str = "root", clock: float = 3.0, mac: str = MAC, **marks: float) -> Report:
    return Report(mac, stage, clock, marks=marks)


# ---- parsing -----------------------------------------------------------------------------------------


def test_a_report() -> None:
    marks = {"init": 1.05, "network": 1.5, "root": 3.2}
    assert parse(body()) == Report(
        MAC, "root", 3.21, "pc1", "x86_64", "20261121T215312Z-0123abcd", "nfs", "", marks
    )
    assert parse(f"mac={MAC}\nstage=off\nclock=1".encode()) == Report(MAC, "off", 1.0)


def test_a_card_with_a_name_that_nobody_would_give_costs_no_report() -> None:
    card = "pci:v00008086d000010D3sv00001028sd00000001bc02sc00i00"
    assert parse(body(card=card)).card == card
    for each in ("", "pci", "pci:a b", "PCI:v1", "of:" + "x" * 300, "usb:\u00e9"):
        assert parse(body(card=each)) == parse(body())


KEY, OTHER = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "AB")


def test_a_client_that_has_run_for_weeks_is_heard() -> None:
    found = parse(body(clock="1814400.25", marks="init=4.5 login=259200.75"))
    assert (found.clock, found.marks) == (1814400.25, {"init": 4.5, "login": 259200.75})


def test_the_key_of_a_client_is_a_key_and_nothing_else() -> None:
    told = parse(body(key=KEY, kept="1"))
    assert (told.key, told.kept) == (KEY, "1")
    for wrong in ({"key": f"{KEY} x"}, {"key": f"restrict {KEY}"}, {"key": "ssh-rsa AAAA"}, {"kept": "yes"}):
        with pytest.raises(BadReport):
            parse(body(**wrong))


def test_a_key_is_known_until_its_boot_ends_however_often_it_is_told() -> None:
    found = Registry()

    def told() -> tuple[str, str, str]:
        (entry,) = found.batch(1)
        return entry.report.stage, entry.report.key, entry.report.kept

    found.take(Report(MAC, "root", 5.0, key=KEY, kept="0"), "10.0.0.1", NOW)
    found.take(report("login", 9.0), "10.0.0.1", NOW + 4 * SECOND)
    assert told() == ("login", KEY, "0")
    # One that was on its way for longer says nothing else, but it may be the first with the key.
    found.take(Report(MAC, "root", 6.0, key=OTHER, kept="1"), "10.0.0.1", NOW + 4 * SECOND)
    assert told() == ("login", OTHER, "1")
    # It may be made after the login is there.
    found.take(Report(MAC, "root", 12.0, key=OTHER, kept="1"), "10.0.0.1", NOW + 7 * SECOND)
    assert told() == ("login", OTHER, "1")
    found.take(Report(MAC, "failed", 13.0, error="No greeter."), "10.0.0.1", NOW + 8 * SECOND)
    found.take(Report(MAC, "root", 14.0, key=OTHER, kept="1"), "10.0.0.1", NOW + 9 * SECOND)
    assert told() == ("failed", OTHER, "1")
    found.take(report("network", 2.0), "10.0.0.1", NOW + 60 * SECOND)
    assert told() == ("network", "", "")


def test_an_answer_to_an_order_says_nothing_of_the_boot() -> None:
    boot = "01234567-89ab-cdef-0123-456789abcdef"
    assert parse(body(boot=boot)).boot == boot
    answer = f"mac={MAC}\norder=1764460000123\nresult=ok\nboot={boot}\n"
    expected = Report(MAC, "", 0.0, boot=boot, order="1764460000123", result="ok")
    assert parse(answer.encode()) == expected
    for wrong in ("order=x", "order=1\nresult=\x1b", "order=12345678901234567\nresult=ok", "order=1"):
        with pytest.raises(BadReport):
            parse(f"mac={MAC}\n{wrong}\n".encode())
    found = Registry()
    found.take(report(), "10.0.0.1", NOW)
    found.batch(10)
    for number in range(registry.ANSWERS_MOST + 1):
        found.answered(Report(MAC, "", 0.0, boot=boot, order=str(number), result="ok"))
    assert found.news
    first = found.answers(2)
    assert [each.order for each in first] == ["1", "2"]
    found.unanswered(first)
    assert [each.order for each in found.answers(10**6)][:3] == ["1", "2", "3"]
    assert not found.news
    assert found.stages() == {"root": 1}


def test_other_versions_of_clients_may_say_more() -> None:
    assert parse(body(later="x", marks="init=1 firmware=0.2")).marks == {"init": 1.0}


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"\n", b"mac", b"\0" * 100, b"\xff\xfe", b"=", body() + b"mac=" + MAC.encode(),
        b"stage=root\nclock=1", f"mac={MAC}\nclock=1".encode(), f"mac={MAC}\nstage=root".encode(),
        body(mac="52:54:00:00:00"), body(mac="53:54:00:00:00:01"), body(mac=MAC.upper() + " "),
        body(stage="up"), body(stage="ROOT"), body(clock="-1"), body(clock="1e3"), body(clock="nan"),
        body(clock="315360001"), body(clock="1" * 50), body(clock="٣"), body(marks="init=x"),
        body(marks="init"), body(hostname="a b"), body(hostname="a\x1b[2J"), body(image="../../etc"),
        body(transport="ftp"), body(error="a\rb"), body(error="x" * (SENTENCE_MOST + 1)),
        body(error="\u2028"),
        b"x=" + b"y" * BYTES_MOST, body() + b"".join(b"k%d=\n" % n for n in range(LINES_MOST)),
    ],
)  # fmt: skip
def test_what_is_no_report(wrong: bytes) -> None:
    with pytest.raises(BadReport) as error:
        parse(wrong)
    assert str(error.value).isascii()


LINE = st.one_of(
    st.builds(
        lambda key, value: f"{key}={value}".encode("utf-8", "surrogatepass"),
        st.sampled_from([*GOOD, "later"]), st.text(max_size=40) | st.sampled_from(list(GOOD.values())),
    ),
    st.binary(max_size=60),
)  # fmt: skip


@given(st.one_of(st.binary(max_size=BYTES_MOST + 10), st.lists(LINE, max_size=40).map(b"\n".join)))
def test_whatever_comes_is_a_sound_report_or_refused(data: bytes) -> None:
    try:
        found = parse(data)
    except BadReport:
        return
    assert is_mac(found.mac)
    assert found.stage in list(ClientStage)
    for word in (found.hostname, found.image, found.generation, found.transport, found.error):
        assert word.isprintable()
        assert len(word) <= SENTENCE_MOST
    assert set(found.marks) <= set(MARKS)
    assert all(0 <= value <= SECONDS_MOST for value in (found.clock, *found.marks.values()))


def test_words_that_the_gateway_has_once_more_are_the_daemons() -> None:
    assert tuple(ServerState) == STATES
    assert tuple(state for state in JobState if state.final) == RESULTS


# ---- limits ------------------------------------------------------------------------------------------


def test_one_address_cant_have_more_than_its_share_or_take_that_of_others() -> None:
    bounds = Limits(0.0)
    assert sum(bounds.allow("10.0.0.1", 0.0) for _ in range(1000)) == limits.EACH_BURST
    assert bounds.allow("10.0.0.2", 0.0)
    assert not bounds.allow("10.0.0.1", 0.5 / limits.EACH_RATE)
    assert bounds.allow("10.0.0.1", 2 / limits.EACH_RATE)
    # A class of 500 that boots: every one with all its stages.
    assert all(bounds.allow(f"10.1.{n >> 8}.{n & 255}", 60.0) for n in range(500) for _ in range(3))


def test_many_addresses_together_are_bounded_in_number_and_in_memory() -> None:
    bounds = Limits(0.0)
    taken = sum(bounds.allow(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1.0) for n in range(20_000))
    assert taken == limits.ALL_BURST
    assert len(bounds._each) == limits.ADDRESSES_MOST


# ---- the registry ------------------------------------------------------------------------------------


def test_a_boot_is_counted_once_however_often_its_marks_are_told() -> None:
    known = Registry()
    assert known.take(report("network", 2.0, init=1.0, network=2.0), "10.0.0.1", NOW) == {
        "init": 1.0,
        "network": 2.0,
    }
    later = report("root", 3.0, init=1.0, network=2.0, root=3.0)
    assert known.take(later, "10.0.0.1", NOW + SECOND) == {"root": 3.0}
    again = report("network", 2.0, init=1.0, network=2.0)
    assert set(known.take(again, "10.0.0.1", NOW + 90 * SECOND)) == {"init", "network"}, "the next boot"


def test_a_report_that_was_overtaken_changes_nothing() -> None:
    known = Registry()
    known.take(report("root", 3.0, root=3.0), "10.0.0.1", NOW)
    assert known.take(report("network", 2.0, network=2.0), "10.0.0.1", NOW + 100) == {"network": 2.0}
    (entry,) = known.batch(9)
    assert entry.report.stage == "root"


def test_all_stages_of_a_boot_are_handed_over_however_fast_they_followed_each_other() -> None:
    known = Registry()
    for at, stage in enumerate(("network", "root", "login", "login")):
        known.take(report(stage, 2.0 + at), "10.0.0.1", NOW + at * SECOND)
    (entry,) = known.batch(9)
    assert entry.reached == (("network", NOW), ("root", NOW + SECOND), ("login", NOW + 2 * SECOND))
    known.take(report("network", 2.0), "10.0.0.1", NOW + 90 * SECOND)
    (entry,) = known.batch(9)
    assert entry.reached == (("network", NOW + 90 * SECOND),)


def test_each_client_is_handed_over_once_with_its_last_word() -> None:
    known = Registry()
    for at in range(5):
        known.take(report("network", 2.0, f"52:54:00:00:00:{at:02x}"), f"10.0.0.{at}", NOW)
    known.take(report("root", 3.0), "10.0.0.1", NOW + SECOND)
    first = known.batch(3)
    assert [each.report.mac[-2:] for each in first] == ["00", "01", "02"]
    assert first[1].report.stage == "root"
    assert len(known.batch(9)) == 2
    assert not known.news
    known.untold(first)
    assert len(known.batch(9)) == 3
    known.all_untold()
    assert len(known.batch(9)) == 5
    assert known.stages() == {"root": 1, "network": 4}


def test_an_address_has_one_client() -> None:
    known = Registry()
    known.take(report(), "10.0.0.1", NOW)
    known.batch(9)
    known.take(report(mac="52:54:00:00:00:02"), "10.0.0.1", NOW)
    assert {each.report.mac[-2:]: each.address for each in known.batch(9)} == {"01": "", "02": "10.0.0.1"}
    known.take(report(), "10.0.0.3", NOW)
    known.take(report(), "10.0.0.1", NOW)
    assert {each.report.mac[-2:]: each.address for each in known.batch(9)} == {"01": "10.0.0.1", "02": ""}


def test_the_registry_is_bounded() -> None:
    known = Registry()
    for at in range(registry.MOST + 50):
        known.take(report(mac=f"52:54:00:00:{at >> 8:02x}:{at & 255:02x}"), f"10.0.{at >> 8}.{at & 255}", NOW)
    assert len(known) == len(known.batch(99999)) == registry.MOST
    assert len(known._at) == registry.MOST


def test_neighbours(tmp_path: Path) -> None:
    table = tmp_path / "arp"
    known = Neighbours(table)
    assert known.agrees("10.0.0.1", MAC), "nothing is known"
    table.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        f"10.0.0.1         0x1         0x2         {MAC}     *        eth0\n"
        "10.0.0.2         0x1         0x0         00:00:00:00:00:00     *        eth0\n"
    )
    known = Neighbours(table)
    assert known.agrees("10.0.0.1", MAC)
    assert not known.agrees("10.0.0.1", "52:54:00:00:00:02")
    assert known.agrees("10.0.0.2", "52:54:00:00:00:02"), "not complete, so not known"


# ---- metrics -----------------------------------------------------------------------------------------

DAEMON: Mapping[str, Any] = {
    ROOT_PATH: {
        interface("Manager"): {"Version": "1", "State": "attention", "Problems": ("a", "b"), "Revision": 7}
    },
    "/image/a": {
        interface("Image"): {"Name": 'o"d\\d\n', "Generations": ({}, {}), "Size": 10**12, "StaleBecause": ""}
    },
    "/image/b": {interface("Image"): {"Name": "b", "Generations": (), "Size": 0, "StaleBecause": "x"}},
}


def test_metrics_are_what_prometheus_reads() -> None:
    counts = Counts()
    counts.requests.update({200: 3, 404: 1})
    counts.bytes = 2**40
    counts.jobs["build", "done"] += 2
    for seconds in (0.5, 1.0, 7.25, 4000.0):
        counts.marked({"root": seconds})
    found = read(text(families(counts, {"login": 2, "off": 1}, DAEMON)))
    sent = found["ltspd_http_sent_bytes_total"].samples
    assert sent == {("", ()): 2**40}
    boots = found["ltspd_client_boot_seconds"].samples
    assert boots["_sum", (("stage", "root"),)] == 4008.75
    assert boots["_bucket", (("stage", "root"), ("le", "1"))] == 2
    assert boots["_bucket", (("stage", "root"), ("le", "300"))] == 3
    assert boots["_count", (("stage", "login"),)] == 0
    assert len(boots) == len(MARKS) * (len(BOUNDS) + 3)
    assert found["ltspd_clients"].samples["", (("stage", "login"),)] == 2
    assert found["ltspd_clients"].samples["", (("stage", "failed"),)] == 0
    assert found["ltspd_jobs_finished_total"].samples["", (("kind", "build"), ("result", "done"))] == 2
    assert found["ltspd_image_generations"].samples == {
        ("", (("image", 'o"d\\d\n'),)): 2,
        ("", (("image", "b"),)): 0,
    }
    assert found["ltspd_state"].samples["", (("state", "attention"),)] == 1
    assert sum(found["ltspd_state"].samples.values()) == 1
    assert (found["ltspd_problems"].samples["", ()], found["ltspd_revision"].samples["", ()]) == (2, 7)


def test_metrics_without_a_daemon() -> None:
    found = read(text(families(Counts(), {}, None)))
    assert found["ltspd_up"].samples == {("", ()): 0}
    assert "ltspd_problems" not in found


@given(st.text(), st.dictionaries(st.sampled_from(["a", "b"]), st.text()), st.floats(0, 1e300))
def test_any_text_survives_the_format(about: str, labels: dict[str, str], value: float) -> None:
    family = Family("x", "gauge", f"help {about}", [("", labels, value)])
    ((key, found),) = read(text([family]))["x"].samples.items()
    assert (dict(key[1]), found) == (labels, value)


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_histograms_hold_everything(values: list[float]) -> None:
    histogram = Histogram((1.0, 10.0))
    for value in values:
        histogram.observe(value)
    samples = {(suffix, labels.get("le")): value for suffix, labels, value in histogram.samples({})}
    assert samples["_bucket", "1"] == sum(value <= 1 for value in values)
    assert samples["_bucket", "+Inf"] == samples["_count", None] == len(values)
