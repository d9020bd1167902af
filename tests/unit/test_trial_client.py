"""What a machine that tries an image out says of its login, by what systemd answers there."""

import os
import subprocess
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"

# What each answer of systemd makes of a trial: units that fail, units that are active, what is told.
TOLD = {
    "a display manager that failed": (
        "display-manager.service",
        "getty.target",
        "no login: display-manager.service failed",
    ),
    "no display manager": ("", "getty.target", "login"),
    "a display manager only": ("", "display-manager.service", "login"),
    "nothing to log in to": (
        "",
        "",
        "no login: neither getty.target nor display-manager.service is active",
    ),
}
SYSTEMCTL = """#!/bin/sh
case "$*" in
*is-failed*) case " $FAILED " in *" $3 "*) exit 0 ;; esac; exit 1 ;;
*is-active*) for unit in "$@"; do [ "$unit" = "$ACTIVE" ] && exit 0; done; exit 3 ;;
*--wait) echo degraded ;;
*list-units*) for unit in a.service $FAILED; do echo "$unit loaded failed failed Something"; done ;;
esac
"""


@pytest.mark.parametrize("case", TOLD)
def test_what_a_trial_tells(case: str, tmp_path: Path) -> None:
    failed, active, told = TOLD[case]
    _, _, rest = (CLIENT / "setup.sh").read_text().partition(">/run/ltsp-trial <<'EOF'\n")
    script = rest.partition("\nEOF\n")[0]
    log = tmp_path / "kmsg"
    assert script.count(">/dev/kmsg") == 1
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILED": failed, "ACTIVE": active}
    script = script.replace(">/dev/kmsg", f">>{log}")
    subprocess.run(["busybox", "sh", "-c", script], env=environment, check=True)
    units = "".join(f"<1>ltsp: trial: failed {unit}\n" for unit in ("a.service", *filter(None, [failed])))
    assert log.read_text() == f"<1>ltsp: trial: {told}\n{units}<1>ltsp: trial: ended degraded\n"
