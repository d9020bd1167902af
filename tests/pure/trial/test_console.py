"""What a serial console tells, in pieces of any size, and what the two sides of a trial exchange."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltspd.paths import Paths
from ltspd.trial import logs
from ltspd.trial.console import Console, plain
from ltspd.trial.machine import MAC, arguments, command_line
from ltspd.trial.messages import PHASES, News, Request, Verdict, read_news, read_request, to_line

GOOD = (
    "SeaBIOS\r\n[    0.000000] Linux version 6.1.0-13-cloud-amd64 (debian)\r\n"
    "ltsp: init started [1.20 s]\r\nltsp: root mounted (nbd) [2.40 s]\r\n"
    "ltsp: trial: its login will be told\r\n"
    "ltsp: starting /sbin/init [2.50 s]\r\n\r\nDebian GNU/Linux 12 ltsp20 ttyS0\r\n\r\nltsp20 login: "
    "[   21.1] ltsp: trial: login\r\n[   22.1] ltsp: trial: failed a.service\r\n"
    "[   22.2] ltsp: trial: failed b@x.service\r\n[   22.3] ltsp: trial: ended degraded\r\n"
)


def read(*pieces: str) -> Console:
    console = Console()
    for piece in pieces:
        console.feed(piece)
    return console


@given(st.lists(st.integers(0, len(GOOD))))
def test_a_boot_in_pieces_of_any_size(cuts: list[int]) -> None:
    console = read(*(GOOD[a:b] for a, b in pairwise([0, *sorted(cuts), len(GOOD)])))
    assert (console.login, console.complete, console.reason) == (True, True, "")
    assert console.failed == ("a.service", "b@x.service")


def test_a_prompt_is_not_the_login_if_that_will_be_told() -> None:
    before, _, _ = GOOD.partition("[   21.1]")
    console = read(before)
    assert (console.phase, console.complete) == ("init", False)
    old = read(before.replace("ltsp: trial: its login will be told\r\n", ""))
    assert (old.login, old.complete) == (True, True)


def test_phases_follow_the_boot() -> None:
    console, seen = Console(), ["firmware"]
    for line in GOOD.splitlines(keepends=True):
        console.feed(line)
        if console.phase != seen[-1]:
            seen.append(console.phase)
    assert seen == list(PHASES)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "ltsp: This client can't boot: no network card with a link.",
            "the boot initrd says: no network card",
        ),
        (
            "[  1.0] Kernel panic - not syncing: Attempted to kill init!",
            "its kernel panicked: Attempted to kill",
        ),
        (
            "\x1b[1;31mYou are in emergency mode\x1b[0m. After logging in",
            "systemd ended up in emergency mode",
        ),
        ("[ 9.0] ltsp: trial: no login: display-manager.service failed", "display-manager.service failed"),
    ],
)
def test_why_no_login_can_come(line: str, reason: str) -> None:
    console = read("ltsp: starting /sbin/init\r\n", line)
    assert not console.complete, "the sentence may go on"
    console.feed("\r\nltsp20 login: ")
    assert console.complete
    assert not console.login
    assert console.reason.startswith(reason)


def test_a_flood_without_line_ends_is_not_kept() -> None:
    console = Console()
    for _ in range(100):
        console.feed("x" * 65536)
    console.feed("\r\n")
    assert console.phase == "firmware"
    assert len(console._line) <= 4096


def test_lines_as_a_screen_shows_them() -> None:
    assert plain("\x1b[0;32m  OK  \x1b[0m] Started\x1b]0;title\x07 x\r") == "  OK  ] Started?]0;title? x"
    assert plain("50 %\r100 %\r") == "100 %"


REQUEST = Request(
    "classroom", "g1", "/k", ("/a", "/b"), {"ab": "/l"}, "quiet nomodeset console=tty0", 768, 600.0
)


def test_a_request_survives_its_line() -> None:
    line = to_line(REQUEST)
    assert line.count(b"\n") == 1
    assert read_request(line) == REQUEST


def test_news_survive_their_line() -> None:
    for news in (
        News(phase="root"),
        News(console="a\nb\x00\ufffd"),
        News(verdict=Verdict("late", 3.5, ("a.service",), "kvm")),
        News(verdict=Verdict("", 3.5, (), "tcg", ("usr/bin/a b", "usr/lib/\\x"))),
    ):
        assert read_news(to_line(news)) == news


@pytest.mark.parametrize(
    "line",
    ["[]", "1", "{", '{"console": 1}', '{"verdict": 1}', '{"verdict": {}}', '{"verdict": {"reason": "", '
     '"seconds": [], "failed": [], "accelerator": ""}}', '{"verdict": {"reason": "", "failed": 3}}', "\xff",
     '{"verdict": {"reason": "", "seconds": 1, "failed": [], "accelerator": "", "reads": "usr/bin/a"}}'],
)  # fmt: skip
def test_nonsense_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_news(line.encode("latin-1"))


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda each: st.lists(each, max_size=3))
)
def test_no_verdict_is_too_long_or_of_another_kind(value: object) -> None:
    fields = {"reason": value, "seconds": 1, "failed": [value] * 50, "accelerator": value}
    verdict = read_news(json.dumps({"verdict": fields}).encode()).verdict
    assert verdict is not None
    assert len(str(verdict)) + len(verdict.reason) < 20 * 260 + 1100


def test_what_is_said_of_a_good_trial() -> None:
    assert str(Verdict("", 23.6, (), "kvm")) == "login after 24 s (KVM)"
    assert str(Verdict("", 23.6, ("a", "b"), "tcg")) == "login after 24 s (emulated); failed units: a, b"


def test_the_command_line_is_the_menus_and_ends_with_what_makes_it_a_trial() -> None:
    words = command_line(REQUEST).split()
    assert {"ltsp.root=nbd", "ltsp.image=classroom", "ltsp.generation=g1", "ltsp.server=192.168.67.1"} <= set(
        words
    )
    assert f"BOOTIF=01-{MAC.replace(':', '-')}" in words
    # The kernel's messages and /dev/console go where they are read, whatever ltsp.conf wants.
    assert words[-5:] == ["nomodeset", "console=tty0", "console=ttyS0,115200", "panic=-1", "ltsp.trial"]


def test_the_machine_reaches_nothing_but_its_layers_and_who_takes_what_it_has_read() -> None:
    argv = arguments(REQUEST, "/w/initrd", "/w/serve", "/w/take", 8)
    networks = [each for each in argv if each.startswith("user,")]
    assert len(networks) == 1
    assert ",restrict=on," in networks[0]
    forwards = [each for each in networks[0].split(",") if "fwd=" in each]
    assert forwards == [
        "guestfwd=tcp:192.168.67.1:10809-cmd:/bin/sh /w/serve",
        "guestfwd=tcp:192.168.67.1:10820-cmd:/bin/sh /w/take",
    ]
    assert argv[argv.index("-smp") + 1] == "2"
    assert argv[argv.index("-append") + 1] == command_line(REQUEST)


def test_logs_are_few_and_bounded(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    for number in range(logs.KEPT + 3):
        with logs.keep(paths, "x", f"g{number:02}") as log:
            log.add(f"one\r\n\r\n\x1b[1mtwo {number}\r\nlogin: ")
    assert log.tail == ("one", f"two {number}", "login:")
    found = sorted(each.name for each in logs.directory(paths).iterdir())
    assert found == [f"x-g{each:02}.log" for each in range(3, logs.KEPT + 3)]
    with logs.keep(paths, "x", "g12") as log:
        for _ in range(6):
            log.add("y" * (1 << 20))
        log.add("\nthe end\n")
    assert log.path.stat().st_size == logs.MOST_BYTES
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.tail[-1] == "the end"
