"""The distribution's initrd is taken only if it is known, whole and without secrets; ours goes beside it."""

import subprocess
from pathlib import Path

import pytest

from ltspd.errors import UnsuitableInitrd
from ltspd.image import bootfiles
from ltspd.initrd import boot, cpio, guest
from tests.worlds.image_trees import RELEASE, write

DEBIAN = ("init", "scripts/functions", "scripts/local", "conf/arch.conf")
# As versions 059, 106 and 112 have their hooks.
DRACUTS = {
    "usr/lib/dracut/hooks": ("usr/lib/dracut/hooks/cmdline/95-parse-block.sh", "usr/lib/systemd/systemd"),
    "var/lib/dracut/hooks": (
        *("usr/lib/dracut/hooks", "usr/lib/systemd/systemd"),
        *("var/lib/dracut/hooks/mount/99-mount-virtfs.sh", "var/lib/dracut/hooks/cmdline/00-parse-root.sh"),
    ),
    "lib/dracut/hooks": ("lib/dracut/hooks/pre-mount/99-mount-virtiofs.sh", "lib/dracut-lib.sh"),
}


def initrd(*names: str, **content: bytes) -> bytes:
    files = [cpio.file(each, b"x") for each in names]
    return cpio.archive([*files, *(cpio.file(name, data) for name, data in content.items())])


def packed(program: str, data: bytes) -> bytes:
    return subprocess.run([program, "-c"], input=data, capture_output=True, check=True).stdout


def parts(whole: bytes) -> list[dict[str, bytes]]:
    """Return the content of each archive of an initrd, as the kernel would unpack them."""
    found, at = [], 0
    while at < len(whole):
        if whole[at : at + 4] == bytes(4):
            at += 4
            continue
        data, start = (whole, at) if whole.startswith(b"07070", at) else (_plain(whole[at:]), 0)
        members, end = cpio.read(data, start)
        found.append({each.path: data[each.at : each.at + each.size] for each in members})
        if data is not whole:
            break
        at = end
    return found


def _plain(data: bytes) -> bytes:
    program = "zstd" if data.startswith(b"\x28\xb5\x2f\xfd") else "gzip"
    return subprocess.run([program, "-dcq"], input=data, capture_output=True, check=False).stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a source whose own boot part is two files."""

    async def entries(_root: Path, _release: str) -> list[cpio.Entry]:
        return [
            cpio.character_device("dev/console", 5, 1),
            cpio.file("init", b"our init", 0o755),
            cpio.file("bin/busybox", b"our busybox", 0o755),
        ]

    monkeypatch.setattr(boot, "build_entries", entries)
    write(tmp_path, f"usr/lib/modules/{RELEASE}/modules.dep")
    return tmp_path


async def build(root: Path, data: bytes) -> bytes:
    write(root, f"boot/initrd.img-{RELEASE}", data)
    name = guest.find(root, RELEASE)
    return await guest.build(root, RELEASE, name, bootfiles.is_sensitive)


async def test_ours_comes_behind_and_in_no_ones_way(root: Path) -> None:
    theirs = initrd(*DEBIAN)
    whole = await build(root, theirs)
    assert whole.startswith(theirs)
    first, second = parts(whole)
    assert first.keys() >= set(DEBIAN)
    files = {path for path, content in second.items() if content}
    assert files == {
        "ltspd/init",
        "ltspd/bin/busybox",
        "scripts/ltspd",
        "conf/conf.d/ltspd",
    }
    assert not [path for path in second if path.startswith(("dev", "ltspd/dev", "bin", "lib/", "usr"))]
    # Where the distribution has links instead of directories, a directory of ours would take their place.
    assert not {"bin", "sbin", "lib", "lib64"} & second.keys()


@pytest.mark.parametrize("hooks", DRACUTS)
async def test_dracut_gets_its_hooks_where_it_has_them(root: Path, hooks: str) -> None:
    whole = await build(root, initrd(*DRACUTS[hooks]))
    files = {path for path, content in parts(whole)[1].items() if content and "ltsp/" not in path}
    assert files - {"ltspd/init", "ltspd/bin/busybox"} == {
        "etc/cmdline.d/99-ltspd.conf",
        f"{hooks}/cmdline/99-ltspd.sh",
        f"{hooks}/mount/10-ltspd.sh",
    }


@pytest.mark.parametrize("hooks", DRACUTS)
async def test_one_that_was_made_for_one_machine_alone_is_refused(root: Path, hooks: str) -> None:
    mark = "lib/dracut/hostonly-files" if hooks.startswith("lib") else "usr/lib/dracut/hostonly-files"
    # It has the machine's own password, too; what makes a general one cures both.
    theirs = initrd(*DRACUTS[hooks], mark, **{"etc/shadow": b"root:$y$j9T$abc$def:1::::::\n"})
    with pytest.raises(UnsuitableInitrd, match=r"host-only.*hostonly=\"no\".*dracut --force.*--initrd own"):
        await build(root, theirs)


@pytest.mark.parametrize("program", ["gzip", "zstd", "xz", "bzip2"])
async def test_every_compression_is_read_behind_uncompressed_microcode(root: Path, program: str) -> None:
    early = initrd("kernel/x86/microcode/GenuineIntel.bin")
    theirs = early + packed(program, initrd(*DEBIAN))
    assert (await build(root, theirs)).startswith(theirs)
    bad = early + packed(program, initrd(*DEBIAN, "etc/dropbear/dropbear_rsa_host_key"))
    with pytest.raises(UnsuitableInitrd, match="etc/dropbear/dropbear_rsa_host_key"):
        await build(root, bad)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cryptroot/keyfiles/root.key", b"k"),
        ("etc/dropbear/x", b"k"),
        ("root-x7/.ssh/authorized_keys", b"k"),
        ("root/.ssh/id_ed25519", b"k"),
        ("etc/NetworkManager/system-connections/wifi.nmconnection", b"k"),
        ("etc/krb5.keytab", b"k"),
        ("etc/shadow", b"root:$y$j9T$abc$def:1::::::\n"),
        ("etc/passwd", b"root:$6$abc$def:0:0::/:/bin/sh\n"),
        ("etc/anything", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"),
    ],
)
async def test_secrets_are_refused_by_name_and_by_content(root: Path, name: str, content: bytes) -> None:
    with pytest.raises(UnsuitableInitrd, match=f"{name}.*--initrd own"):
        await build(root, initrd(*DEBIAN, **{name: content}))


async def test_what_every_initrd_has_is_no_secret(root: Path) -> None:
    harmless = {"etc/shadow": b"root:!unprovisioned:1::::::\n", "etc/passwd-": b"root:x:0:0::/:/bin/sh\n"}
    names = ("etc/udev/rules.d/59-persistent-storage.rules", "etc/machine-id", "etc/fstab")
    await build(root, initrd(*DEBIAN, *names, **harmless))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"not an archive at all", "can't be read: it is compressed in a way"),
        (initrd(*DEBIAN)[:300], "can't be read"),
        (b"070701" + b"zz" * 60, "can't be read"),
        (b"\x1f\x8bnonsense", "can't be read: sh"),
        (initrd("init", "hooks/udev"), "neither by initramfs-tools nor by dracut"),
    ],
)
async def test_what_can_not_be_used_is_refused_with_the_reason(root: Path, data: bytes, why: str) -> None:
    with pytest.raises(UnsuitableInitrd, match=why):
        await build(root, data)


async def test_what_would_fill_disk_or_memory_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"etc/{number}": bytes(60000) for number in range(40)}
    theirs = packed("gzip", initrd(*DEBIAN, **many))
    await build(root, theirs)
    monkeypatch.setattr(guest, "MAX_LOOKED_AT", 2 << 20)
    with pytest.raises(UnsuitableInitrd, match="more than 2 MiB of it are configuration"):
        await build(root, theirs)
    monkeypatch.setattr(guest, "MAX_PLAIN", 1 << 20)
    with pytest.raises(UnsuitableInitrd, match="can't be read: sh"):
        await build(root, theirs)


def test_a_missing_one_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        UnsuitableInitrd, match=rf"boot/initrd\.img-{RELEASE}.*update-initramfs.*--initrd own"
    ):
        guest.find(tmp_path, RELEASE)


@pytest.mark.parametrize(
    "name", ["boot/initrd.img-{}", "boot/initramfs-{}.img", "boot/initrd-{}", "usr/lib/modules/{}/initrd"]
)
def test_every_distributions_name_is_known(tmp_path: Path, name: str) -> None:
    write(tmp_path, name.format(RELEASE), b"x")
    assert guest.find(tmp_path, RELEASE) == name.format(RELEASE)
