"""Observing: who holds a port, links in a network of the test's own, files that are replaced, the host."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ltspd.disk import use
from ltspd.model.account import Account, Group
from ltspd.model.facts import HomeDirectory, Program
from ltspd.observe import facts, files, host, people
from ltspd.observe.ports import PortHolder, holders
from ltspd.paths import Paths
from tests.patience import PATIENCE

# ---- ports -----------------------------------------------------------------------------------------


@pytest.fixture
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, kind, address = request.param
    with socket.socket(family, kind) as sock:
        sock.bind((address, 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        yield sock


@pytest.mark.parametrize(
    ("sock", "protocol", "address"),
    [
        ((socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"), "tcp", "127.0.0.1"),
        ((socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"), "udp", "127.0.0.1"),
        ((socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"), "tcp", "0.0.0.0"),
        ((socket.AF_INET6, socket.SOCK_STREAM, "::1"), "tcp", "::"),
    ],
    indirect=["sock"],
)
def test_whoever_listens_is_found(sock: socket.socket, protocol: str, address: str) -> None:
    port = sock.getsockname()[1]
    (holder,) = holders(Paths(), [(protocol, port)])
    assert (holder.protocol, holder.address, holder.port) == (protocol, address, port)
    assert (holder.pid, holder.process) == (os.getpid(), Path("/proc/self/comm").read_text().strip())


def test_a_free_port_and_a_mere_connection_have_no_holder() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
    ):
        assert holders(Paths(), [("tcp", one.getsockname()[1])]) == ()
        assert holders(Paths(), [("udp", server.getsockname()[1])]) == ()
    assert holders(Paths(), []) == ()


def test_a_holder_of_systemds_is_named_with_its_unit(tmp_path: Path) -> None:
    net, process = tmp_path / "proc/net", tmp_path / "proc/77"
    net.mkdir(parents=True)
    (process / "fd").mkdir(parents=True)
    row = "   0: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4242 2 0 0"
    (net / "udp").write_text(f"header\n{row}\n")
    (process / "fd/9").symlink_to("socket:[4242]")
    (process / "fd/8").write_text("closed meanwhile: no link")
    (process / "comm").write_text("dnsmasq\n")
    (process / "cgroup").write_text("1:name=systemd:/x\n0::/system.slice/libvirtd.service\n")
    (tmp_path / "proc/78").mkdir()
    found = holders(Paths(root=tmp_path), [("udp", 67)])
    assert found == (PortHolder("udp", "0.0.0.0", 67, 77, "dnsmasq", "libvirtd.service", "4242"),)


# ---- files -----------------------------------------------------------------------------------------


class Woken:
    """Counts wake-ups of the loop that it is made in."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def by(self, change: Callable[[], object]) -> bool:
        """Return whether a change wakes."""
        self.event.clear()
        change()
        async with asyncio.timeout(PATIENCE):
            await self.event.wait()
        await asyncio.sleep(0.02)
        return True

    async def ever(self, change: Callable[[], object]) -> bool:
        """Return whether a change wakes that should not, which is only known after a while."""
        self.event.clear()
        change()
        await asyncio.sleep(0.15)
        return self.event.is_set()


def replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.tmp")
    new.write_text(text)
    new.rename(path)


async def test_files_that_are_replaced_written_made_or_removed_wake(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("1")
    woken = Woken()
    close = files.watch([(tmp_path, frozenset({"passwd"}))], woken.event.set)
    try:
        # Twice: a watch on the file itself would die with the first replacement.
        for text in "23":
            assert await woken.by(lambda text=text: replace(tmp_path / "passwd", text))  # type: ignore[misc]
        assert await woken.by(lambda: (tmp_path / "passwd").write_text("4"))
        assert await woken.by((tmp_path / "passwd").unlink)
        assert await woken.by((tmp_path / "passwd").touch)
        assert not await woken.ever(lambda: (tmp_path / "shadow").write_text("x"))
        assert not await woken.ever((tmp_path / "passwd").read_text)
    finally:
        close()
    assert not await woken.ever(lambda: (tmp_path / "passwd").write_text("5"))


async def test_any_file_of_a_directory_but_temporary_ones(tmp_path: Path) -> None:
    woken = Woken()
    close = files.watch([(tmp_path, None)], woken.event.set)
    try:
        assert await woken.by((tmp_path / "new").mkdir)
        assert await woken.by(lambda: (tmp_path / "new").rename(tmp_path / "other"))
        assert not await woken.ever(lambda: (tmp_path / ".x.new").write_text("a write that fails"))
        assert not await woken.ever((tmp_path / ".x.new").unlink)
        assert await woken.by(lambda: replace(tmp_path / "x", "a write that succeeds"))
    finally:
        close()


async def test_a_flood_of_changes_wakes_and_goes_on(tmp_path: Path) -> None:
    woken = Woken()
    close = files.watch([(tmp_path, frozenset({"wanted"}))], woken.event.set)
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

        def flood() -> None:
            for _ in range(limit // 2 + 10):
                (tmp_path / "a").touch()
                (tmp_path / "a").unlink()

        if limit <= 1 << 15:
            assert await woken.by(flood), "an overflow may have hidden the wanted file"
        assert await woken.by((tmp_path / "wanted").touch)
    finally:
        close()


@pytest.mark.parametrize("other", [None, frozenset({"b"})])
async def test_a_directory_watched_for_several_reasons_wakes_for_each(
    tmp_path: Path, other: frozenset[str] | None
) -> None:
    woken = Woken()
    close = files.watch([(tmp_path, other), (tmp_path, frozenset({"a"}))], woken.event.set)
    try:
        for name in ("a", "b"):
            assert await woken.by((tmp_path / name).touch), name
        if other is None:
            assert await woken.by((tmp_path / "c").touch)
        else:
            assert not await woken.ever((tmp_path / "c").touch)
    finally:
        close()


async def test_directories_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    woken = Woken()
    close = files.watch([(tmp_path / "none", None), (tmp_path, None)], woken.event.set)
    try:
        assert await woken.by((tmp_path / "x").touch)
    finally:
        close()


# ---- the host --------------------------------------------------------------------------------------


def write(paths: Paths, name: str, text: str) -> None:
    path = paths.at(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_people_of_the_server_and_no_password(paths: Paths) -> None:
    write(
        paths,
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nada:$6$secret:1000:1000:Ada,,,:/home/ada:/bin/bash\n"
        "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\nbroken:x:1001\n+nis::::::\n"
        "bob:x:59999:100::/home/bob:/bin/sh\nsystemd-x:x:60001:60001::/:/sbin/nologin\n",
    )
    write(paths, "/etc/group", "root:x:0:\nsudo:x:27:ada,root\naudio:x:29:\nada:!hash:1000:\nbad\n")
    accounts, groups, unsent = people.look(paths)
    assert accounts == (
        Account("ada", 1000, 1000, "Ada,,,", "/home/ada", "/bin/bash"),
        Account("bob", 59999, 100, "", "/home/bob", "/bin/sh"),
    )
    assert groups == (Group("sudo", 27, ("ada",)), Group("ada", 1000, ()))
    assert unsent == ()
    assert "secret" not in repr(accounts)
    assert "hash" not in repr(groups)


def test_names_are_carried_over_as_they_are(paths: Paths) -> None:
    names = ("20231234", "7b-mueller", "josé", "SCHOOL\\bob", "a.b", "Anna_M", "pc1$")
    lines = [f"{name}:x:{number}:100::/home/{number}:/bin/sh\n" for number, name in enumerate(names, 1000)]
    write(paths, "/etc/passwd", "".join(lines))
    write(paths, "/etc/group", f"users:x:100:\nSCHOOL\\teachers:x:2000:{','.join(names)}\n")
    accounts, groups, unsent = people.look(paths)
    assert tuple(each.name for each in accounts) == names
    assert groups == (Group("users", 100, ()), Group("SCHOOL\\teachers", 2000, names))
    assert unsent == ()


def test_who_is_left_out_is_told_with_the_reason(paths: Paths) -> None:
    bad = ("-n", "+x", "a b", "a,b", "a/b", "..", "", "x\x1b[2J", "~x")
    lines = [f"{name}:x:{number}:100::/home/x:/bin/sh\n" for number, name in enumerate(bad, 1000)]
    write(paths, "/etc/passwd", "".join(lines) + "eve:x:70000:100::/home/eve:/bin/sh\n")
    write(paths, "/etc/group", "the teachers:x:1500:\n")
    accounts, groups, unsent = people.look(paths)
    assert (accounts, groups) == ((), ())
    assert len(unsent) == len(bad) + 2
    assert all(repr(name) in "\n".join(unsent) for name in bad)
    assert "'eve' (its number 70000 is above UID_MAX of /etc/login.defs)" in unsent
    assert any(each.startswith("the group 'the teachers' (a name can't") for each in unsent)
    assert "\x1b" not in "".join(unsent)


def test_primary_groups_of_people_are_sent(paths: Paths) -> None:
    write(paths, "/etc/passwd", "ann:x:1001:685::/home/ann:/bin/sh\n")
    write(paths, "/etc/group", "teachers:x:685:\nother:x:686:\n")
    assert people.look(paths)[1] == (Group("teachers", 685, ()),)


@pytest.mark.parametrize(
    ("defs", "expected"),
    [
        ("", {1000, 59999}),
        ("UID_MIN 500\n", {500, 1000, 59999}),
        ("UID_MIN\t\t 500\nUID_MAX 2000\n", {500, 1000}),
        ("UID_MAX 4294967294\n", {1000, 59999, 70000}),
        ("#UID_MIN 500\nUID_MIN 0\nUID_MAX x y\n", {1000, 59999}),
        ("UID_MIN 5000\nUID_MAX 500\n", {1000, 59999}),
    ],
)
def test_whose_account_is_a_persons_is_said_by_login_defs(
    paths: Paths, defs: str, expected: set[int]
) -> None:
    numbers = (0, 33, 499, 500, 1000, 59999, 60000, 61184, 65534, 65535, 70000)
    lines = [f"u{number}:x:{number}:{number}::/home/x:/bin/sh\n" for number in numbers]
    write(paths, "/etc/passwd", "".join(lines))
    write(paths, "/etc/login.defs", defs)
    assert {each.uid for each in people.look(paths)[0]} == expected


def test_without_files_there_is_nobody(paths: Paths) -> None:
    assert people.look(paths) == ((), (), ())
    assert host.resolver(paths) == ((), "")
    assert host.boot_programs(paths) == {}
    assert not host.kernel_nfsd(paths)
    assert not host.in_container(paths)


def test_the_resolver(paths: Paths) -> None:
    write(
        paths,
        "/etc/resolv.conf",
        "# made by hand\nsearch lan.example other\nnameserver 10.0.3.1\nnameserver ::1\nnameserver x\n",
    )
    assert host.resolver(paths) == ((IPv4Address("10.0.3.1"),), "lan.example other")


def test_behind_a_local_stub_the_real_resolver_is_taken(paths: Paths) -> None:
    write(paths, "/etc/resolv.conf", "nameserver 127.0.0.53\nsearch stub.example\n")
    assert host.resolver(paths) == ((IPv4Address("127.0.0.53"),), "stub.example")
    write(paths, "/run/NetworkManager/no-stub-resolv.conf", "nameserver 10.0.9.1\n")
    assert host.resolver(paths)[0] == (IPv4Address("10.0.9.1"),)
    write(paths, "/run/systemd/resolve/resolv.conf", "nameserver 10.0.3.1\nsearch real.example\n")
    assert host.resolver(paths) == ((IPv4Address("10.0.3.1"),), "real.example")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("-----BEGIN CERTIFICATE-----\nserver\n-----END CERTIFICATE-----\n", True),
        ("-----BEGIN CERTIFICATE-----\n" + "x" * 70_000, False),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", False),
        ("", False),
    ],
)
def test_the_certificate_of_epoptes_is_told_if_it_is_nothing_else(
    paths: Paths, text: str, whole: bool
) -> None:
    assert host.epoptes(paths) == b""
    write(paths, "/etc/epoptes/server.crt", text)
    assert host.epoptes(paths) == (text.encode() if whole else b"")


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_what_cannot_be_a_resolver_of_others_is_left_out(paths: Paths, address: str) -> None:
    write(paths, "/etc/resolv.conf", f"nameserver {address}\nnameserver 10.0.3.1\n")
    assert host.resolver(paths)[0] == (IPv4Address("10.0.3.1"),)


def test_boot_programs_where_debian_has_them(paths: Paths) -> None:
    write(paths, "/usr/lib/ipxe/undionly.kpxe", "")
    write(paths, "/boot/ipxe.efi", "")
    assert host.boot_programs(paths) == {
        "undionly.kpxe": "/usr/lib/ipxe/undionly.kpxe",
        "ipxe.efi": "/boot/ipxe.efi",
    }


@pytest.mark.parametrize(
    ("files", "able"),
    [
        ({}, False),
        ({"/usr/lib/ipxe/snponly.efi": "warm\0setup\0"}, True),
        ({"/usr/lib/ipxe/snponly.efi": "warm\0\0setup of a card\0"}, False),
        # What machines get is what counts.
        ({"/usr/lib/ipxe/snponly.efi": "warm\0", "/usr/lib/ipxe/ipxe.efi": "warm\0setup\0"}, False),
        ({"/usr/lib/ipxe/ipxe.efi": "warm\0setup\0"}, True),
    ],
)
def test_which_ipxe_enters_the_firmwares_setup(paths: Paths, files: dict[str, str], able: bool) -> None:
    for path, text in files.items():
        write(paths, path, text)
    assert host.ipxe_enters_setup(paths, host.boot_programs(paths)) is able


def test_boot_programs_of_the_administrator_come_first(paths: Paths) -> None:
    for path in ("/usr/lib/ipxe/snponly.efi", "/usr/local/lib/ipxe/snponly.efi"):
        write(paths, path, "")
    write(paths, "/usr/local/lib/ipxe/snponly-ia32.efi", "")
    assert host.boot_programs(paths) == {
        name: f"/usr/local/lib/ipxe/{name}" for name in ("snponly.efi", "snponly-ia32.efi")
    }


def test_a_kernel_that_can_serve_nfs(paths: Paths) -> None:
    write(paths, "/proc/sys/kernel/osrelease", "6.1.0-29-amd64\n")
    write(paths, "/lib/modules/6.1.0-29-amd64/modules.dep", "kernel/fs/nfs/nfs.ko: kernel/fs/nfsd/nfsd.ko\n")
    assert not host.kernel_nfsd(paths)
    write(paths, "/lib/modules/6.1.0-29-amd64/modules.dep", "kernel/fs/nfsd/nfsd.ko.xz: kernel/x.ko\n")
    assert host.kernel_nfsd(paths)
    write(paths, "/lib/modules/6.1.0-29-amd64/modules.dep", "")
    write(paths, "/proc/filesystems", "nodev\tsysfs\nnodev\tnfsd\n")
    assert host.kernel_nfsd(paths)


def stanza(version: str) -> str:
    return (
        f"Package: hello\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        "Description: x\n\n"
    )


def test_the_digest_of_packages_follows_the_database(paths: Paths) -> None:
    status = paths.at("/var/lib/dpkg/status")
    assert facts.packages_digest(paths.root) == ""
    write(paths, "/var/lib/dpkg/status", stanza("2.10-3"))
    first = facts.packages_digest(paths.root)
    assert first
    replace(status, stanza("2.10-3"))
    assert facts.packages_digest(paths.root) == first
    replace(status, stanza("2.10-4"))
    assert facts.packages_digest(paths.root) not in ("", first)


async def test_a_disk_images_stamp_follows_the_file_and_waits_for_its_writer(paths: Paths) -> None:
    write(paths, "/srv/ltsp/vm.img", "disk")
    file = paths.base_dir / "vm.img"

    async def digest() -> str:
        found, _ = await facts.look(paths, ())
        return found.source_packages["vm"]

    first = await digest()
    assert first == await digest() != ""
    with open(file, "ab") as writer:
        assert await digest() == ""
        assert use.writer(file).endswith(f"(process {os.getpid()})")
        writer.write(b"more")
    assert await digest() not in ("", first)
    with open(file, "rb"):
        assert await digest() != "", "readers are no matter"
    replace(file, "disk")
    assert await digest() not in ("", first), "another file"


def test_programs_are_found_with_the_options_that_they_know() -> None:
    # Programs write their options in small letters or not, and versions of one program differ in that.
    known = {Program("sh"), Program("sh", knows="printf"), Program("sh", knows="PrintF")}
    others = {Program("sh", knows="an-option-of-no-shell"), Program("no-such-program")}
    assert host.programs({*known, *others}) == known


async def test_one_look_at_an_empty_system(paths: Paths) -> None:
    found, problems = await facts.look(paths, ())
    assert problems == ()
    assert found.hostname == socket.gethostname()
    assert [link.name for link in found.links if link.name == "lo"] == ["lo"]
    assert (found.images, found.sources, found.accounts) == ((), (), ())


async def test_homes_are_found_by_their_real_path(paths: Paths) -> None:
    assert (await facts.look(paths, (), "/home"))[0].homes is None
    paths.at("/srv/people").mkdir(parents=True)
    paths.at("/home").symlink_to(paths.at("/srv/people"))
    assert host.homes(paths, "/home") == HomeDirectory("/srv/people")
    assert host.homes(paths, "/srv/people") == HomeDirectory("/srv/people")
    assert host.homes(Paths(), "/proc") == HomeDirectory("/proc", whole=True)


@pytest.mark.parametrize(
    ("name", "line", "exported"),
    [
        ("/etc/exports", "/home *(rw)", True),
        ("/etc/exports", '"/home/" *(rw)', True),
        ("/etc/exports", "# /home *(rw)", False),
        ("/etc/exports", "/home/alice *(rw)", False),
        ("/etc/exports.d/site.exports", "\n/home\t10.0.0.0/8(rw)", True),
        ("/etc/exports.d/ltspd.exports", "/home *(rw)", False),
        ("/etc/exports.d/site.exports~", "/home *(rw)", False),
    ],
)
def test_exports_of_the_administrator_are_seen(paths: Paths, name: str, line: str, exported: bool) -> None:
    paths.at("/home").mkdir()
    write(paths, name, f"{line}\n")
    assert host.homes(paths, "/home") == HomeDirectory("/home", exported=exported)


def test_what_is_exported_by_now(paths: Paths) -> None:
    assert host.exported(paths) == (frozenset(), frozenset())
    write(paths, "/proc/sys/kernel/random/boot_id", "5f-a\n")
    write(
        paths,
        "/etc/exports.d/ltspd.exports",
        "# Boot 5f-a\n/srv/ltsp/images 10.0.0.0/8(ro,all_squash) 192.168.67.0/24(ro,all_squash) x(ro)\n"
        "/home 192.168.67.0/24(rw,sec=sys)\n",
    )
    write(paths, "/etc/exports.d/other.exports", "/data 172.16.0.0/12(rw)\n")
    both = frozenset({"10.0.0.0/8", "192.168.67.0/24"})
    assert host.exported(paths) == (both, frozenset({"192.168.67.0/24"}))
    write(paths, "/proc/sys/kernel/random/boot_id", "other\n")
    assert host.exported(paths) == (both, frozenset())
