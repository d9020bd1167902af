"""What LTSP leaves on servers: recognized, moved aside, and put back byte for byte."""

from pathlib import Path
from typing import cast

import pytest

from ltspd.dbus.systemd import Systemd, UnitStatus
from ltspd.errors import ToolFailed
from ltspd.initrd.addon import make_settings_initrd
from ltspd.migration import leftovers, takeover
from ltspd.model.facts import Leftover
from ltspd.paths import Paths

DNSMASQ = "/etc/dnsmasq.d/ltsp-dnsmasq.conf"
EXPORTS = "/etc/exports.d/ltsp-nfs.exports"
NBD = "/etc/nbd-server/conf.d/ltsp_amd64.conf"
MENU = "/srv/tftp/ltsp/ltsp.ipxe"
ADD_ON = "/srv/tftp/ltsp/ltsp.img"


def write(paths: Paths, name: str, data: bytes | str = "of LTSP\n") -> Path:
    place = paths.at(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data.encode() if isinstance(data, str) else data)
    return place


def found(paths: Paths) -> dict[str, Leftover]:
    return {each.path: each for each in leftovers.look(paths)}


def everything(paths: Paths) -> dict[str, tuple[bytes, int]]:
    files = (each for each in paths.root.rglob("*") if each.is_file())
    return {str(each.relative_to(paths.root)): (each.read_bytes(), each.stat().st_mode) for each in files}


@pytest.fixture
def ltsp(paths: Paths) -> Paths:
    """Make a server as LTSP leaves it, with the services that read its files."""
    for name in (DNSMASQ, EXPORTS, NBD, "/lib/systemd/system/dnsmasq.service", "/usr/sbin/exportfs"):
        write(paths, name)
    write(paths, MENU, "#!ipxe\n# This file is part of LTSP\n")
    write(paths, ADD_ON, b"0707010000.\0ltsp/common\0")
    return paths


def test_a_server_without_ltsp_has_nothing_of_it(paths: Paths) -> None:
    assert leftovers.look(paths) == ()
    write(paths, "/etc/dnsmasq.d/README")
    write(paths, "/lib/systemd/system/dnsmasq.service")
    write(paths, "/etc/ltsp/ltsp.conf")
    write(paths, "/etc/ltsp/image.excludes")
    write(paths, "/srv/ltsp/images/a/current/vmlinuz")
    assert leftovers.look(paths) == ()
    assert leftovers.aside(paths) == ()


def test_what_is_in_the_way_is_a_problem_with_a_next_step(ltsp: Paths) -> None:
    said = [str(each) for each in leftovers.problems(leftovers.look(ltsp))]
    assert [each.partition(": ")[0] for each in said] == sorted([DNSMASQ, EXPORTS, NBD, MENU, ADD_ON])
    assert all(each.endswith("; run 'ltspctl setup', which moves it aside.") for each in said)


def test_what_nothing_reads_harms_nobody(paths: Paths) -> None:
    for name in (DNSMASQ, EXPORTS):
        write(paths, name)
    assert [(each.harms, each.moves) for each in leftovers.look(paths)] == [(False, False)] * 2
    assert leftovers.problems(leftovers.look(paths)) == ()


def test_our_own_boot_files_are_not_ltsps(paths: Paths) -> None:
    write(paths, MENU, "#!ipxe\n# Written by ltspd; changes here are reported, not kept.\n")
    write(paths, ADD_ON, make_settings_initrd(b"A=1\n", b"", b"", {"boot/main.sh": b"#"}))
    assert leftovers.look(paths) == ()


def test_ltsps_images_are_left_and_say_what_to_do_with_them(paths: Paths) -> None:
    for name in ("mine", "lost", "disk", "x86_64"):
        write(paths, f"/srv/ltsp/images/{name}.img")
    write(paths, "/srv/ltsp/mine/etc/os-release")
    write(paths, "/srv/ltsp/disk.img")
    write(paths, "/srv/tftp/ltsp/mine/vmlinuz")
    left = found(paths)
    assert not any(each.harms or each.moves for each in left.values())
    for name in ("mine", "disk"):
        assert f"'ltspctl image build {name}'" in left[f"/srv/ltsp/images/{name}.img"].step
    move = "'mv /srv/ltsp/images/lost.img /srv/ltsp/lost.img'"
    assert move in left["/srv/ltsp/images/lost.img"].step
    assert "/srv/tftp/ltsp/mine" in left


def test_what_ltsp5_leaves(paths: Paths) -> None:
    for name in (
        "/opt/ltsp/i386/etc/os-release",
        "/opt/ltsp/images/i386.img",
        "/var/lib/tftpboot/ltsp/i386/lts.conf",
        "/etc/ltsp/update-kernels.conf",
        "/etc/ltsp/dhcpd.conf",
    ):
        write(paths, name)
    left = found(paths)
    assert "'mv /opt/ltsp/i386 /srv/ltsp/'" in left["/opt/ltsp/i386"].step
    assert "KERNEL_PARAMETERS=" in left["/etc/ltsp/update-kernels.conf"].step
    assert "/etc/ltsp/ltsp.conf" in left["/var/lib/tftpboot/ltsp/i386/lts.conf"].step
    assert not any(each.harms for each in left.values())
    for service in ("tftpd-hpa", "isc-dhcp-server"):
        write(paths, f"/etc/init.d/{service}")
    harm = {each.path: each.step for each in leftovers.look(paths) if each.harms}
    assert harm["/var/lib/tftpboot/ltsp"] == "run 'systemctl disable --now tftpd-hpa'"
    assert "next-server" in harm["/etc/ltsp/dhcpd.conf"]
    assert not any(each.moves for each in leftovers.look(paths))


# The lines that LTSP writes, as dnsmasq(8) has them, with what each is for left out.
LTSPS_LINES = """# Of LTSP
port=0
enable-tftp
tftp-root=/srv/tftp
dhcp-range=192.168.67.20,192.168.67.250,12h
dhcp-range=set:proxy,10.0.3.0,proxy,255.255.255.0
dhcp-option=option:dns-server,0.0.0.0,8.8.8.8
dhcp-match=set:bios,option:client-arch,0
dhcp-mac=set:rpi,b8:27:eb:*:*:*
tag-if=set:ipxe,tag:ipxe-http
pxe-service=tag:proxy,X86PC,"x",ltsp/undionly.kpxe
dhcp-boot=tag:bios,ltsp/undionly.kpxe
"""
OWN_LINES = (
    "dhcp-host=52:54:00:12:34:56,printer,192.168.67.5",
    "server=/school.example/10.0.3.1",
    "dhcp-option=option:ntp-server,10.0.3.1",
    "dhcp-range=10.0.5.50,10.0.5.200,8h",
    "conf-dir=/etc/more",
)


@pytest.mark.parametrize("unit", ["/lib/systemd/system/dnsmasq.service", "/etc/nothing"])
def test_own_lines_of_a_file_that_moves_are_named_before(paths: Paths, unit: str) -> None:
    write(paths, unit)
    write(paths, DNSMASQ, LTSPS_LINES)
    assert "LTSP did not write" not in found(paths)[DNSMASQ].effect
    write(paths, DNSMASQ, LTSPS_LINES + "".join(f"{each}\n" for each in OWN_LINES) + "#no-hosts\n")
    effect = found(paths)[DNSMASQ].effect
    assert all(f"'{each}'" in effect for each in OWN_LINES)
    assert "file of your own" in effect
    assert "no-hosts" not in effect
    assert not [each for each in LTSPS_LINES.splitlines() if f"'{each}'" in effect]
    write(paths, DNSMASQ, "".join(f"dhcp-host={number}{'x' * 500}\n" for number in range(99)))
    assert ", 91 more line(s)" in found(paths)[DNSMASQ].effect
    assert len(found(paths)[DNSMASQ].effect) < 1500
    # Everybody may read what is told.
    write(paths, DNSMASQ, "dhcp-option=option:43,secret\n").chmod(0o600)
    effect = found(paths)[DNSMASQ].effect
    assert "secret" not in effect
    assert "LTSP did not write 1 line(s)" in effect


def test_fogs_file_is_in_the_way_and_not_ltsps_to_move(paths: Paths) -> None:
    name = "/etc/dnsmasq.d/ltsp.conf"
    write(paths, name, "port=0\ndhcp-range=10.0.3.0,proxy\ndhcp-boot=undionly.kpxe,,10.0.3.9\n")
    assert not found(paths)[name].harms
    write(paths, "/lib/systemd/system/dnsmasq.service")
    (problem,) = leftovers.problems(leftovers.look(paths))
    assert problem.subject == name
    assert "FOG" in problem.message
    assert "systemctl restart dnsmasq" in problem.message
    assert takeover.move_aside(paths, leftovers.look(paths)) == ()


@pytest.mark.parametrize(
    ("server", "name", "line"),
    [
        ("isc-dhcp-server", "/etc/dhcp/dhcpd.conf", '  filename "/fog/undionly.kpxe";'),
        ("isc-dhcp-server", "/etc/dhcp/dhcpd.conf", 'include "/etc/ltsp/dhcpd.conf";'),
        ("isc-dhcp-server", "/etc/dhcp/dhcpd.conf", 'option root-path "/opt/ltsp/i386";'),
        ("kea-dhcp4-server", "/etc/kea/kea-dhcp4.conf", '"boot-file-name": "undionly.kpxe",'),
        ("dnsmasq", "/etc/dnsmasq.conf", "dhcp-boot=pxelinux.0"),
        ("dnsmasq", "/etc/dnsmasq.d/own", "pxe-service=x86PC,boot,undionly"),
    ],
)
def test_other_servers_boot_files_are_named_and_stay(paths: Paths, server: str, name: str, line: str) -> None:
    write(paths, name, f"# a comment\n{line}\n")
    assert leftovers.look(paths) == (), "without the server it is without effect"
    write(paths, f"/lib/systemd/system/{server}.service")
    (told,) = leftovers.look(paths)
    assert (told.path, told.harms, told.moves) == (name, False, False)
    assert line.strip() in told.effect
    assert f"systemctl restart {server}" in told.step
    assert leftovers.problems(leftovers.look(paths)) == ()
    for harmless in ("", f"#{line}", 'filename "ltsp/undionly.kpxe";', "dhcp-boot=tag:x,ltsp/snponly.efi"):
        write(paths, name, f"{harmless}\n")
        assert leftovers.look(paths) == (), harmless


def test_taking_over_leaves_nothing_in_the_way_and_undoing_it_everything_as_it_was(ltsp: Paths) -> None:
    before = everything(ltsp)
    moved = takeover.move_aside(ltsp, leftovers.look(ltsp))
    assert sorted(moved) == sorted([DNSMASQ, EXPORTS, NBD, MENU, ADD_ON])
    assert leftovers.look(ltsp) == ()
    assert leftovers.aside(ltsp) == tuple(sorted(moved))
    # The directories' readers take no such names; see ltspd.migration.leftovers.
    assert all(each.name.endswith("~") for each in ltsp.at("/etc/dnsmasq.d").iterdir())
    assert list(ltsp.at("/etc/exports.d").glob("*.exports")) == []
    assert list(ltsp.at("/etc/nbd-server/conf.d").glob("*.conf")) == []
    # What TFTP would hand out may hold LTSP's secrets.
    assert [each.stat().st_mode & 0o77 for each in ltsp.tftp_dir.iterdir()] == [0, 0]
    assert sorted(takeover.put_back(ltsp)) == sorted(moved)
    assert everything(ltsp) == before
    assert takeover.put_back(ltsp) == ()


def test_undoing_replaces_our_boot_files_but_no_new_file_of_ltsp(ltsp: Paths) -> None:
    takeover.move_aside(ltsp, leftovers.look(ltsp))
    menu = write(ltsp, MENU, "#!ipxe\n# Written by ltspd; changes here are reported, not kept.\n")
    newer = write(ltsp, DNSMASQ, "newer\n")
    assert DNSMASQ not in takeover.put_back(ltsp)
    assert leftovers.aside(ltsp) == (DNSMASQ,)
    assert newer.read_text() == "newer\n"
    assert "This file is part of LTSP" in menu.read_text()


def test_what_was_kept_is_not_overwritten_by_a_second_time(ltsp: Paths) -> None:
    takeover.move_aside(ltsp, leftovers.look(ltsp))
    write(ltsp, DNSMASQ, "newer\n")
    takeover.move_aside(ltsp, leftovers.look(ltsp))
    kept = sorted(each.read_text() for each in ltsp.at("/etc/dnsmasq.d").iterdir())
    assert kept == ["newer\n", "of LTSP\n"]


def test_nothing_moves_if_something_cannot(ltsp: Paths) -> None:
    before = everything(ltsp)
    # Gone between the look and the move; the last of all, so that others have moved by then.
    gone = Leftover("/srv/tftp/ltsp/gone", "was there", "look again", True, True)
    with pytest.raises(ToolFailed, match=r"gone can't be moved aside .* so nothing was"):
        takeover.move_aside(ltsp, (*leftovers.look(ltsp), gone))
    assert everything(ltsp) == before


class Units:
    """Stands in for systemd: what each unit's state is, and what it was told."""

    def __init__(self, **active: str) -> None:
        self.active = active
        self.acts: list[tuple[str, str]] = []

    async def status(self, unit: str) -> UnitStatus:
        return UnitStatus(unit, self.active.get(unit.partition("-")[0].partition(".")[0], "inactive"), "", "")

    async def act(self, method: str, unit: str) -> str:
        self.acts.append((method, unit))
        return "done"


@pytest.mark.parametrize(
    ("state", "back", "told"),
    [
        ("active", False, True),
        # It failed because ltspd had its ports, which it needs no more.
        ("failed", False, True),
        ("inactive", False, False),
        # Its ports are ltspd's: started again it would end.
        ("active", True, False),
    ],
)
async def test_who_reads_the_files_takes_note(state: str, back: bool, told: bool) -> None:
    units = Units(dnsmasq=state, nfs="active")
    await takeover.tell_readers((DNSMASQ, EXPORTS, MENU), cast(Systemd, units), back=back)
    restarted = [("RestartUnit", "dnsmasq.service")] if told else []
    assert units.acts == [*restarted, ("ReloadUnit", "nfs-server.service")]
