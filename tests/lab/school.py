"""A server with people, and clients of it with a screen and a greeter."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab import product
from tests.lab.client import power_on
from tests.lab.desk import SCRIPT, Desk
from tests.lab.net import make_lan
from tests.lab.people import make_directory, make_people
from tests.lab.server import Server, start_server
from tests.lab.session import leftovers, open_session

# openbox and sway alone show nothing.
_OPENBOX = f"xterm -geometry 80x24+40+40 -e script -qf {SCRIPT} &\nlxpolkit &\n"
_SWAY = f"exec foot --fullscreen script -qf {SCRIPT}\n"
_GREETD = """\
[terminal]
vt = 7
[default_session]
user = "_greetd"
command = "/usr/sbin/agreety --cmd sway"
"""
# Programs of Wayland draw by the processor: sway, and KDE's.
_BY_PROCESSOR = "WLR_RENDERER=pixman\nWLR_NO_HARDWARE_CURSORS=1\nKWIN_COMPOSE=Q\nQT_QUICK_BACKEND=software\n"
_FILES = {
    "etc/xdg/openbox/autostart": _OPENBOX,
    "etc/sway/config": _SWAY,
    "etc/greetd/config.toml": _GREETD,
    # Words on a plain ground can be read.
    "usr/share/sddm/themes/maldives/theme.conf.user": "[General]\nbackground=rectangle.png\n",
    # Nobody is listed, and a name is asked for.
    "etc/gdm3/greeter.dconf-defaults": "[org/gnome/login-screen]\ndisable-user-list=true\n",
    "etc/environment": _BY_PROCESSOR,
    "etc/plasmalogin.conf.d/lab.conf": "[Autologin]\nSession=sway\n",
}
# Display managers of greeters that are not called as they are.
_MANAGERS = {"slick": "lightdm"}
# What QEMU's usual machine lacks for them: Wayland's sway takes no other card, and where GNOME and KDE draw
# by the processor, a second one does the rest.
_CARD = ("-vga", "virtio")
_MACHINES = {"lightdm": (), "slick": (), "gdm3": (*_CARD, "-smp", "2"), "plasmalogin": (*_CARD, "-smp", "2")}


@dataclass(frozen=True, slots=True)
class School:
    """A server, and images with these greeters for its clients with screens."""

    server: Server
    built: set[str] = field(default_factory=set)

    def image(self, greeter: str) -> str:
        """Return the name of the image with this greeter, which is built when it is first asked for."""
        if greeter not in self.built:
            root, manager = f"/srv/ltsp/{greeter}", _MANAGERS.get(greeter, greeter)
            for name, text in _FILES.items():
                self.server.write(f"{root}/{name}", text)
            unit = f"/lib/systemd/system/{manager}.service"
            self.server.run(
                f"ln -sfn {unit} {root}/etc/systemd/system/display-manager.service;"
                f"mkdir -p {root}/etc/X11; echo /usr/sbin/{manager} >{root}/etc/X11/default-display-manager"
            )
            product.build(self.server, greeter)
            self.built.add(greeter)
        return greeter

    def switch_on(self, name: str, mac: str, greeter: str = "lightdm", **settings: str) -> Desk:
        """Switch a client on, and wait until people can log in on its console; its greeter comes later."""
        conf = {"DEFAULT_IMAGE": self.image(greeter), "HOSTNAME": name, **settings}
        product.configure(self.server, {mac: conf})
        client = power_on(
            *(self.server.session, self.server.lan),
            mac=mac,
            name=f"{name}-{greeter}",
            memory=2048,
            screen=True,
            extra=_MACHINES.get(greeter, _CARD),
        )
        client.login_prompt()
        return Desk(self.server, client)


@contextmanager
def open_school(tree: str, sources: Mapping[str, str]) -> Iterator[School]:
    """Boot a server of this root tree with people; ``sources`` maps greeters to the root trees of images."""
    with open_session() as session:
        server = start_server(session, make_lan(session), tree=tree, sources=dict(sources))
        product.wait_until_up(server)
        product.configure(server, {})
        make_people(server)
        make_directory(server)
        yield School(server)
    assert leftovers(session.name) == []


def enter_again(
    school: School, greeter: str, effect: str, *, between: frozenset[str] = frozenset(), **settings: str
) -> None:
    """Be logged in at the boot and after each logout; the command ``effect`` sees what the settings do.

    ``between`` are accounts of a greeter that is on the screen between a logout and the next login.
    """
    server = school.server
    began = server.run("date '+%F %T'").strip()
    desk = school.switch_on("auto", "52:54:00:67:f8:02", greeter, AUTOLOGIN="otto", **settings)
    # At the boot, and again after each logout.
    for _ in range(2):
        window = desk.enter("otto")
        assert "otto" in window.do("id -un").split()
        window.do("echo more >>visits")
        desk.forget("otto")
        desk.end()
    desk.enter("otto")
    assert server.run("cat /home/otto/visits").split() == ["more"] * 2
    assert server.run("stat -c %U /home/otto/visits").strip() == "otto"
    desk.client.shell(effect)
    # No other greeter has come in between.
    sessions = desk.client.shell("journalctl -q -t systemd-logind | grep -o 'of user [^. ]*' | sort -u")
    assert {line.split()[-1].strip("'") for line in sessions.splitlines()} - {"root", *between} == {"otto"}
    desk.client.off()
    # The key of the client has opened the home, and it is no password.
    ways = server.run(
        f"journalctl -q --since '{began}' -u ltspd-login | grep -oE 'Accepted [a-z/-]+ for otto' | sort -u"
    )
    assert ways.splitlines() == ["Accepted publickey for otto"]
    server.run("rm /home/otto/visits")
    desk.forget("otto")
