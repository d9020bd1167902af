"""Homes of clients by SSHFS: the real sshfs and systemd of a client, and the real sshd of a server.

The container is the client; the server's sshd runs in the namespace of the switch.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltspd.config.features import for_clients
from tests import REPOSITORY
from tests.lab import trees
from tests.lab.net import Lan, ip, make_lan
from tests.lab.server import Server, start_server
from tests.lab.session import Session, end, leftovers, open_session
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab

ADDRESS = "192.168.67.77"
PORT = 2222
# Seconds without a cable; a minute was tried by hand.
CUT = 20
LOGIN = "/run/ltsp/login"
# Instead of a terminal, which the module gives to ssh.
ANSWER = "export SSH_ASKPASS=/opt/answer SSH_ASKPASS_REQUIRE=force"
PASSWORD = "Blue-Whale-7"
# A program that asks for a password, with a pause between the right one and the session.
PAUSING = """\
@include common-auth
account required pam_exec.so quiet /opt/pause
@include common-session
session required pam_exec.so quiet /opt/look
"""
PAUSE = """\
#!/bin/sh
touch /tmp/$PAM_USER.in
until test -e /tmp/$PAM_USER.go; do sleep 0.1; done
"""
LOOK = """\
#!/bin/sh
[ "$PAM_TYPE" = open_session ] || exit 0
cat /home/$PAM_USER/mine >/tmp/$PAM_USER.looks 2>&1
mv /tmp/$PAM_USER.looks /tmp/$PAM_USER.seen
"""
PEOPLE = {"anna": 1501, "bert": 1502, "nohome": 1503, "closed": 1504}
SSHD = f"""\
Port {PORT}
HostKey /etc/ssh/login
UsePAM yes
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication yes
LoginGraceTime 0
Subsystem sftp internal-sftp
ForceCommand internal-sftp
AuthorizedKeysFile /etc/ssh/keys/%u
DisableForwarding yes
"""


@dataclass
class Far:
    """The server: a root of its own, and its sshd."""

    session: Session
    lan: Lan
    place: Path
    key: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def home(self) -> Path:
        return self.place / "upper/home"

    def start(self) -> None:
        tree, place = trees.tree("server"), self.place
        root = place / "root"
        script = f"""
            mount -t overlay -o lowerdir={tree},upperdir={place}/upper,workdir={place}/work overlay {root}
            mount -t proc proc {root}/proc
            mount -t devtmpfs devtmpfs {root}/dev 2>/dev/null || mount --rbind /dev {root}/dev
            mkdir -p {root}/run/sshd
            exec chroot {root} /usr/sbin/sshd -D -e -f /etc/ssh/login.conf
        """
        words = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation=private"]
        self.process = self.session.start(
            [*words, "sh", "-euc", script], log="sshd.log", netns=self.lan.switch
        )
        words = ["nsenter", f"--net=/run/netns/{self.lan.switch}", "sh", "-c", f"ss -Hltn sport = :{PORT}"]
        deadline = time.monotonic() + PATIENCE
        while not subprocess.run(words, capture_output=True, check=True).stdout:
            assert time.monotonic() < deadline, (self.session.logs / "sshd.log").read_text()
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """The process of sshd; the one that we have started stays outside of its namespaces' processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def stop(self) -> None:
        assert self.process is not None
        end(self.process, 9)


def make_far(session: Session, lan: Lan) -> Far:
    place = session.directory / "far"
    for each in ("root", "upper/etc/ssh/keys", "upper/home", "work"):
        (place / each).mkdir(parents=True)
    key = place / "upper/etc/ssh/login"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (place / "upper/etc/ssh/login.conf").write_text(SSHD)
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
    ).stdout.strip()
    tree = trees.tree("server")
    for name in ("passwd", "shadow", "group"):
        text = (tree / "etc" / name).read_text()
        for person, uid in PEOPLE.items():
            text += {
                "passwd": f"{person}:x:{uid}:{uid}::/home/{person}:/bin/bash\n",
                "shadow": f"{person}:{hashed}:19000:0:99999:7:::\n",
                "group": f"{person}:x:{uid}:\n",
            }[name]
        (place / "upper/etc" / name).write_text(text)
        shutil.copymode(tree / "etc" / name, place / "upper/etc" / name)
    for person, uid in PEOPLE.items():
        if person != "nohome":
            home = place / "upper/home" / person
            home.mkdir(0o700)
            owner = 0 if person == "closed" else uid
            shutil.chown(home, owner, owner)
    ip(lan.switch, f"address add {ADDRESS}/24 dev lan")
    return Far(session, lan, place, key.with_suffix(".pub").read_text())


@dataclass
class Near:
    """The client: a booted system that the features have set up."""

    server: Server

    def run(self, script: str, *, check: bool = True, stdin: str = "") -> str:
        return self.server.run(script, check=check, stdin=stdin)

    def log_in(self, name: str, *, check: bool = True) -> str:
        """Do what the PAM module does, with the right password; return what `home up` says."""
        self.hold(name)
        said = self.run(f"{ANSWER}; {LOGIN}/home enter {name}; {self.up(name)}", check=check)
        if said:
            self.let_go(name)
        return said

    def hold(self, name: str) -> None:
        """Hold the home of a person, as the module does from the right password on."""
        self.let_go(name)
        lock = f"{LOGIN}/users/{name}.lock"
        unit = f"systemd-run --quiet --collect --unit=entering-{name}"
        self.run(f"{unit} flock --shared {lock} sleep infinity")
        self.server.wait_for(f"! flock -n {lock} true")

    def let_go(self, name: str) -> None:
        """End a login that became no session, if there is one."""
        self.run(f"systemctl --quiet stop entering-{name}", check=False)

    def leave(self, name: str) -> None:
        """End a login that became no session, and close its home at once."""
        self.let_go(name)
        self.run(f"{LOGIN}/home down {name}")
        self.gone(name)

    def enter(self, name: str, steps: str = "acct_mgmt open_session close_session") -> None:
        """Begin a login by the real module, in a program that pauses when the password was right."""
        self.run(f"rm -f /tmp/{name}.*; mkfifo /tmp/{name}.password")
        # Opened for both, a pipe neither blocks nor ends.
        script = f"exec pamtester pausing {name} authenticate {steps} <>/tmp/{name}.password"
        self.run(f"systemd-run --quiet --collect --unit=login-{name} sh -c {shlex.quote(script)}")
        self.server.wait_for(lambda: self.asked(name))

    def asked(self, name: str) -> bool:
        """Whether ssh waits for the password of a login."""
        script = f"for each in $(pgrep -f -- '-l {name} .*PasswordPrompts'); do ls -l /proc/$each/fd; done"
        return "/dev/tty" in self.run(script, check=False)

    def type(self, name: str) -> None:
        self.run(f"echo {PASSWORD} >/tmp/{name}.password")
        self.server.wait_for(f"test -e /tmp/{name}.in")

    def go_on(self, name: str) -> str:
        """Have a login go on to its session; return what the session saw of the home."""
        self.run(f"touch /tmp/{name}.go")
        self.server.wait_for(f"test -e /tmp/{name}.seen")
        return self.run(f"cat /tmp/{name}.seen")

    def up(self, name: str) -> str:
        """Return words that open a home. They can't be a shell's last ones, which are run in its place."""
        return f"{LOGIN}/home up {name} </dev/null; status=$?; (exit $status)"

    def connections(self, name: str) -> list[str]:
        return self.run(f"pgrep -u {name} -f -- '-M -f -N'", check=False).split()

    def open(self, name: str, command: str = "sleep infinity") -> str:
        """Open a session of logind's, as a getty does; return its unit."""
        unit = f"{name}-{time.monotonic_ns()}"
        words = f"systemd-run --quiet --unit={unit} --uid={name} -p PAMName=login {command}"
        self.run(words)
        self.server.wait_for(f"test -e /run/systemd/users/{PEOPLE[name]}")
        self.let_go(name)
        return unit

    def close(self, name: str, unit: str) -> None:
        self.let_go(name)
        self.run(f"systemctl stop {unit}")
        self.server.wait_for(f"! test -e /run/systemd/users/{PEOPLE[name]}")

    def gone(self, name: str) -> None:
        """Wait until nothing of a person is left."""
        self.server.wait_for(f"! mountpoint -q /home/{name} && ! pgrep -u {name}")

    def as_person(self, name: str, script: str, *, check: bool = True) -> str:
        uid = PEOPLE[name]
        words = f"setpriv --reuid {uid} --regid {uid} --clear-groups sh -c {shlex.quote(script)}"
        return self.run(words, check=check)


def set_up(server: Server, far: Far, conf: str = "") -> Near:
    """Run the features in a booted system as the boot initrd does before it."""
    ltsp = server.path("/opt/ltsp")
    shutil.copytree(REPOSITORY / "client", ltsp / "client")
    for each in (ltsp / "client").rglob("*.sh"):
        # As ltsp.img has them.
        each.chmod(0o755)
    features = (ltsp / "client/features").glob("*.sh")
    (ltsp / "client/known").write_text(for_clients({each.stem: each.read_text() for each in features}))
    (ltsp / "login").mkdir()
    (ltsp / "login/known_hosts").write_text(f"ltsp-login {far.key}")
    (ltsp / "login/port").write_text(f"{PORT}\n")
    (ltsp / "client/pam").mkdir(exist_ok=True)
    module = ltsp / "client/pam/x86_64.so"
    subprocess.run(
        ["make", "-s", "-C", REPOSITORY, "pam", "ARCH=x86_64", f"SO={far.place}/pam.so"], check=True
    )
    shutil.copy(far.place / "pam.so", module)
    shutil.copy(shutil.which("busybox") or "", server.path("/opt/busybox"))
    answer = server.path("/opt/answer")
    answer.write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    answer.chmod(0o755)
    accounts = "".join(f"{name}:{uid}\n" for name, uid in PEOPLE.items())
    passwd = "".join(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n" for name, uid in PEOPLE.items())
    shadow = "".join(f"{name}:*:19000:0:99999:7:::\n" for name in PEOPLE)
    group = "".join(f"{name}:x:{uid}:\n" for name, uid in PEOPLE.items())
    for file, text in {"passwd": passwd, "shadow": shadow, "group": group}.items():
        server.run(f"cat >>/etc/{file}", stdin=text)
    known = "new= run=/run store=/run/initramfs/ltsp ltsp=/opt/ltsp busybox=/opt/busybox trial="
    script = (
        f"{known} server={ADDRESS} {conf}; mkdir -p $store/login; . /opt/ltsp/client/boot/text.sh;"
        ' . /opt/ltsp/client/boot/features.sh; say() { echo "$*"; }; make_places; bring_scripts;'
        " . /opt/ltsp/client/known;"
        " feature=/opt/ltsp/client/features/42-login.sh; . $feature"
    )
    said = server.run(f"/opt/busybox sh -ec {shlex.quote(script)}")
    assert said == ""
    server.path("/run/initramfs/ltsp/login/accounts").write_text(accounts)
    server.write("/etc/pam.d/pausing", PAUSING)
    server.write("/etc/pam.d/job", "@include common-session-noninteractive\n")
    for file, script in {"/opt/pause": PAUSE, "/opt/look": LOOK}.items():
        server.write(file, script)
        server.path(file).chmod(0o755)
    # By itself logind waits for ten seconds.
    server.run("printf '[Login]\nUserStopDelaySec=3\n' >/run/systemd/logind.conf.d/quick.conf")
    server.run("systemctl daemon-reload; systemctl restart systemd-logind")
    return Near(server)


@pytest.fixture(scope="module", params=["client", "trixie"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Near, Far]]:
    with open_session() as session, pytest.MonkeyPatch.context() as patch:
        # As clients have it.
        patch.setenv("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        lan = make_lan(session)
        far = make_far(session, lan)
        far.start()
        client = start_server(session, lan, tree=request.param, install=False, name="client")
        yield set_up(client, far), far
    assert leftovers(session.name) == []


def test_a_session_has_its_home_and_leaves_nothing(both: tuple[Near, Far]) -> None:
    near, far = both
    assert near.log_in("anna") == ""
    session = near.open("anna", "sh -c 'cd; echo kept >file; (setsid sleep 7777 &); exec sleep infinity'")
    near.server.wait_for("test -s /home/anna/file")
    assert (far.home / "anna/file").read_text() == "kept\n"
    assert "Permission denied" in near.as_person("bert", "ls /home/anna", check=False)
    # A second login finds the home there, and its end does not take it away.
    assert near.log_in("anna") == ""
    near.run(f"{LOGIN}/home down anna")
    assert near.as_person("anna", "cat /home/anna/file") == "kept\n"
    near.close("anna", session)
    near.gone("anna")
    assert near.run("mountpoint /home/anna; pgrep -u anna; ls -A /home/anna", check=False).splitlines() == [
        "/home/anna is not a mountpoint"
    ]
    assert "cannot create" in near.as_person("anna", "echo beside >/home/anna/file", check=False)
    assert near.run(f"ls {LOGIN}/homes {LOGIN}/users/1501").split() == [
        f"{LOGIN}/homes:",
        f"{LOGIN}/users/1501:",
    ]


def test_a_home_that_is_not_there_is_one_sentence(both: tuple[Near, Far]) -> None:
    near, _ = both
    tell = "Please tell your administrator."
    assert near.log_in("nohome", check=False) == (
        f"Your home folder /home/nohome does not exist on the server. {tell}\n"
    )
    assert near.log_in("closed", check=False) == (
        f"The server does not let you into your home folder /home/closed. {tell}\n"
    )
    assert "sshfs" not in near.run("grep -v rootfs /proc/mounts")
    near.run("pkill -u nohome; pkill -u closed; mv /usr/bin/sshfs /usr/bin/away", check=False)
    assert near.log_in("bert", check=False) == (
        f"Your home can't be opened, because sshfs is not installed on this machine. {tell}\n"
    )
    near.run("mv /usr/bin/away /usr/bin/sshfs")
    assert near.log_in("bert") == ""
    near.leave("bert")


def test_a_lost_connection_is_told_and_made_again_by_the_next_password(both: tuple[Near, Far]) -> None:
    near, far = both
    assert near.log_in("anna") == ""
    session = near.open("anna")
    near.as_person("anna", "echo before >/home/anna/file")
    far.stop()
    near.server.wait_for(f"test -e {LOGIN}/users/1501/lost")
    assert "Input/output error" in near.as_person("anna", "echo lost >/home/anna/file", check=False)
    assert "Input/output error" in near.run("ls /home/anna", check=False)
    far.start()
    # By a screen locker, which has no rights.
    near.as_person("anna", f"{ANSWER}; {LOGIN}/home judge anna")
    assert near.as_person("anna", "cat /home/anna/file; echo after >/home/anna/file") == "before\n"
    assert (far.home / "anna/file").read_text() == "after\n"
    near.run(f"! test -e {LOGIN}/users/1501/lost")
    # Nor does a getty or a greeter need more than that.
    far.stop()
    near.server.wait_for(f"test -e {LOGIN}/users/1501/lost")
    far.start()
    assert near.log_in("anna") == ""
    assert near.as_person("anna", "cat /home/anna/file") == "after\n"
    near.close("anna", session)
    near.gone("anna")


def test_two_logins_at_the_same_moment_share_a_connection(both: tuple[Near, Far]) -> None:
    near, _ = both
    near.hold("anna")
    # The second one has its own by the time that the first one has opened the home.
    one = f"{LOGIN}/home enter anna; touch /tmp/in.$1; until test -e /tmp/out.$1; do sleep 0.1; done"
    script = f"{ANSWER}; {one}; {near.up('anna')}"
    near.run(
        f"rm -f /tmp/in.* /tmp/out.*; (sh -c {shlex.quote(script)} sh 1; touch /tmp/done) >/tmp/one 2>&1 &"
    )
    near.server.wait_for("test -e /tmp/in.1")
    near.run(f"(sh -c {shlex.quote(script)} sh 2; echo $? >/tmp/end) >/tmp/two 2>&1 &")
    near.server.wait_for("test -e /tmp/in.2")
    assert len(near.connections("anna")) == 2
    for number, file in ((1, "done"), (2, "end")):
        near.run(f"touch /tmp/out.{number}")
        near.server.wait_for(f"test -e /tmp/{file}")
    assert near.run("cat /tmp/end /tmp/one /tmp/two") == "0\n"
    near.server.wait_for(lambda: len(near.connections("anna")) == 1)
    near.as_person("anna", "ls /home/anna")
    near.run("rm /tmp/done /tmp/end")
    near.leave("anna")
    assert near.connections("anna") == []


def test_nobody_outlives_the_home_by_the_name_of_its_connection(both: tuple[Near, Far]) -> None:
    near, _ = both
    assert near.log_in("anna") == ""
    near.run(
        "systemd-run --quiet --uid=anna bash -c"
        f""" "trap '' TERM; exec -a 'ssh -S {LOGIN}/users/1501/again -M -f -N' sleep 7777" """
    )
    near.server.wait_for(lambda: len(near.connections("anna")) == 2)
    near.leave("anna")


def test_a_cut_is_waited_out(both: tuple[Near, Far]) -> None:
    near, far = both
    lan = far.lan
    assert near.log_in("anna") == ""
    session = near.open(
        "anna", "sh -c 'cd; for n in $(seq 400); do echo $n >>log || echo $n >>/tmp/failed; sleep 0.1; done'"
    )
    near.server.wait_for("test -s /home/anna/log")
    ip(lan.switch, "link set port-srv down")
    time.sleep(CUT)
    ip(lan.switch, "link set port-srv up")
    near.server.wait_for("tail -n 1 /home/anna/log | grep -qx 400")
    assert (far.home / "anna/log").read_text().split() == [str(n) for n in range(1, 401)]
    assert near.run("ls /tmp/failed", check=False).startswith("ls: ")
    near.gone("anna")
    near.run(f"systemctl stop {session}", check=False)


def test_an_sshfs_that_is_killed_is_started_again(both: tuple[Near, Far]) -> None:
    near, _ = both
    assert near.log_in("anna") == ""
    session = near.open("anna")
    near.as_person("anna", "echo one >/home/anna/file")
    near.run("pkill -KILL -x sshfs")
    near.server.wait_for("test -s /home/anna/file")
    assert near.as_person("anna", "cat /home/anna/file") == "one\n"
    near.close("anna", session)
    near.gone("anna")


def test_what_a_crash_left_is_cleaned_by_the_next_login(both: tuple[Near, Far]) -> None:
    near, _ = both
    assert near.log_in("anna") == ""
    # Everything that carries the home goes at once, and systemd can't start it again.
    near.let_go("anna")
    near.run("systemctl kill --signal=KILL ltsp-home@1501; systemctl stop ltsp-home@1501")
    near.run("mount -t tmpfs stale /home/anna")
    assert near.log_in("anna") == ""
    assert near.run("grep -c ' /home/anna ' /proc/mounts") == "1\n"
    assert near.as_person("anna", "cat /home/anna/file") == "one\n"
    near.leave("anna")


def test_an_account_that_no_list_had_comes_when_it_logs_in(both: tuple[Near, Far]) -> None:
    near, far = both
    home = far.home / "ldap"
    home.mkdir(0o700, exist_ok=True)
    shutil.chown(home, 70001, 70001)
    groups = "ltspd-groups: ldap:70001 audio:29 sudo:5555 teach:70002"

    def told(name: str, uid: int) -> str:
        return f"ltspd-passwd: {name}:x:{uid}:70001:Of the directory:/home/ldap:/bin/sh\n{groups}\n"

    refused = near.server.run(f"{LOGIN}/home up ldap", stdin=told("ldap", 33), check=False)
    assert (
        refused == "Your account ldap can not be used on this machine: its number 33 is one of the system.\n"
    )
    refused = near.server.run(f"{LOGIN}/home up ldap", stdin=told("ldap", 1502), check=False)
    assert (
        refused
        == "Your account ldap can not be used on this machine: its number 1502 is that of bert here.\n"
    )
    # Its own group has the image's name and another number, which is that of a group of the image.
    own = told("ldap", 70001).replace(":70001:Of", ":29:Of").replace("audio:29", "sudo:29")
    refused = near.server.run(f"{LOGIN}/home up ldap", stdin=own, check=False)
    assert refused.endswith(": the number 29 of its own group is that of audio here.\n")
    # There is no connection of that account, so its home can't come; the account has.
    near.server.run(f"{LOGIN}/home up ldap", stdin=told("ldap", 70001), check=False)
    assert near.run("id ldap") == (
        "uid=70001(ldap) gid=70001(ldap) groups=70001(ldap),29(audio),70002(teach)\n"
    )
    assert near.run(f"grep ldap {LOGIN}/accounts /etc/shadow -h") == "ldap:70001\nldap:*:19000:0:99999:7:::\n"
    assert near.run("stat -c %a /etc/shadow /etc/passwd").split() == ["640", "644"]


def test_autologin_opens_the_home_by_the_clients_key_for_each_session(both: tuple[Near, Far]) -> None:
    near, far = both
    near.run(f"mkdir -p {LOGIN}/auto/etc; echo on >{LOGIN}/auto/etc/settings-of-a-greeter")
    near.run(f"ssh-keygen -q -t ed25519 -N '' -f {LOGIN}/key")
    refused = near.run(f"{LOGIN}/home auto bert", check=False)
    assert refused.startswith(
        "<4>AUTOLOGIN of bert is left out until the next boot. Your home could not be opened: "
    )
    assert near.run("ls /etc/settings-of-a-greeter; mountpoint /home/bert", check=False).splitlines() == [
        "ls: cannot access '/etc/settings-of-a-greeter': No such file or directory",
        "/home/bert is not a mountpoint",
    ]
    Path(f"/proc/{far.pid}/root", "etc/ssh/keys/bert").write_text(near.run(f"cat {LOGIN}/key.pub"))
    assert near.run(f"{LOGIN}/home auto bert") == ""
    assert near.run("cat /etc/settings-of-a-greeter") == "on\n"
    for number in range(2):
        session = near.open("bert", f"sh -c 'cd; echo {number} >number; exec sleep infinity'")
        near.server.wait_for(f"grep -qx {number} /home/bert/number")
        assert (far.home / "bert/number").read_text() == f"{number}\n"
        assert (far.home / "bert/number").stat().st_uid == PEOPLE["bert"]
        assert "Permission denied" in near.as_person("bert", f"cat {LOGIN}/key", check=False)
        near.close("bert", session)
        near.gone("bert")


def test_a_session_that_ends_leaves_the_home_to_a_login_under_way(both: tuple[Near, Far]) -> None:
    near, far = both
    (far.home / "anna/mine").write_text("anna's\n")
    near.enter("anna")
    near.type("anna")
    # As cron does for a job.
    near.run("pamtester job anna open_session close_session")
    assert near.go_on("anna") == "anna's\n"
    near.gone("anna")
    assert near.connections("anna") == []


def test_systemd_that_ends_a_user_leaves_the_home_to_a_login_under_way(both: tuple[Near, Far]) -> None:
    near, far = both
    sessions = []
    for name in ("anna", "bert"):
        (far.home / name / "mine").write_text(f"{name}'s\n")
        assert near.log_in(name) == ""
        sessions.append(near.open(name))
    # Somebody logs out and in again at once, before systemd puts the last session away. One of them has typed
    # the password by then, the other one not.
    near.run(f"systemctl stop {' '.join(sessions)}")
    for name in ("anna", "bert"):
        near.enter(name)
    near.type("anna")
    near.server.wait_for("! test -e /run/systemd/users/1501 && ! test -e /run/systemd/users/1502")
    near.type("bert")
    for name in ("anna", "bert"):
        assert near.go_on(name) == f"{name}'s\n"
    for name in ("anna", "bert"):
        near.gone(name)
        assert near.connections(name) == []


def test_a_login_that_is_given_up_leaves_nothing(both: tuple[Near, Far]) -> None:
    near, _ = both
    # The program is killed, with a user that systemd puts away just then, or it ends by itself.
    assert near.log_in("anna") == ""
    session = near.open("anna")
    near.run(f"systemctl stop {session}")
    near.enter("anna")
    near.type("anna")
    near.enter("bert", "")
    near.run(f"echo {PASSWORD} >/tmp/bert.password")
    near.server.wait_for("mountpoint -q /home/bert && ! systemctl is-active --quiet login-bert")
    near.server.wait_for("! test -e /run/systemd/users/1501")
    near.run("systemctl kill --signal=KILL login-anna")
    for name in ("anna", "bert"):
        near.gone(name)
        assert near.connections(name) == []
    near.server.wait_for(f'[ -z "$(ls {LOGIN}/homes)" ]')


def test_what_a_login_needs_is_read_ahead(both: tuple[Near, Far]) -> None:
    near, _ = both
    ahead = "busybox=/opt/busybox /opt/busybox sh /opt/ltsp/client/live/ahead.sh"
    names = near.run(f"{ahead} list")
    for word in (
        "/systemd/systemd\n",
        "/sshfs\n",
        "/libfuse3.so",
        "/libsystemd-shared-",
        "/pam_systemd.so\n",
    ):
        assert word in names
    near.run("while read -r name; do test -f $name || exit; done", stdin=names)
    # Beside other tests the machine is never at rest.
    assert near.run(f"{ahead} now") == ""
