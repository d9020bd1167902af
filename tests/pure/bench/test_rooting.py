"""What bench/root makes of what its client tells, and of what it counted."""

from bench.rooting import PAGE, Seen, figures, pieces


def test_pieces_of_files_are_told_by_pages() -> None:
    listed = "0-2,5-6 0/usr/bin/a b\r\n3-4 12/etc/x\n"
    assert list(pieces(listed)) == [
        ("usr/bin/a b", [(0, 2 * PAGE), (5 * PAGE, 6 * PAGE)]),
        ("etc/x", [(3 * PAGE, 4 * PAGE)]),
    ]


def test_bars_hold_for_an_image_that_was_tested() -> None:
    wasteful, good = Seen(23_000_000, 15_000_000, 50.0, 800_000), Seen(12_000_000, 12_500_000, 40.0, 800_000)
    lines = [each.line() for each in figures({"nfs": wasteful}, {"nfs": good, "nbd": wasteful})]
    ratio = "bytes read of the root / bytes needed, nfs"
    assert lines[0].startswith(f"{ratio}, never tested: 1.533 (no bar)  [login")
    assert lines[2].startswith(f"{ratio}, after a test: 0.960 (at most 1.3) ok")
    assert lines[3] == "bytes of the root until login, nfs, after a test: 12.0 MB (at most 13 MB) ok"
    assert "MISSED" in lines[4]
    assert "MISSED" in lines[5]
