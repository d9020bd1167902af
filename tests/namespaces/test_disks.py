"""Images of disks by the installed daemon, closed in as its unit says: what is built, refused, and left."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import product
from tests.lab.server import Server
from tests.lab.units import kill

pytestmark = pytest.mark.lab

# Everything of the server that a disk which is open, or was, could be seen in.
HELD = (
    "cat /proc/[0-9]*/mountinfo | grep /run/ltspd/disk; "
    "pgrep -a -f '[q]emu-storage|[l]tspd[.]disk[.]holder'; find /run/ltspd/disk -mindepth 1 2>/dev/null"
)


@pytest.fixture(autouse=True)
def nothing_held(server: Server) -> Iterator[None]:
    """Fail a test that leaves a disk open, and take its sources and images away."""
    yield
    server.wait_for(lambda: server.run(HELD, check=False) == "")
    server.run("rm -rf /srv/ltsp/images/vm /srv/ltsp/images/client /srv/ltsp/*.img; ltspctl apply")


def listing(server: Server, image: str) -> dict[str, str]:
    """Return each entry of an image's only layer: mode and owner, size and time but of directories."""
    layers = server.run(f"cat /srv/ltsp/images/{image}/current/layers").splitlines()
    assert len(layers) == 1
    file = f"/srv/ltsp/images/{image}/layers/{layers[0].split()[0]}.squashfs"
    lines = server.run(f"unsquashfs -lln {file}").splitlines()
    found = {}
    for line in lines:
        facts, root, name = line.partition(" squashfs-root/")
        if root:
            # A directory's size depends on what lies beside it in the squashfs.
            found[name] = " ".join(facts.split()[:2]) if facts.startswith("d") else facts
    return found


def shown_image(server: Server, name: str) -> dict[str, object]:
    """Return what `ltspctl image show` says."""
    found: dict[str, object] = json.loads(server.run(f"ltspctl image show {name} --json"))
    return found


def test_a_disk_becomes_the_image_that_its_tree_would(server: Server, disk: str) -> None:
    server.run("rm -rf /srv/ltsp/images/bookworm; ltspctl apply")
    product.build(server, "bookworm")
    server.run(f"ln -s {disk} /srv/ltsp/vm.img")
    server.wait_for("ltspctl image show vm")
    before = server.run(f"stat -c '%Y %Z %s' {disk}; sha256sum {disk}")
    product.build(server, "vm")
    assert server.run(f"stat -c '%Y %Z %s' {disk}; sha256sum {disk}") == before
    shown = shown_image(server, "vm")
    assert shown["Source"] == "/srv/ltsp/vm.img"
    assert shown["StaleBecause"] == ""
    wanted, found = listing(server, "bookworm"), listing(server, "vm")
    # The file system's own directory; fstab is written anew in every image.
    assert {name for name in found if name not in wanted} <= {"lost+found", "boot/lost+found"}
    # Other tests of this server install packages in the chroot, and the lab has its systemd wait longer.
    changed = ("var/lib/dpkg/", "var/log/", "etc/systemd/system.conf.d")
    other = {name for name in wanted if found.get(name) != wanted[name] and not name.startswith(changed)}
    assert other - {"etc/fstab"} == set()
    assert len(found) > 5000
    kernels = [
        server.run(f"sha256sum </srv/ltsp/images/{each}/current/vmlinuz") for each in ("bookworm", "vm")
    ]
    assert kernels[0] == kernels[1]
    _rebuilds_by_itself(server, disk)


def _rebuilds_by_itself(server: Server, disk: str) -> None:
    first = server.run("readlink /srv/ltsp/images/vm/current")
    # Somebody has it open for writing, as a virtual machine has, and closes it after a change.
    script = f"exec 9<>{disk}; touch {disk}; : >/run/vm; exec sleep 300"
    server.run(f"systemd-run --quiet --collect --unit=vm sh -c '{script}'")
    server.wait_for("rm /run/vm 2>/dev/null")
    with pytest.raises(RuntimeError, match=r"vm\.img is being written to by sleep \(process [0-9]+\)"):
        product.build(server, "vm")
    assert server.run("readlink /srv/ltsp/images/vm/current") == first
    server.run("systemctl stop vm")
    server.wait_for(lambda: server.run("readlink /srv/ltsp/images/vm/current") != first)
    server.wait_for(lambda: shown_image(server, "vm")["StaleBecause"] == "")


def test_a_file_anywhere_is_built_by_its_path(server: Server, disk: str) -> None:
    product.build(server, disk)
    assert shown_image(server, "client")["Source"] == disk
    asked = "journalctl -o cat -u ltspd LTSPD_ACTION=org.ltsp.Server1.configure"
    server.wait_for(f"{asked} | grep -F 'client' | grep -F '{disk}'")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("head -c 8M /dev/urandom >$F", "BadDisk"),
        ("printf 'QFI\\373\\0\\0\\0\\3' >$F; head -c 64k /dev/urandom >>$F", "BadDisk"),
        ("head -c 100M {disk} >$F", "BadDisk"),
        ("qemu-img create -q -f qcow2 -b /etc/shadow -F raw -u $F 64M", "UnsupportedDisk"),
        ("ln -sf /etc/shadow $F", "BadDisk"),
        ("qemu-img create -q -f qcow2 $F 64M", "BadDisk"),
    ],
)
def test_a_bad_disk_is_the_calls_error_and_touches_nothing(
    server: Server, disk: str, content: str, error: str
) -> None:
    server.run(f"F=/srv/vm/vm.img; rm -f $F; {content.format(disk=disk)}; ln -sf $F /srv/ltsp/vm.img")
    before = server.run("ls -A /srv/ltsp/images; systemctl show -P NRestarts ltspd")
    call = "busctl call org.ltsp.Server1 /org/ltsp/Server1 org.ltsp.Server1.Manager BuildImage 'sa{sv}' vm 0"
    # busctl prints the message, and the name of an error only where it knows no message.
    said = server.run(f"SYSTEMD_LOG_LEVEL=debug {call}", check=False)
    assert f"org.ltsp.Server1.Error.{error}" in said
    assert server.run("ls -A /srv/ltsp/images; systemctl show -P NRestarts ltspd") == before


@pytest.mark.parametrize(
    ("lacks", "error", "reason"),
    [
        (
            "rm -r $D/sbin",
            "BadDisk",
            r'has no system on it that could be read\. It has: the whole disk \(ext4 "it"\)',
        ),
        ("rm $D/boot/vmlinuz*", "NoKernel", r"vm\.img has no kernel with its modules. Kernels: none"),
        (
            "rm -r $D/usr/lib/modules/6*",
            "NoKernel",
            r"vm\.img has no kernel with its modules.* Modules: none",
        ),
    ],
    ids=["system", "kernel", "modules"],
)
def test_what_a_disk_lacks_is_the_reason(server: Server, lacks: str, error: str, reason: str) -> None:
    # The least that is a system, of the server's own.
    parts = (
        "mkdir -p $D/etc $D/sbin $D/boot $D/usr/lib; echo ID=x >$D/etc/os-release; cp -L /sbin/init $D/sbin"
    )
    kernel = "cp -a /boot/vmlinuz-* $D/boot; cp -a /usr/lib/modules $D/usr/lib"
    make = "rm -f /srv/ltsp/vm.img; mke2fs -q -t ext4 -L it -d $D /srv/ltsp/vm.img 300m"
    server.run(f"D=$(mktemp -d) && {{ {parts}; {kernel}; {lacks}; {make}; }}; S=$?; rm -r $D; exit $S")
    with pytest.raises(RuntimeError, match=reason):
        product.build(server, "vm")
    call = "busctl call org.ltsp.Server1 /org/ltsp/Server1 org.ltsp.Server1.Manager BuildImage 'sa{sv}' vm 0"
    said = server.run(f"SYSTEMD_LOG_LEVEL=debug {call}", check=False)
    assert f"org.ltsp.Server1.Error.{error}" in said
    assert server.run("ls /srv/ltsp/images").split().count("vm") == 0


def test_what_reads_a_disk_has_no_rights(server: Server, disk: str) -> None:
    server.run(f"ln -sf {disk} /srv/ltsp/vm.img")
    server.run("ltspctl image build --no-wait vm")
    server.wait_for("pgrep -f ^qemu-storage-daemon")
    status = server.run("cat /proc/$(pgrep -f ^qemu-storage-daemon | tail -n 1)/status", check=False)
    server.wait_for(lambda: product.status(server)["Jobs"][-1]["State"] not in ("queued", "running"))
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    assert "Uid:\t65534\t65534" in status


def test_a_daemon_that_is_killed_leaves_no_disk_open(server: Server, disk: str) -> None:
    server.run(f"ln -sf {disk} /srv/ltsp/vm.img")
    server.run("ltspctl image build --no-wait vm")
    server.wait_for(
        "pgrep -f ^qemu-storage-daemon && find /srv/ltsp/images/vm -name '.work-*' | grep -q .", 20
    )
    kill(server)
    product.wait_until_up(server)
    assert server.run("pgrep -f ^qemu-storage-daemon || :") == ""
