"""Features on trees of several distributions: what has no effect on one, builds and clients tell."""

import re
from pathlib import Path

import pytest

from ltspd.config.parameters import wants
from ltspd.config.parse import parse
from ltspd.config.wants import asked
from ltspd.image.look.wants import lacking
from tests.worlds.distributions import (
    ALL,
    BOOKWORM,
    FEDORA,
    NOBLE,
    RESOLUTE,
    TRIXIE,
    Distribution,
)
from tests.worlds.features import CLIENT, NEEDS_BUSYBOX, Ran, run
from tests.worlds.image_trees import write

pytestmark = NEEDS_BUSYBOX
EACH = pytest.mark.parametrize("distribution", ALL, ids=lambda each: each.name)
FEATURES = tuple(sorted(each.stem for each in (CLIENT / "features").glob("*.sh")))
# One value of everything that wants something of an image; clients keep silent about the last three.
SETTINGS = {
    "AUTOLOGIN": "local",
    "CRONTAB_A": "@daily root true",
    "KIOSK_URL": "http://10.0.0.1/",
    "LANG": "de_DE.UTF-8",
    "NTP_SERVER": "10.0.0.1",
    "REMOTEAPPS": "users-admin",
    "TIMEZONE": "US/Pacific",
    "X_DRIVER": "modesetting",
    "CUPS_SERVER": "10.0.0.1",
    "LTSPDM_USERS": "local",
    "SESSION": "kiosk",
}
SILENT = {"CUPS_SERVER", "LTSPDM_USERS", "SESSION"}


def conf(*names: str) -> str:
    lines = [f"{name}='{SETTINGS[name]}'\n" for name in names or SETTINGS]
    return "".join(("[clients]\n", *lines))


def notes(root: Path, text: str) -> tuple[str, ...]:
    return lacking(root, asked(parse(text), wants()))


def named_in(found: tuple[str, ...]) -> set[str]:
    """Return the names of the settings that notes name."""
    return set(re.findall(r"([A-Z0-9_]+)(?:=\S+)? \(", "\n".join(found)))


def boot(root: Path, text: str, features: tuple[str, ...] = FEATURES) -> Ran:
    """Run features as at a boot, with what ltsp.img brings."""
    write(root, "ltsp/client/pam/x86_64.so", "module\n")
    for name in ("known_hosts", "session_hosts"):
        write(root, f"ltsp/login/{name}", "key\n")
    write(root, "ltsp/accounts", "passwd:anna:x:1001:1001::/home/anna:/bin/bash\ngroup:anna:x:1001:\n")
    return run(root, features, text)


@EACH
def test_what_is_missing_is_told_with_the_package_that_has_it(
    distribution: Distribution, tmp_path: Path
) -> None:
    found = notes(distribution.grow(tmp_path / "bare"), conf())
    assert any("people of the server can't log in" in each for each in found)
    named = {name for each in found for name in re.findall(r"; install (\S+) in its source\.$", each)}
    # Ubuntu has browsers as snaps only.
    assert named - set(distribution.packages) <= (
        {"chromium"} if distribution in (NOBLE, RESOLUTE) else set()
    )
    assert len(named) > 5
    left = notes(distribution.grow(tmp_path / "full", "*"), conf())
    assert named_in(left) == ({"KIOSK_URL"} if distribution in (NOBLE, RESOLUTE) else set())


@EACH
@pytest.mark.parametrize("packages", [(), ("*",)], ids=["bare", "full"])
def test_the_client_says_what_the_build_has_said(
    packages: tuple[str, ...], distribution: Distribution, tmp_path: Path
) -> None:
    root = distribution.grow(tmp_path, *packages)
    found = notes(root, conf())
    told = named_in(found) | ({"People"} if any("people of the server" in each for each in found) else set())
    said = boot(root, conf()).said
    # What a client calls a setting of which it lacks something.
    shown = {
        "AUTOLOGIN": "no /usr/bin/ssh-keygen",
        "CRONTAB_A": "CRONTAB_x",
        "KIOSK_URL": "SESSION=kiosk is left out",
        "X_DRIVER": "X_x is left out",
        "People": "people of the server can't log in",
    }
    for name in (SETTINGS.keys() | {"People"}) - SILENT:
        assert (shown.get(name, name) in said) is (name in told), name


@pytest.mark.parametrize("packages", [(), ("*",)], ids=["bare", "full"])
@pytest.mark.parametrize("distribution", [BOOKWORM, FEDORA], ids=["debian-12", "fedora"])
def test_each_session_is_told_as_the_client_tells_it(
    packages: tuple[str, ...], distribution: Distribution, tmp_path: Path
) -> None:
    told = {}
    for session in ("kiosk", "rdp", "x11", "terminal"):
        text = f"[clients]\nSESSION={session}\nKIOSK_COMMAND=xterm\nRDP_SERVER=10.0.0.2\n"
        root = distribution.grow(tmp_path / session, *packages)
        told[session] = any(f"SESSION={session} (" in each for each in notes(root, text))
        said = boot(root, text, ("74-session",)).said
        assert (f"SESSION={session} is left out: this image has no" in said) is told[session], said
    # The trees have no FreeRDP.
    assert told == {each: not packages or each == "rdp" for each in told}


@EACH
def test_all_features_do_their_work(distribution: Distribution, tmp_path: Path) -> None:
    text = conf(*SETTINGS.keys() - {"SESSION", "KIOSK_URL"})
    ran = boot(distribution.grow(tmp_path / "root", "*"), text)
    assert ran.said == ""
    tree = ran.tree
    assert "anna:*:" in tree["etc/shadow"]
    assert tree["etc/locale.conf"] == "LANG=de_DE.UTF-8\n"
    assert tree["etc/localtime"] == "-> ../usr/share/zoneinfo/US/Pacific"
    assert "@daily root true" in tree["etc/cron.d/ltsp"]
    assert tree["etc/cups/client.conf"] == "ServerName 10.0.0.1\n"
    assert 'Driver "modesetting"' in tree["etc/X11/xorg.conf"]
    assert "run/systemd/system/ltsp-autologin.service" in tree
    assert any(path.startswith("run/initramfs/ltsp/login/auto/etc/") for path in tree)
    times = ("run/systemd/timesyncd.conf.d/ltsp.conf", "run/chrony-dhcp/ltsp.sources")
    assert any("10.0.0.1" in tree.get(each, "") for each in times)
    sshd = "sshd" if distribution is FEDORA else "ssh"
    settings = [path for path in tree if path.startswith("run/systemd/system/ssh")]
    assert settings == [f"run/systemd/system/{sshd}.service.d/ltsp.conf"]
    kept = distribution.files.get("etc/nsswitch.conf")
    assert tree.get("etc/nsswitch.conf") == kept


def stack(tree: dict[str, str], file: str, kind: str) -> list[list[str]]:
    """Return the lines of a kind in a file of PAM: what counts of each result, and the module."""
    lines = (re.match(rf"-?{kind}\s+(\[.*?\]|\S+)\s+(\S+)", each) for each in tree[file].splitlines())
    return [[each[1], Path(each[2]).name] for each in lines if each]


@EACH
@pytest.mark.parametrize("kind", ["auth", "password"])
def test_who_the_server_lets_in_is_refused_by_nobody_after_that(
    kind: str, distribution: Distribution, tmp_path: Path
) -> None:
    tree = dict(boot(distribution.grow(tmp_path / "root", "*"), "", ("42-login",)).tree)
    files = [f"etc/pam.d/common-{kind}"]
    if distribution is FEDORA:
        files = ["etc/pam.d/system-auth", "etc/pam.d/password-auth"]
    for file in files:
        lines = stack(tree, file, kind)
        (ours,) = (number for number, each in enumerate(lines) if each[1] == "pam_ltspd.so")
        # What the image asks for a password comes after it, and so only for whom the server does not know.
        asking = ("pam_unix.so", "pam_sss.so", "pam_authd_exec.so", "pam_pwquality.so")
        assert not {module for _, module in lines[:ours]} & set(asking)
        assert "ignore=ignore" in lines[ours][0]
        assert "default=die" in lines[ours][0]
        found = re.search(r"success=(\w+)", lines[ours][0])
        assert found is not None
        after = [] if found[1] == "done" else [module for _, module in lines[ours + 1 + int(found[1]) :]]
        assert after in ([], ["pam_permit.so"])
    assert [module for _, module in stack(tree, session_of(distribution), "session")][-1] == "pam_ltspd.so"


def session_of(distribution: Distribution) -> str:
    return "etc/pam.d/system-auth" if distribution is FEDORA else "etc/pam.d/common-session"


# authselect's profile for sssd: two lines leave out the one that follows.
SSSD = """\
auth required pam_env.so
auth required pam_faildelay.so delay=2000000
auth [default=1 ignore=ignore success=ok] pam_succeed_if.so uid >= 1000 quiet
auth [default=1 ignore=ignore success=ok] pam_localuser.so
auth sufficient pam_unix.so nullok try_first_pass
auth requisite pam_succeed_if.so uid >= 1000 quiet_success
auth sufficient pam_sss.so forward_pass
auth required pam_deny.so
"""


def test_sssd_of_fedora_is_asked_after_the_server(tmp_path: Path) -> None:
    root = FEDORA.grow(tmp_path / "root", "*")
    write(root, "etc/authselect/password-auth", SSSD)
    tree = dict(boot(root, "", ("42-login",)).tree)
    (env, delay, ours, *others) = stack(tree, "etc/pam.d/password-auth", "auth")
    assert [env[1], delay[1]] == ["pam_env.so", "pam_faildelay.so"]
    assert ours == [
        "[success=done new_authtok_reqd=done ignore=ignore module_unknown=ignore default=die]",
        "pam_ltspd.so",
    ]
    assert len(others) == 6


@pytest.mark.parametrize(
    ("distribution", "package", "setting"),
    [(BOOKWORM, "lightdm", "LIGHTDM_CONF"), (RESOLUTE, "gdm3", "GDM3_CONF"), (FEDORA, "gdm", "GDM3_CONF")],
)
def test_settings_of_another_display_manager_are_told(
    distribution: Distribution, package: str, setting: str, tmp_path: Path
) -> None:
    names = ("LIGHTDM_CONF", "GDM3_CONF", "SDDM_CONF", "SLICK_CONF")
    text = "[clients]\n" + "".join(f"{name}='a=b'\n" for name in names)
    assert named_in(notes(distribution.grow(tmp_path / "bare"), text)) >= set(names)
    root = distribution.grow(tmp_path / "root", package)
    assert named_in(notes(root, text)) & set(names) == set(names) - {setting}


def test_a_zone_that_debian_13_has_in_another_package(tmp_path: Path) -> None:
    text = "[clients]\nTIMEZONE=US/Pacific\n"
    root = TRIXIE.grow(tmp_path / "root", "tzdata", "openssh-client", "sshfs")
    assert notes(root, text) == (
        "With this image TIMEZONE=US/Pacific (/etc/ltsp/ltsp.conf:2) can't have an effect: it has no such "
        "time zone (Debian and Ubuntu have old names in tzdata-legacy); install tzdata in its source.",
    )
    assert notes(BOOKWORM.grow(tmp_path / "older", "tzdata", "openssh-client", "sshfs"), text) == ()


def test_selinux_of_fedora_is_off(tmp_path: Path) -> None:
    tree = boot(FEDORA.grow(tmp_path / "root"), "", ("12-selinux",)).tree
    assert tree["etc/selinux/config"] == "SELINUX=disabled\nSELINUXTYPE=targeted\n"
