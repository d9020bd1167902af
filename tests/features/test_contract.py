"""What features may count on, and what a client does if one of them fails."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.worlds.features import NEEDS_BUSYBOX, Ran, read, run

pytestmark = NEEDS_BUSYBOX


def made(tmp_path: Path, conf: str = "", facts: dict[str, str] | None = None, **features: str) -> Ran:
    """Run features that consist of these commands, after the line that says what they need."""
    files = {}
    for name, commands in features.items():
        files[name] = tmp_path / f"{name}.sh"
        text = commands if commands.startswith("# needs:") else f"# needs: LTSP_API 1\n{commands}\n"
        files[name].write_text(text)
    return run(tmp_path / "root", files, conf, facts)


def test_features_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    ran = made(
        tmp_path, b="echo second", a="echo first", c="return 0\necho no", d='write "$run/x/y" "${0##*/}"'
    )
    assert ran == Ran({"run/x/y": "sh\n"}, "first\nsecond\n")


FAILURES = {
    "a command": ("false", ""),
    "a command in a function": ("work() {\n    false\n    echo no\n}\nwork", ""),
    "a file that can't be written": (': >"$new/none/x"', "can't create /none/x: nonexistent directory"),
    "its end": ("exit 0", ""),
    "a mistake": ("if; fi", 'syntax error: unexpected ";"'),
    "a signal": ('sh -c "kill -9 \\$PPID"', ""),
}


@pytest.mark.parametrize("why", FAILURES)
def test_a_feature_that_fails_is_told_and_the_others_run(why: str, tmp_path: Path) -> None:
    commands, reason = FAILURES[why]
    after = 'write "$run/failed" "$failed_features"'
    ran = made(tmp_path, a="echo before", b=f"{commands}\necho no", c="echo after", d="false", e=after)
    said = ran.said.splitlines()
    assert [each for each in said if not each.startswith(("ltsp: sh: ", "reported: ", "Killed"))] == [
        "before",
        "ltsp: the feature b failed; the boot goes on",
        "after",
        "ltsp: the feature d failed; the boot goes on",
    ]
    first, second = (each for each in said if each.startswith("reported: "))
    assert first.startswith("reported: failed part of its setup, b, failed")
    assert first.endswith("; the boot goes on.")
    assert reason in first
    assert any(reason in each for each in said if each.startswith("ltsp: sh: ")) or not reason
    assert second == "reported: failed part of its setup, d, failed; the boot goes on."
    assert ran.tree["run/failed"] == "b d\n"


def test_what_can_not_be_shown_is_not_reported(tmp_path: Path) -> None:
    ran = made(tmp_path, a="printf 'a\\033b\\n' >&2\nfalse", b="echo 'wörter' >&2; false")
    assert "reported: failed part of its setup, a, failed; the boot goes on." in ran.said
    assert "reported: failed part of its setup, b, failed; the boot goes on." in ran.said


def test_a_feature_that_needs_a_newer_initrd_is_left_out(tmp_path: Path) -> None:
    needs = "# needs: LTSP_API {}\necho {}\n"
    ran = made(
        tmp_path, facts={"LTSP_API": "2"}, **{f"a{n}": needs.format(n, n) for n in (1, 2, 3)}, b="echo b"
    )
    skipped = "ltsp: a3.sh is left out: it needs a newer boot initrd; 'ltspctl image build' makes one\n"
    assert ran.said == f"1\n2\n{skipped}b\n"


def test_settings_are_variables_as_ltsp_conf_has_them(tmp_path: Path) -> None:
    conf = "[clients]\nMASK_SYSTEM_SERVICES='$(id) * `id` \"'\nHOSTS_x='10.0.0.9 nas'\n"
    show = 'echo "$MASK_SYSTEM_SERVICES|${KEEP_SYSTEM_SERVICES-unset}|$HOSTS_x|$(sh -c "echo \\$HOSTS_x")"'
    assert made(tmp_path, conf, a=show).said == '$(id) * `id` "|unset|10.0.0.9 nas|10.0.0.9 nas\n'


# ---- what single features do ---------------------------------------------------------------------------


def test_people_who_check_passwords_can_still_read_them(tmp_path: Path) -> None:
    for path, text in {
        "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "etc/shadow": "root:*:1::::::\n",
        "ltsp/accounts": "passwd:alice:x:1000:1000::/home/alice:/bin/sh\ngroup:alice:x:1000:\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    os.chmod(tmp_path / "etc/shadow", 0o640)
    assert "alice:*:" in run(tmp_path, ("40-accounts",)).tree["etc/shadow"]
    assert (tmp_path / "etc/shadow").stat().st_mode & 0o777 == 0o640


def masked(root: Path, conf: str) -> set[str]:
    tree = run(root, ("50-fstab", "60-services"), f"[clients]\n{conf}\n").tree
    return {Path(each).name for each in tree if each.startswith("run/systemd/system.control/")}


def test_masks_are_what_they_say(tmp_path: Path) -> None:
    kinds = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice")
    names = {f"x.{kind}" for kind in kinds}
    (tmp_path / "a.file").touch()
    found = masked(tmp_path, f"MASK_SYSTEM_SERVICES='{' '.join(sorted(names))}\tplain b@1 * ../y'")
    assert names | {"plain.service", "b@1.service", "*.service", "apparmor.service"} <= found
    assert not {"a.file.service", "x.target.service", "y.service"} & found


@pytest.mark.parametrize("between", [" ", "\t", "\n", " \n\t"])
def test_lists_are_split_as_a_shell_splits_them(tmp_path: Path, between: str) -> None:
    keep = between.join(("apparmor", "rsyslog.service", "apt-daily", "fstrim.timer"))
    found = masked(tmp_path, f"KEEP_SYSTEM_SERVICES='{keep}'")
    kept = {"apparmor.service", "rsyslog.service", "apt-daily.service", "apt-daily.timer", "fstrim.timer"}
    assert not kept & found
    assert {"fstrim.service", "man-db.timer", "apt-daily-upgrade.timer"} <= found


RESOLVERS = {
    "the server's": ("", "search a.example b.example\n", "9.9.9.9", "9.9.9.9", "a.example b.example"),
    "servers for all": ("", "nameserver 1.1.1.1\nnameserver 2.2.2.2\n", "9.9.9.9", "1.1.1.1 2.2.2.2", ""),
    "a client's own": (
        "DNS_SERVER='3.3.3.3\n\t4.4.4.4'\nSEARCH_DOMAIN='c.example\n d.example'",
        "nameserver 1.1.1.1\nsearch a.example\n",
        "9.9.9.9",
        "3.3.3.3 4.4.4.4",
        "c.example d.example",
    ),
    "commas": ("DNS_SERVER=8.8.8.8,9.9.9.9,", "", "", "8.8.8.8 9.9.9.9", ""),
    "none known": ("", "search a.example\n", "", "", "a.example"),
    "nothing at all": ("", "", "", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", RESOLVERS)
def test_resolvers(case: str, tmp_path: Path) -> None:
    settings, everybody, dns, servers, domains = RESOLVERS[case]
    (tmp_path / "ltsp").mkdir()
    (tmp_path / "ltsp/resolver").write_text(everybody)
    (tmp_path / "etc").mkdir()
    conf = f"[clients]\nHOSTNAME=pc1\n{settings}\n"
    tree = run(tmp_path, ("20-hosts", "30-network"), conf, {"dns": dns}).tree
    lines = [f"DNS={servers}"] * bool(servers) + [f"Domains={domains}"] * bool(domains)
    of_systemd = tree.get("run/systemd/resolved.conf.d/ltsp.conf", "").splitlines()
    assert of_systemd == ["[Resolve]", *lines] * bool(lines)
    lines = [f"search {domains}"] * bool(domains) + [f"nameserver {each}" for each in servers.split()]
    assert tree.get("etc/resolv.conf", "").splitlines() == lines * bool(servers)
    name = f"pc1.{domains.split()[0]} pc1" if domains else "pc1"
    assert f"192.168.67.20 {name}\n" in tree["etc/hosts"]


def test_what_the_running_system_is_given_holds_no_code_from_outside(tmp_path: Path) -> None:
    facts = {"base": "'; touch /tmp/hit; '", "server": "$(id)", "marks": "init=1.05 root=2.5 "}
    report = run(tmp_path, ("99-report",), "", facts).tree["run/initramfs/ltsp/report"].splitlines()
    assert report[:2] == ["base=''", "server=''"]
    assert "marks='init=1.05 root=2.5 setup=2.00 '" in report


def test_units_of_ours_are_masked_as_others_are(tmp_path: Path) -> None:
    features = ("50-fstab", "60-services", "80-lease", "99-report")
    (tmp_path / "etc").mkdir()
    tree = run(tmp_path, features, '[clients]\nMASK_SYSTEM_SERVICES="ltsp-report ltsp-lease"\n').tree
    assert {each for each in tree if "ltsp-" in each} == {
        "run/systemd/system.control/ltsp-lease.service",
        "run/systemd/system.control/ltsp-report.service",
    }
    assert not [each for each in tree if "initramfs" in each]


@pytest.mark.parametrize(
    ("knows", "held"), [("forever", "forever"), ("dates", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")]
)
def test_snaps_are_held_by_old_and_new_versions_of_snapd(knows: str, held: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/snap").touch()
    script = run(root, ("61-snap",)).tree["run/initramfs/ltsp/snap"]
    refusing = 'case "$knows $3" in "dates refresh.hold=forever") exit 1 ;; esac; echo "$*"'
    (tmp_path / "snap").write_text(f"#!/bin/sh\n{refusing}\n")
    (tmp_path / "snap").chmod(0o755)
    words = ["busybox", "sh", "-c", script.replace("/usr/bin/snap", str(tmp_path / "snap"))]
    said = subprocess.run(
        words, env={**os.environ, "knows": knows}, stdout=subprocess.PIPE, check=True
    ).stdout
    assert re.fullmatch(rf"set system refresh\.hold={held}\n", said.decode())


@pytest.mark.skipif(not shutil.which("systemctl"), reason="needs systemctl")
@pytest.mark.parametrize("kind", ["system", "user"])
def test_a_disabled_service_has_the_links_that_systemctl_leaves_it(kind: str, tmp_path: Path) -> None:
    units = {
        "printing.service": "WantedBy=multi-user.target\nAlso=printing.socket printing.path",
        "printing.socket": "RequiredBy=sockets.target",
        "printing.path": "WantedBy=multi-user.target",
        "screen.service": "Alias=display-manager.service",
        "other.service": "WantedBy=multi-user.target\nAlias=another.service",
    }
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    lib = theirs / f"usr/lib/systemd/{kind}"
    lib.mkdir(parents=True)
    (theirs / "etc").mkdir()
    for name, install in units.items():
        (lib / name).write_text(f"[Unit]\nDescription=x\n[Install]\n{install}\n")
    ask = ["systemctl", f"--root={theirs}", *(["--global"] if kind == "user" else [])]
    subprocess.run([*ask, "enable", *units], check=True, capture_output=True)
    (theirs / "run").mkdir()
    shutil.copytree(theirs, ours, symlinks=True)
    subprocess.run([*ask, "disable", "printing", "screen"], check=True, capture_output=True)
    variable = {"system": "SYSTEM", "user": "SESSION"}[kind]
    conf = f"[clients]\nDISABLE_{variable}_SERVICES='printing screen.service'\n"
    tree = run(ours, ("50-fstab", "60-services"), conf).tree

    def links(found: Mapping[str, str]) -> list[str]:
        return sorted(path for path, text in found.items() if text.startswith("-> ") and kind in path)

    assert links(tree) == links(read(theirs))
    assert len(links(tree)) == 2
