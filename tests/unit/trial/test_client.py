"""Whether people can log in, by what systemd and logind answer: what a trial and a client tell of it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import REPOSITORY

CLIENT = REPOSITORY / "client"
DM = "display-manager.service"
CONSOLE = "serial-getty@ttyS0.service"


@dataclass(frozen=True, slots=True)
class Booted:
    """What runs in a system: units that failed, units that are active, gettys with their processes' names.

    ``manager`` is the display manager's own name, ``sessions`` are pairs of a session's name and its seat.
    """

    failed: str = ""
    active: str = ""
    gettys: tuple[tuple[str, str], ...] = ()
    manager: str = "lightdm.service"
    sessions: tuple[tuple[str, str], ...] = ()
    cmdline: str = "quiet console=ttyS0,115200 panic=-1 ltsp.trial"


GETTY = (("getty@tty1.service", "agetty"),)
NOTHING = "no login: neither a getty nor a display manager is active"
NO_GREETER = f"no login: {DM} runs, but shows no greeter"
TOLD = {
    "a display manager that failed": (Booted(failed=DM, gettys=GETTY), f"no login: {DM} failed"),
    "a getty": (Booted(active="getty.target", gettys=GETTY), "login"),
    "a target without any getty": (Booted(active="getty.target"), NOTHING),
    "a getty that never begins": (Booted(gettys=(("getty@tty1.service", "(agetty)"),)), NOTHING),
    "the getty of the trial alone": (Booted(gettys=((CONSOLE, "agetty"),)), NOTHING),
    "a getty on a console that clients have, too": (
        Booted(gettys=((CONSOLE, "agetty"),), cmdline="console=ttyS0,115200 quiet console=ttyS0,115200"),
        "login",
    ),
    "a greeter": (Booted(active=DM, sessions=(("c1", "seat0"),)), "login"),
    "no greeter beside a getty": (Booted(active=DM, gettys=GETTY), NO_GREETER),
    "somebody from another machine is no greeter": (Booted(active=DM, sessions=(("7", ""),)), NO_GREETER),
    "a display manager that knows no sessions": (Booted(active=DM, manager="xdm.service"), "login"),
    "a screen without a login": (Booted(gettys=(("ltsp-session.service", "session"),)), "login"),
    "a kiosk": (Booted(sessions=(("7", ""), ("1", "seat0"))), "login"),
}
SYSTEMCTL = """#!/bin/sh
case "$*" in
*=ActiveState*) case "$4" in "$FAILED") echo failed ;; "$ACTIVE") echo active ;; *) echo inactive ;; esac ;;
*--wait) echo degraded ;;
*state=running*) for unit in $GETTYS; do echo "${unit%=*} loaded active running Getty"; done ;;
*list-units*) for unit in a.service $FAILED; do echo "$unit loaded failed failed Something"; done ;;
*=Id*) echo "$MANAGER" ;;
*=MainPID*) for unit in $GETTYS; do [ "${unit%=*}" = "$4" ] && echo "${unit#*=}"; done ;;
esac
"""
LOGINCTL = """#!/bin/sh
case "$*" in
list-sessions*) for each in $SESSIONS; do echo "${each%=*} 1000 somebody"; done ;;
*) for each in $SESSIONS; do [ "${each%=*}" = "$4" ] && echo "${each#*=}"; done ;;
esac
"""


@contextmanager
def processes(gettys: tuple[tuple[str, str], ...], directory: Path) -> Iterator[list[str]]:
    """Run a process of each getty's name, and yield "UNIT=PID" of each."""
    running = []
    try:
        for _, name in gettys:
            program = shutil.copy("/bin/sleep", directory / name)
            running.append(subprocess.Popen([program, "600"]))
        yield [f"{unit}={each.pid}" for (unit, _), each in zip(gettys, running, strict=True)]
    finally:
        for each in running:
            each.kill()
            each.wait()


def run(booted: Booted, script: str, directory: Path) -> str:
    for name, text in (("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    (directory / "cmdline").write_text(f"{booted.cmdline}\n")
    pam = directory / "pam.d"
    pam.mkdir()
    (pam / "common-session").write_text("session optional pam_systemd.so\n")
    # logind's files, as far as they are read.
    sessions = directory / "sessions"
    sessions.mkdir()
    os.mkfifo(sessions / "1.ref")
    for name, seat in booted.sessions:
        lines = ["UID=1000", *([f"SEAT={seat}"] if seat else []), "ACTIVE=1"]
        (sessions / name).write_text("".join(f"{each}\n" for each in lines))
    places = {"/etc/pam.d": pam, "/proc/cmdline": directory / "cmdline", "/run/systemd/sessions": sessions}
    for place, here in places.items():
        script = script.replace(place, str(here))
    with processes(booted.gettys, directory) as units:
        environment = {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "FAILED": booted.failed,
            "ACTIVE": booted.active,
            "MANAGER": booted.manager,
            "GETTYS": " ".join(units),
            "SESSIONS": " ".join(f"{name}={seat}" for name, seat in booted.sessions),
        }
        words = ["busybox", "sh", "-c", f"sleep() {{ :; }}\n{script}"]
        return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("case", TOLD)
def test_what_a_trial_tells(case: str, tmp_path: Path) -> None:
    booted, told = TOLD[case]
    script = "".join((CLIENT / f"live/{name}.sh").read_text() for name in ("login", "trial"))
    assert script.count(">/dev/kmsg") == 1
    said = run(booted, script.replace(">/dev/kmsg", ""), tmp_path)
    failed = "".join(
        f"<1>ltsp: trial: failed {unit}\n" for unit in ("a.service", *filter(None, [booted.failed]))
    )
    assert said == f"<1>ltsp: trial: {told}\n{failed}<1>ltsp: trial: ended degraded\n"


def test_features_that_failed_are_told_once_people_can_log_in(tmp_path: Path) -> None:
    booted, _ = TOLD["a getty"]
    known = "failed_features='40-accounts 60-services'\n"
    login = (CLIENT / "live/login.sh").read_text()
    trial = (CLIENT / "live/trial.sh").read_text().replace(">/dev/kmsg", "")
    (tmp_path / "trial").mkdir()
    told = run(booted, known + login + trial, tmp_path / "trial").splitlines()
    tells = [f"<1>ltsp: trial: failed client/features/{each}.sh" for each in ("40-accounts", "60-services")]
    assert told[:3] == ["<1>ltsp: trial: login", *tells]
    (tmp_path / "report").mkdir()
    script = f'report() {{ echo "$1|$2"; }}\nset -- login\n{known}{login}'
    said = run(booted, script + (CLIENT / "live/report.sh").read_text(), tmp_path / "report")
    assert said.startswith("failed|it is up, but part of its setup failed: 40-accounts 60-services. ")


@pytest.mark.parametrize("case", TOLD)
def test_what_a_client_that_is_up_tells(case: str, tmp_path: Path) -> None:
    booted, told = TOLD[case]
    script = "".join((CLIENT / f"live/{name}.sh").read_text() for name in ("login", "report"))
    said = run(booted, f'report() {{ echo "$1|$2"; }}\nset -- login\n{script}', tmp_path)
    if booted.gettys == ((CONSOLE, "agetty"),):
        told = "login"
    why = told.partition(": ")[2]
    assert said == (f"failed|it is up, but nobody can log in: {why}.\n" if why else "login|\n")
