"""Observing: who holds a port, links in a network of the test's own, files that are replaced, the host."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ltspd.disk import use
from ltspd.model import Account, Group
from ltspd.observe import facts, files, host
from ltspd.observe.ports import PortHolder, holders
from ltspd.paths import Paths
from tests.patience import PATIENCE

REPOSITORY = Path(__file__).resolve().parents[2]

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
    assert found == (PortHolder("udp", "0.0.0.0", 67, 77, "dnsmasq", "libvirtd.service"),)


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
        "bob:x:59999:100::/home/bob:/bin/sh\n",
    )
    found = host.accounts(paths)
    assert found == (
        Account("ada", 1000, 1000, "Ada,,,", "/home/ada", "/bin/bash"),
        Account("bob", 59999, 100, "", "/home/bob", "/bin/sh"),
    )
    assert "secret" not in repr(found)
    write(paths, "/etc/group", "root:x:0:\nsudo:x:27:ada,root\naudio:x:29:\nada:!hash:1000:\nbad\n")
    groups = host.groups(paths, found)
    assert groups == (Group("sudo", 27, ("ada",)), Group("ada", 1000, ()))
    assert "hash" not in repr(groups)


def test_without_files_there_is_nobody(paths: Paths) -> None:
    assert host.accounts(paths) == ()
    assert host.groups(paths, ()) == ()
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
    assert host.resolver(paths) == ((), "stub.example")
    write(paths, "/run/systemd/resolve/resolv.conf", "nameserver 10.0.3.1\nsearch real.example\n")
    assert host.resolver(paths) == ((IPv4Address("10.0.3.1"),), "real.example")


def test_boot_programs_where_debian_has_them(paths: Paths) -> None:
    write(paths, "/usr/lib/ipxe/undionly.kpxe", "")
    write(paths, "/boot/ipxe.efi", "")
    assert host.boot_programs(paths) == {
        "undionly.kpxe": "/usr/lib/ipxe/undionly.kpxe",
        "ipxe.efi": "/boot/ipxe.efi",
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
        found, _ = await facts.look(paths)
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


async def test_one_look_at_an_empty_system(paths: Paths) -> None:
    found, problems = await facts.look(paths)
    assert problems == ()
    assert found.hostname == socket.gethostname()
    assert [link.name for link in found.links if link.name == "lo"] == ["lo"]
    assert (found.images, found.sources, found.accounts) == ((), (), ())
