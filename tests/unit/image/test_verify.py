"""The last look before publishing: what can't boot, is damaged or holds a secret is not published."""

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ltspd.errors import InconsistentSource, LtspError, NoInit, NoKernel, SecretInImage
from ltspd.image import build
from ltspd.image.build import Build, BuildOptions
from ltspd.image.source import clean, excludes, kernels
from ltspd.image.store import store
from ltspd.image.verify import layer as verify
from ltspd.model.image import Source, SourceKind
from ltspd.paths import Paths
from ltspd.system.run import run
from tests.worlds.image_builds import SECRETS, boot_part, order, run_build
from tests.worlds.image_trees import HASH, RELEASE, pack, unpack, write

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


async def make(paths: Paths, source: Source, *add: str) -> None:
    await run_build(order(paths, source, BuildOptions(add)))


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("usr/lib/systemd", NoInit),
        ("usr/lib/systemd/systemd", NoInit),
        ("... systemd", NoInit),
        ("usr/lib/modules", NoKernel),
        (f"usr/lib/modules/{RELEASE}/*", NoKernel),
        ("usr/*", NoInit),
    ],
)
async def test_an_exclude_that_would_keep_clients_from_booting_is_refused(
    paths: Paths, source: Source, pattern: str, error: type[LtspError]
) -> None:
    with pytest.raises(error, match="exclude leaves"):
        await make(paths, source, pattern)
    assert not paths.images.exists()


def header(size: int, setup: int = 0) -> bytes:
    head = bytearray(1024)
    head[0x202:0x206] = b"HdrS"
    head[0x1F1] = setup
    struct.pack_into("<I", head, 0x1F4, size // 16)
    return bytes(head)


@pytest.mark.parametrize(("setup", "before"), [(0, 5 * 512), (30, 31 * 512)])
async def test_a_kernel_that_is_cut_short_is_foreseen(
    paths: Paths, source: Source, setup: int, before: int
) -> None:
    name = f"boot/vmlinuz-{RELEASE}"
    whole = header(4096, setup).ljust(before + 4096, b"k")
    write(Path(source.path), name, whole)
    await make(paths, source)
    write(Path(source.path), name, whole[:-1])
    with pytest.raises(NoKernel, match=f"{name} is cut short: it has {len(whole) - 1} bytes"):
        await build.preflight(order(paths, source))


def test_debians_own_kernel_is_whole(root_tree: Callable[[str], Path]) -> None:
    found = [root_tree("client")]
    kernels.check_whole(found[0], kernels.find_kernel(found[0]))


def test_a_damaged_or_far_too_small_layer_is_noticed(source: Source, tmp_path: Path) -> None:
    file = pack(Path(source.path), tmp_path / "layer")
    verify.check_whole(file, 20)
    with pytest.raises(InconsistentSource, match="instead of 2000"):
        verify.check_whole(file, 2000)
    whole = file.read_bytes()
    used = struct.unpack_from("<Q", whole, 40)[0]
    for content in (whole[: used - 1], whole[:10], b"", b"x" + whole[1:]):
        file.write_bytes(content)
        with pytest.raises(InconsistentSource, match="damaged"):
            verify.check_whole(file)


async def test_every_secret_is_found_in_a_layer_that_has_it(tmp_path: Path) -> None:
    """What excludes and replacements take out must be seen here, if they had not."""
    everything = [name for name in SECRETS if not name.startswith(("home", "run", "srv", "boot"))]
    for number, name in enumerate(everything):
        one = tmp_path / f"only{number}"
        write(one, name, "secret")
        with pytest.raises(SecretInImage, match=f"/{name}"):
            await verify.check_secrets(pack(one, tmp_path / "layer"))
    for name in ("etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"):
        one = tmp_path / f"hash-{name[4:]}"
        write(one, name, f"daemon:*:1:\nann:{HASH}:1::::::\n")
        with pytest.raises(SecretInImage, match=f"a password of /{name}"):
            await verify.check_secrets(pack(one, tmp_path / "layer"))
    write(tmp_path / "key", "etc/a [b] *", KEY)
    for number in range(700):
        write(tmp_path / "key", f"etc/many/harmless {number}", "nothing")
    with pytest.raises(SecretInImage, match=r"hold /etc/a \[b\] \* \(a private key\), which"):
        await verify.check_secrets(pack(tmp_path / "key", tmp_path / "layer"))
    (tmp_path / "link/etc/ssh").mkdir(parents=True)
    (tmp_path / "link/etc/ssh/ssh_host_rsa_key").symlink_to("elsewhere -> here")
    with pytest.raises(SecretInImage, match="/etc/ssh/ssh_host_rsa_key, which"):
        await verify.check_secrets(pack(tmp_path / "link", tmp_path / "layer"))


async def test_what_every_image_has_is_no_secret(tmp_path: Path) -> None:
    one = tmp_path / "one"
    write(one, "etc/shadow", "root:*:1::::::\nftp:!:1::::::\nx:!!:1:\ny::1:\nz:*LK*:1:\n")
    write(one, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    write(one, "etc/ssl/certs/a.pem", "-----BEGIN CERTIFICATE-----\n")
    # As its package ships it.
    write(one, "usr/share/doc/example.key", KEY)
    write(one, "var/log/syslog", "")
    (one / "root").mkdir()
    if os.geteuid() == 0:
        # So is the sign that something of a lower layer is gone.
        os.mknod(one / "etc/crypttab", stat.S_IFCHR, 0)
    await verify.check_secrets(pack(one, tmp_path / "layer"), frozenset([b"usr/share/doc/example.key"]))


async def test_a_medium_may_have_keys_but_no_hashes_and_no_identity(tmp_path: Path) -> None:
    write(tmp_path / "fine", "root/.profile", "x")
    write(tmp_path / "fine", "etc/ssl/private/ssl-cert-snakeoil.key", KEY)
    write(tmp_path / "fine", "var/log/installer", "x")
    await verify.check_medium(pack(tmp_path / "fine", tmp_path / "layer"))
    for number, name in enumerate(("old/etc/shadow", "srv/.htpasswd", "old/etc/ssh/ssh_host_rsa_key")):
        write(tmp_path / f"{number}", name, f"root:{HASH}:1::::::\n")
        with pytest.raises(SecretInImage, match=f"/{name}, which"):
            await verify.check_medium(pack(tmp_path / f"{number}", tmp_path / "layer"))


async def test_a_build_that_would_leak_is_not_published(
    paths: Paths, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path(source.path), "etc/krb5.keytab", "secret")
    await make(paths, source)
    before = store.current_id(paths, "tiny")
    write(Path(source.path), "usr/share/new", "x")
    monkeypatch.setattr(excludes, "SENSITIVE", ())
    with pytest.raises(SecretInImage, match=r"/etc/krb5\.keytab"):
        await make(paths, source)
    assert store.current_id(paths, "tiny") == before
    # Nor if accounts were left as they are.
    monkeypatch.undo()
    monkeypatch.setattr(clean, "replacements", lambda files: {})
    with pytest.raises(SecretInImage, match="a password of /etc/shadow"):
        await make(paths, source, "usr/share/none")
    assert store.current_id(paths, "tiny") == before


async def test_a_real_systems_image_holds_no_secret(
    root_tree: Callable[[str], Path], paths: Paths, tmp_path: Path
) -> None:
    """The proof over a real tree, independent of the build's own look: secrets are put in, none comes out."""
    found = [root_tree("client")]
    root = paths.base_dir / "real"
    root.mkdir(parents=True)
    work = tmp_path / "work"
    work.mkdir()
    upper = tmp_path / "upper"
    token = b"TopSecretToken"
    for name in SECRETS:
        write(upper, name, token)
    write(upper, "etc/some/service.conf", KEY.encode() + token)
    write(upper, "etc/shadow", f"root:{HASH}:1::::::\n")
    options = f"lowerdir={found[0]},upperdir={upper},workdir={work}"
    await run(["mount", "-t", "overlay", "-o", options, "real", str(root)])
    try:
        real = Source("real", SourceKind.DIRECTORY, str(root))
        wanted = Build(paths, real, make_boot_part=boot_part)
        made = (await run_build(wanted)).generation
    finally:
        await run(["umount", str(root)])
    for number, each in enumerate(made.layers):
        seen = unpack(paths.images / "real/layers" / each.file_name, tmp_path / f"seen{number}")
        for file in seen.rglob("*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                assert token not in content, file
                assert HASH.encode() not in content, file
    assert {each.name for each in (seen / "root").iterdir()} == set()
