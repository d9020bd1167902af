"""How a home ends the processes that carry it, by the busybox of clients."""

import re
import subprocess
from pathlib import Path

from ltspd.paths import client_home


def test_a_process_that_is_just_ending_takes_nobody_along(tmp_path: Path) -> None:
    """The kernel lists it as 0 in cgroup.procs, and a signal to 0 is one to all of the sender's own group."""
    text = (client_home() / "live/home.sh").read_text()
    function = re.search(r"^end_listed\(\) \{.*?^\}", text, re.MULTILINE | re.DOTALL)
    assert function is not None
    other = subprocess.Popen(["sleep", "600"])
    try:
        listed = tmp_path / "cgroup.procs"
        script = f'echo "0\n$$\n{other.pid}" >{listed}\n{function[0]}\nend_listed {listed}\necho went on'
        done = subprocess.run(
            ["busybox", "sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            start_new_session=True,
        )
        assert (done.returncode, done.stdout) == (0, "went on\n")
        assert other.wait(60) == -15
    finally:
        other.kill()
        other.wait()
