"""Code and hooks of ltsp.conf that fail: each is told with its line, and the rest goes on."""

import shutil
from pathlib import Path

import pytest

from tests.worlds.features import NEEDS_BUSYBOX, Ran, run

pytestmark = NEEDS_BUSYBOX


def ran(tmp_path: Path, lines: str, **facts: str) -> Ran:
    return run(
        tmp_path / "root", ("20-hosts", "98-hooks"), f"[clients]\n{lines}\nHOSTS_Z='10.0.0.9 z'\n", facts
    )


def test_what_fails_costs_only_itself(tmp_path: Path) -> None:
    done = ran(tmp_path, "then\ncat /nowhere\ntest -e /nowhere && true\nHOSTS_A='10.0.0.1 a'")
    assert done.tree["etc/hosts"].splitlines()[-2:] == ["10.0.0.1 a", "10.0.0.9 z"]
    told = [each for each in done.said.splitlines() if each.startswith("reported: ")]
    assert len(told) == 2
    assert all(each.startswith("reported: failed code of ltsp.conf failed: /etc") for each in told)
    assert "/etc/ltsp/ltsp.conf:2: " in told[0]
    assert "syntax error" in told[0].lower()
    assert "/etc/ltsp/ltsp.conf:3: cat: " in told[1]
    assert "ltsp.conf:4" not in done.said


def test_what_ends_the_shell_does_not_end_the_boot(tmp_path: Path) -> None:
    done = ran(tmp_path, "HOSTS_A='10.0.0.1 a'\nexit 3\nHOSTS_B='10.0.0.1 b'")
    assert "10.0.0.1 a" in done.tree["etc/hosts"]
    assert "10.0.0.1 b" not in done.tree["etc/hosts"]
    assert "ltsp.conf:3 ended with status 3 (it ended the shell)" in done.said


def test_a_hook_that_fails_is_told_and_the_next_ones_run(tmp_path: Path) -> None:
    hooks = "POST_INIT_A='false'\nPOST_INIT_B='if'\nPOST_INIT_C='echo \"it is $HOSTS_Z\" >\"$run/c\"'"
    done = ran(tmp_path, hooks)
    assert done.tree["run/c"] == "it is 10.0.0.9 z\n"
    assert "ltsp: /etc/ltsp/ltsp.conf:2 POST_INIT_A ended with status 1\n" in done.said
    assert "reported: failed code of ltsp.conf failed: /etc/ltsp/ltsp.conf:3 POST_INIT_B: " in done.said
    assert done.said.count("reported: ") == 1


def test_hooks_run_only_where_there_are_some(tmp_path: Path) -> None:
    only = "HOSTS_A='10.0.0.1 a'\n{}_INIT_A='echo \"it is $HOSTS_A\" >\"$run/a\"'"
    before = ran(tmp_path / "before", only.format("PRE"))
    after = ran(tmp_path / "after", only.format("POST"))
    assert before.tree["run/a"] == after.tree["run/a"] == "it is 10.0.0.1 a\n"
    # Values are worked out anew only by what comes before the set-up.
    assert ["run/ltsp-code/init" in each.tree for each in (before, after)] == [True, False]


def test_the_last_report_names_what_failed(tmp_path: Path) -> None:
    conf = "[clients]\nthen\nPOST_INIT_A='ls /nowhere'\n"
    done = run(tmp_path / "root", ("98-hooks", "99-report"), conf)
    report = done.tree["run/initramfs/ltsp/report"]
    assert "failed_features='/etc/ltsp/ltsp.conf:2 /etc/ltsp/ltsp.conf:3'" in report


def test_a_trial_runs_neither(tmp_path: Path) -> None:
    done = ran(tmp_path, "HOSTS_A=$(echo 10.0.0.1 a)\nPOST_INIT_A='echo >\"$run/a\"'", trial="1")
    assert sorted(done.tree) == ["etc/hosts"]
    assert "10.0.0.1 a" not in done.tree["etc/hosts"]


def test_the_kernels_command_line_makes_no_settings(tmp_path: Path) -> None:
    done = ran(tmp_path, "true", passed="HOSTS_A", HOSTS_A="10.6.6.6 evil")
    assert "evil" not in done.tree["etc/hosts"]


def test_a_client_without_code_starts_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "root", ("20-hosts", "98-hooks"), "[clients]\nHOSTS_A='10.0.0.1 a'\n")
    assert sorted(done.tree) == ["etc/hosts"]


@pytest.mark.parametrize("name", ["hosts", "networking_main", "swap config_hosts"])
def test_parts_of_the_set_up_are_left_out(name: str, tmp_path: Path) -> None:
    done = ran(tmp_path, f"OMIT_FUNCTIONS='{name} *'")
    assert "etc/hosts" not in done.tree
    assert done.said == "ltsp: 20-hosts.sh is left out, as OMIT_FUNCTIONS says\n"


def test_a_log_has_each_command(tmp_path: Path) -> None:
    done = ran(tmp_path, "DEBUG_LOG=1\nHOSTS_A=$(echo 10.0.0.1 a)\nPOST_INIT_A='true a hook; ls /nowhere'")
    log = done.tree["run/initramfs/ltsp/debug.log"].splitlines()
    assert "+ true a hook" in log
    assert any("20-hosts.sh" in each for each in log)
    assert "ltsp: 20-hosts.sh begins\n" in done.said
    assert done.tree["run/ltsp"] == "-> initramfs/ltsp"
    assert "10.0.0.1 a" in done.tree["etc/hosts"]
    assert not any(each.startswith("ltsp: +") for each in done.said.splitlines())
    assert "POST_INIT_A: ls: " in done.said


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_it_runs_in_the_shell_that_the_image_has(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell.split()[0]):
        pytest.skip("it is not installed")
    case = Path(__file__).parent / "code"
    commands = f'in_root() {{ shift; {shell} "$@"; }}; load_settings; code_in_root; run_features'
    done = run(tmp_path / "root", ("20-hosts", "98-hooks"), (case / "settings").read_text(), None, commands)
    for path in ("etc/hosts", "run/ltsp-code/init"):
        assert done.tree[path] == (case / "expected" / path).read_text()


@pytest.mark.parametrize(
    "line", ["IMAGE_TO_RAM=1", "IMAGE_TO_RAM=$(echo 1)", "PRE_INITRD_BOTTOM_X='IMAGE_TO_RAM=1'"]
)
def test_what_counts_until_the_root_is_mounted(line: str, tmp_path: Path) -> None:
    conf = f"[init/]\nHOSTNAME=later\nIMAGE_TO_RAM=0\n[initrd-bottom/52:54:*]\nHOSTNAME=sooner\n{line}\n"
    commands = 'load_settings; echo "$transport"; code_in_root; echo "$hostname"'
    done = run(tmp_path / "root", (), conf, None, commands)
    assert done.said == "http\nlater\n"
