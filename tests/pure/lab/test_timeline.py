"""The table of boot stages."""

from tests.lab.timeline import STAGES, Mark, table


def test_the_table_says_when_and_how_much_and_what_never_came() -> None:
    text = table({"bios": {"firmware": Mark(0.25, 0), "kernel": Mark(3.06, 14_250_000)}})
    head, row = text.splitlines()
    assert head.split() == list(STAGES)
    assert row.split("  ")[0] == "bios"
    assert " ".join(row.split()) == "bios 0.2 s 0.0 MB – 3.1 s 14.2 MB – – – –"


def test_only_a_stage_of_its_own_matches() -> None:
    line = "[    0.000000] Linux version 6.1.0-30-cloud-amd64 (debian-kernel@lists.debian.org)"
    assert [stage for stage, pattern in STAGES.items() if pattern.search(line)] == ["firmware", "kernel"]
