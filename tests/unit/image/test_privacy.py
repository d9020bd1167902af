"""What others may not read in a server's own root stays out of its image, whatever it is called."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from ltspd.errors import SecretInImage
from ltspd.image.build import BuildOptions
from ltspd.image.context import Step, nothing
from ltspd.image.look import privacy, remarks
from ltspd.image.look.scan import scan
from ltspd.image.source import homes
from ltspd.image.store import store
from ltspd.image.verify import layer as verify
from ltspd.model.image import Generation, Source, SourceKind
from ltspd.paths import Paths
from tests.worlds.image_builds import order, run_build
from tests.worlds.image_trees import HASH, make_tree, names, pack, unpack, write

CANARY = "canary-4711"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
HELPER = "usr/lib/dbus-1.0/launch-helper"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "root")


@pytest.fixture
def server(paths: Paths, root: Path) -> Source:
    """Give the root as that of the server itself."""
    return Source("own", SourceKind.ROOT, str(root))


async def make(
    paths: Paths, source: Source, options: BuildOptions | None = None, step: Step = nothing
) -> Generation:
    return (await run_build(order(paths, source, options, step=step))).generation


def seen(paths: Paths, generation: Generation, target: Path) -> dict[str, bytes]:
    """Return all files of all layers of a generation, the topmost ones last."""
    found: dict[str, bytes] = {}
    target.mkdir()
    for number, layer in enumerate(generation.layers):
        top = unpack(paths.images / generation.image / "layers" / layer.file_name, target / str(number))
        for name in names(top):
            file = top / os.fsdecode(name)
            content = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
            found[f"{number}:{os.fsdecode(name)}"] = content
    return found


def package(
    root: Path, name: str, files: dict[str, bytes], conffiles: dict[str, bytes] | None = None
) -> None:
    """Have a package that ships files and configuration as given, whatever is there now."""
    conffiles = conffiles or {}
    paths = ["/.", *(f"/{each}" for each in (*files, *conffiles))]
    write(root, f"var/lib/dpkg/info/{name}.list", "\n".join(paths) + "\n")
    sums = (f"{hashlib.md5(content).hexdigest()}  {each}\n" for each, content in files.items())
    write(root, f"var/lib/dpkg/info/{name}.md5sums", "".join(sums))
    with open(root / "var/lib/dpkg/status", "a") as status:
        status.write(f"\nPackage: {name}\nStatus: install ok installed\nVersion: 1\nConffiles:\n")
        for each, content in conffiles.items():
            status.write(f" /{each} {hashlib.md5(content).hexdigest()}\n")


async def test_what_others_may_not_read_stays_out(paths: Paths, server: Source, tmp_path: Path) -> None:
    root = Path(server.path)
    write(root, "etc/some/credentials", CANARY, 0o600)
    write(root, "etc/other/token", CANARY, 0o640)
    write(root, "var/lib/app/store/data.db", CANARY)
    (root / "var/lib/app/store/canary-4711").mkdir()
    (root / "var/lib/app/store/link").symlink_to(CANARY)
    (root / "var/lib/app/store").chmod(0o750)
    write(root, "opt/app/unlisted/x", CANARY)
    (root / "opt/app/unlisted").chmod(0o711)
    write(root, "etc/plain", "plain")
    write(root, "etc/empty", "", 0o600)
    write(root, "etc/sudoers", "root ALL=(ALL) ALL\n", 0o440)
    write(root, "etc/sudoers.d/ours", "%sudo ALL=(ALL) ALL\n", 0o440)
    write(root, "etc/cups/cups-files.conf", "FileDevice Yes\n", 0o640)
    write(root, "etc/polkit-1/rules.d/50-ours.rules", "//\n")
    (root / "etc/polkit-1/rules.d").chmod(0o700)
    made = await make(paths, server)
    found = seen(paths, made, tmp_path / "seen")
    assert [name for name, content in found.items() if CANARY.encode() in content or CANARY in name] == []
    assert {f"0:{each}" for each in ("etc/plain", "etc/empty", "etc/sudoers", "etc/sudoers.d/ours")} <= {
        *found
    }
    assert {"0:etc/cups/cups-files.conf", "0:etc/polkit-1/rules.d/50-ours.rules"} <= {*found}
    # The directories stay, with their modes: programs expect theirs.
    top = tmp_path / "seen/0"
    assert stat.S_IMODE((top / "var/lib/app/store").stat().st_mode) == 0o750
    assert stat.S_IMODE((top / "opt/app/unlisted").stat().st_mode) == 0o711
    assert f"root:{'*'}:" in (top / "etc/shadow").read_text()
    told = {each.split(" is left out")[0] for each in made.notes if " is left out" in each}
    assert told == {
        "/etc/other/token",
        "/etc/some/credentials",
        "/opt/app/unlisted (1 files)",
        "/var/lib/app/store (2 files)",
    }
    assert any('OMIT_IMAGE_EXCLUDES="' in each for each in made.notes)
    assert store.find(paths, "own").current_generation == made, "also as it is read again"


async def test_what_a_package_ships_stays_and_what_was_changed_does_not(
    paths: Paths, server: Source, tmp_path: Path
) -> None:
    root = Path(server.path)
    write(root, HELPER, b"program", 0o4750)
    write(root, "etc/tool.conf", b"as shipped", 0o640)
    write(root, "etc/changed.conf", CANARY, 0o640)
    write(root, "etc/rules.d/10-shipped", b"rule")
    write(root, "etc/rules.d/20-own", CANARY)
    (root / "etc/rules.d/empty").mkdir()
    (root / "etc/rules.d").chmod(0o700)
    (root / "lib").symlink_to("usr/lib")
    # Debian 12 calls it by its old name.
    package(
        root,
        "tool",
        {HELPER.removeprefix("usr/"): b"program", "etc/rules.d/10-shipped": b"rule"},
        {"etc/tool.conf": b"as shipped", "etc/changed.conf": b"as shipped"},
    )
    with open(root / "var/lib/dpkg/info/tool.list", "a") as file:
        file.write("/etc/rules.d\n/etc/rules.d/empty\n")
    made = await make(paths, server)
    found = seen(paths, made, tmp_path / "seen")
    assert found[f"0:{HELPER}"] == b"program"
    assert found["0:etc/tool.conf"] == b"as shipped"
    assert {"0:etc/rules.d/10-shipped", "0:etc/rules.d/empty"} <= {*found}
    assert not {"0:etc/changed.conf", "0:etc/rules.d/20-own"} & {*found}
    assert [name for name, content in found.items() if CANARY.encode() in content] == []


async def test_what_the_administrator_names_is_in_the_image(
    paths: Paths, server: Source, tmp_path: Path
) -> None:
    root = Path(server.path)
    for name in ("etc/tool/token", "etc/tool/more/deep", "etc/other", "etc/ssh/ssh_host_rsa_key"):
        write(root, name, "wanted", 0o600)
    write(root, "etc/tool/key", KEY, 0o600)
    omit = ("etc/tool/*", "etc/ssh/ssh_host_*", "etc/nothing")
    made = await make(paths, server, BuildOptions(omit_excludes=omit))
    found = seen(paths, made, tmp_path / "seen")
    assert {"0:etc/tool/token", "0:etc/tool/more/deep"} <= {*found}
    assert not {"0:etc/other", "0:etc/ssh/ssh_host_rsa_key", "0:etc/tool/key"} & {*found}
    notes = "\n".join(made.notes)
    assert "OMIT_IMAGE_EXCLUDES has 'etc/ssh/ssh_host_*', which stays excluded: it is a secret" in notes
    assert "OMIT_IMAGE_EXCLUDES has 'etc/nothing', which is not in the list" in notes
    assert "'etc/tool/*'" not in notes
    assert "/etc/tool/key is left out: it holds a private key." in notes
    # Taken out of the list again, it is in no layer any more.
    again = await make(paths, server)
    assert [
        name for name in seen(paths, again, tmp_path / "again") if "token" in name or "deep" in name
    ] == []


async def test_what_becomes_private_is_in_no_layer_of_the_new_generation(
    paths: Paths, server: Source, tmp_path: Path
) -> None:
    root = Path(server.path)
    write(root, "etc/tool/secret", CANARY)
    write(root, "var/lib/app/data", CANARY)
    first = await make(paths, server)
    assert len([each for each in seen(paths, first, tmp_path / "1").values() if CANARY.encode() in each]) == 2
    (root / "etc/tool/secret").chmod(0o600)
    second = await make(paths, server)
    found = seen(paths, second, tmp_path / "2")
    assert [name for name, content in found.items() if CANARY.encode() in content] == ["0:var/lib/app/data"]
    (root / "var/lib/app").chmod(0o700)
    third = await make(paths, server)
    assert not [each for each in seen(paths, third, tmp_path / "3").values() if CANARY.encode() in each]
    # What is private from the start needs no more than a layer.
    write(root, "etc/tool/new", CANARY, 0o600)
    write(root, "etc/tool/plain", "plain")
    fourth = await make(paths, server)
    assert fourth.layers[0] == third.layers[0]
    found = seen(paths, fourth, tmp_path / "4")
    assert "1:etc/tool/plain" in found
    assert not [name for name, content in found.items() if CANARY.encode() in content or "tool/new" in name]
    # And what becomes public comes in.
    (root / "etc/tool/new").chmod(0o644)
    fifth = await make(paths, server)
    assert "2:etc/tool/new" in seen(paths, fifth, tmp_path / "5")


@pytest.mark.parametrize("kept", [True, False])
async def test_what_becomes_private_while_it_is_packed_is_not_published(
    paths: Paths, server: Source, tmp_path: Path, kept: bool
) -> None:
    """Between the first look and the last one: what is still there then, and what came and went."""
    root = Path(server.path)
    write(root, "usr/share/plain", "plain")
    steps: list[str] = []

    def step(name: str) -> None:
        if name == "scanned" and name not in steps:
            write(root, "opt/app/new", CANARY, 0o600)
        if name == "packed" and not kept:
            (root / "opt/app/new").unlink(missing_ok=True)
        steps.append(name)

    made = await make(paths, server, step=step)
    # It was packed again.
    assert steps.count("packed") == 2
    found = seen(paths, made, tmp_path / "seen")
    assert [name for name, content in found.items() if CANARY.encode() in content] == []


async def test_what_nobody_decided_on_is_seen_by_the_last_look(tmp_path: Path) -> None:
    top = tmp_path / "top"
    write(top, "etc/private", CANARY, 0o640)
    write(top, "opt/door/file", CANARY)
    (top / "opt/door").chmod(0o711)
    write(top, "etc/public", "x")
    write(top, "etc/empty", "", 0o600)
    layer = pack(top, tmp_path / "layer")
    tree = scan(top, (), b"", strict=True)
    with pytest.raises(SecretInImage, match="/etc/private, /opt/door/file, which"):
        await verify.check_secrets(layer, tree.known, tree.table)
    await verify.check_secrets(layer, tree.known, scan(top, (), b"").table)
    await verify.check_secrets(layer)


async def test_of_a_chroot_it_is_told(paths: Paths, root: Path, tmp_path: Path) -> None:
    """Who makes a chroot for clients means what is in it for them."""
    source = Source("own", SourceKind.DIRECTORY, str(root))
    write(root, "etc/tool/token", "for clients", 0o600)
    write(root, "var/lib/app/a", "for clients")
    (root / "var/lib/app").chmod(0o700)
    write(root, "etc/sudoers", "x", 0o440)
    made = await make(paths, source)
    found = seen(paths, made, tmp_path / "seen")
    assert {"0:etc/tool/token", "0:var/lib/app/a", "0:etc/sudoers"} <= {*found}
    assert made.notes == (
        "/etc/tool/token is in the image, where everybody can read it; in its source others may not.",
        "/var/lib/app/a is in the image, where everybody can read it; in its source others may not.",
    )


async def test_hashes_and_keys_stay_out_wherever_they_are(paths: Paths, root: Path, tmp_path: Path) -> None:
    snapshot = "data/old/2026-01-01/localhost"
    write(root, f"{snapshot}/etc/shadow", f"root:{HASH}:1::::::\n")
    write(root, f"{snapshot}/etc/shadow-", "x:!:\n" * 40_000 + f"root:{HASH}:1::::::\n" * 9_000)
    write(root, f"{snapshot}/root/.ssh/id_rsa", KEY)
    write(root, f"{snapshot}/etc/ssh/ssh_host_ed25519_key", "binary")
    write(root, f"{snapshot}/etc/dropbear/dropbear_rsa_host_key", "binary")
    write(root, "opt/site/.htpasswd", "ann:$apr1$abcdefgh$0123456789abcdefghijkl\n")
    write(root, "etc/grub.d/40_custom", "password_pbkdf2 root grub.pbkdf2.sha512.10000.0123456789ABCDEF\n")
    write(root, "usr/share/doc/tool/example.pem", KEY)
    write(root, "usr/share/doc/tool/passwd.txt", "root:x:0:0::/root:/bin/sh\n")
    package(root, "tool", {"usr/share/doc/tool/example.pem": KEY.encode()})
    source = Source("own", SourceKind.DIRECTORY, str(root))
    made = await make(paths, source)
    found = seen(paths, made, tmp_path / "seen")
    secret = [name for name, content in found.items() if HASH.encode() in content or b"$apr1$" in content]
    assert secret == []
    assert [name for name, content in found.items() if KEY.encode() in content] == [
        "0:usr/share/doc/tool/example.pem"
    ]
    assert not [name for name in found if name.endswith("_key") or "40_custom" in name]
    assert "0:usr/share/doc/tool/passwd.txt" in found
    assert "/etc/grub.d/40_custom is left out: it holds password hashes." in made.notes
    assert f"/{snapshot}/root/.ssh/id_rsa is left out: it holds a private key." in made.notes
    # The last look sees the same.
    for name in ("data/x/etc/shadow", "data/.htpasswd"):
        write(tmp_path / "leak", name, f"root:{HASH}:1::::::\n")
    layer = pack(tmp_path / "leak", tmp_path / "layer")
    with pytest.raises(SecretInImage, match=r"/data/\.htpasswd \(password hashes\)"):
        await verify.check_secrets(layer)


async def test_copies_of_systems_are_left_out_with_a_note(paths: Paths, root: Path, tmp_path: Path) -> None:
    for name in (
        "timeshift/snapshots/1",
        ".snapshots/1/snapshot",
        "var/lib/machines/vm",
        "backup",
        "@home/ann",
    ):
        write(root, f"{name}/x", CANARY)
    source = Source("own", SourceKind.DIRECTORY, str(root))
    made = await make(paths, source, BuildOptions(omit_excludes=("backup/*",)))
    found = seen(paths, made, tmp_path / "seen")
    assert [name for name, content in found.items() if CANARY.encode() in content] == ["0:backup/x"]
    told = [each.partition(" is left out")[0].rpartition(" ")[2] for each in made.notes]
    assert told == ["/.snapshots", "/@*", "/timeshift", "/var/lib/machines"]


async def test_homes_are_where_passwd_says(paths: Paths, root: Path, tmp_path: Path) -> None:
    people = {
        "bob": (2001, "/skole/tjener/home0/bob"),
        "cid": (2002, "/data/cid/"),
        "moved": (2003, "/people/moved"),
        "app": (2004, "/var/lib/app"),
        "odd": (2005, "/usr/local/odd"),
        "top": (2006, "/"),
        "none": (2007, "/nonexistent"),
        "daemon": (998, "/opt/daemon"),
        "ldap": (10_000_017, "/school/ldap"),
    }
    lines = "".join(f"{name}:x:{uid}:1::{home}:/bin/sh\n" for name, (uid, home) in people.items())
    write(root, "etc/passwd", f"root:x:0:0::/root:/bin/sh\n{lines}")
    for name in ("skole/tjener/home0/bob", "data/cid", "disk/moved", "school/ldap"):
        write(root, f"{name}/letters/love", CANARY, 0o644)
    (root / "people").symlink_to("/disk")
    kept = ("var/lib/app/x", "usr/local/odd/x", "opt/daemon/x", "data/other/x", "skole/x")
    for name in kept:
        write(root, name, "kept")
    source = Source("own", SourceKind.DIRECTORY, str(root))
    made = await make(paths, source)
    found = seen(paths, made, tmp_path / "seen")
    assert [name for name, content in found.items() if CANARY.encode() in content] == []
    assert {f"0:{name}" for name in kept} <= {*found}
    assert any("/skole/tjener/home0/bob is left out, because passwd says" in each for each in made.notes)
    assert not [each for each in made.notes if "home of app" in each]


def test_many_homes_side_by_side_are_one_place(root: Path) -> None:
    lines = "".join(f"u{number}:x:{1000 + number}:1::/net/homes/u{number}:/bin/sh\n" for number in range(50))
    write(root, "etc/passwd", lines)
    for number in range(50):
        write(root, f"net/homes/u{number}/x")
    assert [*homes.patterns(root)] == ["net/homes/*", "net/homes/.*"]


def test_people_are_those_between_the_limits_of_login_defs() -> None:
    passwd = b"a:x:600:1::/a:/bin/sh\nb:x:1500:1::/b:/bin/sh\nc:x:70000:1::/c:/bin/sh\nbroken\nd:x:x:1::/d:\n"
    assert [name for name, _ in homes.people(passwd, b"")] == [b"b", b"c"]
    definitions = b"# UID_MIN 1\nUID_MIN\t\t500\nUID_MAX 1400\n"
    assert [name for name, _ in homes.people(passwd, definitions)] == [b"a", b"c"]


def test_what_was_left_out_is_bounded(root: Path) -> None:
    """A walk of a directory with very many private files tells of it once, and excludes it with two lines."""
    for number in range(300):
        write(root, f"var/lib/mail/{number}/letter", "x", 0o600)
        write(root, f"var/lib/open/{number}", "x", 0o600)
    (root / "var/lib/mail").chmod(0o700)
    tree = scan(root, (), b"", strict=True)
    private = sorted((each.path, each.files) for each in tree.private)
    assert private == [(b"var/lib/mail", 300), (b"var/lib/open", 300)]
    assert len(tree.patterns) == 4
    assert b"var/lib/mail/1" not in tree.table.directories
    assert len(remarks.private(privacy.missed(tree.private), ())) == 3
