"""Rendered files against directories of expected ones, laid out as on disk: adding a case is adding files.

A case is ``golden/NAME`` with ``ltsp.conf``, ``facts.json`` (fields of Facts; what is left out has a
default below) and ``expected``: the files and links that must come out, and ``units``, a line an output.
With LTSPD_GOLDEN=write in the environment the expected files are written anew, for a person to review.
"""

import json
import os
import re
import shutil
import subprocess
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from ltspd.clients import table
from ltspd.model.facts import Facts
from ltspd.model.image import Generation, Image, Layer, Source, SourceKind
from ltspd.model.network import Link, LinkKind
from ltspd.model.output import Output
from ltspd.outputs import outputs
from tests.worlds.planning import conf, link, programs, world

CASES = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/facts.json"))
PROGRAMS = ["dnsmasq", "nbd-server", "ganesha.nfsd", "nft", "radvd", "sshd"]
BOOT_PROGRAMS = {name: f"/usr/lib/ipxe/{name}" for name in ("ipxe.efi", "snponly.efi", "undionly.kpxe")}

# A hash of a password, or a private key.
_SECRET = re.compile(rb"grub\.pbkdf2\.sha512\.\d|\$[56y]\$[^ ]{20}|PRIVATE KEY")


def _generation(image: str, given: dict[str, Any]) -> Generation:
    return Generation(
        id=given["id"],
        image=image,
        created=0.0,
        source=f"/srv/ltsp/{image}",
        architecture="x86_64",
        kernel=given["kernel"],
        layers=tuple(Layer(digest * 32, 1000) for digest in given["layers"]),
        source_bytes=0,
        source_files=0,
        kernel_bytes=0,
        initrd_bytes=0,
        packages_digest="",
        directory=given.get("directory", ""),
    )


def _facts(given: dict[str, Any]) -> Facts:
    links = [
        Link(
            name=each["name"],
            index=number,
            mac=f"52:54:00:00:00:{number:02x}",
            kind=LinkKind(each.get("kind", "ethernet")),
            up=each.get("up", True),
            addresses=tuple(map(IPv4Interface, each["addresses"])),
            global_ipv6=each.get("global_ipv6", False),
        )
        for number, each in enumerate(given["links"], 2)
    ]
    images = [
        Image(
            each["name"],
            tuple(_generation(each["name"], generation) for generation in each["generations"]),
            each.get("current", each["generations"][-1]["id"]),
        )
        for each in given.get("images", [])
    ]
    return Facts(
        links=tuple(links),
        images=tuple(images),
        sources=tuple(
            Source(name, SourceKind.DIRECTORY, f"/srv/ltsp/{name}") for name in given.get("chroots", ())
        ),
        nameservers=tuple(map(IPv4Address, given.get("nameservers", []))),
        search_domain=given.get("search_domain", ""),
        programs=programs(*given.get("programs", PROGRAMS)),
        boot_programs=given.get("boot_programs", BOOT_PROGRAMS),
        kernel_nfsd=given.get("kernel_nfsd", False),
    )


def rendered(case: Path) -> tuple[Output, ...]:
    given = json.loads((case / "facts.json").read_text())
    return outputs(world(conf((case / "ltsp.conf").read_text()), _facts(given)))


def _units(found: tuple[Output, ...]) -> bytes:
    lines = (
        f"{each.name}: {each.unit or '-'} {'wanted' if each.wanted else 'off'}"
        + (f" ({each.missing})" if each.missing else "")
        for each in found
    )
    return ("\n".join(lines) + "\n").encode()


def _tree(found: tuple[Output, ...]) -> dict[str, bytes | str]:
    """Return what would be on disk, bytes of files and targets of links, without outputs that are missing."""
    tree: dict[str, bytes | str] = {"units": _units(found)}
    for output in found:
        if not output.missing:
            tree |= {file.path.lstrip("/"): file.data for file in output.files}
            tree |= {link.path.lstrip("/"): link.target for link in output.links}
    return tree


def _on_disk(directory: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(directory)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def _write(directory: Path, tree: dict[str, bytes | str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    for name, content in tree.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_rendered_is_what_was_reviewed(case: Path) -> None:
    tree = _tree(rendered(case))
    if os.environ.get("LTSPD_GOLDEN") == "write":
        _write(case / "expected", tree)
    assert tree == _on_disk(case / "expected")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hashes_and_keys_are_not_for_everybody_but_where_machines_fetch_them(case: Path) -> None:
    files = [file for output in rendered(case) for file in output.files if _SECRET.search(file.data)]
    # GRUB and PXELINUX check a hash that stands in their menus.
    menus = ("/srv/tftp/grub/grub.cfg", "/srv/tftp/ltsp/pxelinux.cfg/")
    assert [each.path for each in files if each.mode & 0o007 and not each.path.startswith(menus)] == []
    if "menu-password" in case.name:
        assert "/var/lib/ltspd/outputs/gateway.json" in {each.path for each in files}


def test_there_are_cases() -> None:
    assert len(CASES) >= 7
    for name in ("dnsmasq.conf", "proxy-dhcp.conf", "tftp.conf", "radvd.conf", "gateway.json", "ltsp.ipxe"):
        assert len(_files(name)) >= 3, name


def _files(pattern: str) -> list[Any]:
    """Return the expected files of a name; one without a word is of a unit that is off."""
    every = [path for case in CASES for path in sorted((case / "expected").rglob(pattern))]
    found = [path for path in every if path.stat().st_size]
    return [
        pytest.param(path, id=f"{path.relative_to(CASES[0].parent).parts[0]}-{path.name}") for path in found
    ]


# ---- what the programs themselves say --------------------------------------------------------------


@pytest.mark.parametrize("path", _files("dnsmasq.conf") + _files("proxy-dhcp.conf") + _files("tftp.conf"))
def test_dnsmasq_accepts_its_file(path: Path) -> None:
    if shutil.which("dnsmasq") is None:
        pytest.skip("dnsmasq is not installed")
    done = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={path}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "syntax check OK" in done.stderr) == (0, True), done.stderr


LONG = "a" * 64


def test_names_that_dns_can_not_have_keep_nobody_else_from_theirs(tmp_path: Path) -> None:
    text = f"""[server]
DNS=1
DHCP_HOST_a="52:54:00:00:00:01 192.168.67.30 pc1"
DHCP_HOST_b="52:54:00:00:00:02 192.168.67.31 {LONG}"
"""
    for domain, full in (("school.example.", ",pc1.school.example"), (f"{LONG}.example", ""), ("a..b", "")):
        facts = Facts(
            links=(link("lan0", "192.168.67.1/24"),),
            # It may come from the router's DHCP server.
            search_domain=domain,
            programs=programs("dnsmasq"),
        )
        (dns,) = (each for each in outputs(world(conf(text), facts)) if each.name == "dns")
        lines = dns.files[0].data.decode()
        assert [line for line in lines.splitlines() if "host-record" in line] == [
            f"host-record=pc1{full},192.168.67.30"
        ]
        file = tmp_path / "dns.conf"
        file.write_text(lines)
        test_dnsmasq_accepts_its_file(file)


@pytest.mark.parametrize("path", _files("dnsmasq.conf") + _files("proxy-dhcp.conf"))
def test_proxied_ranges_have_no_tags_and_no_interface_can_be_called_like_a_tag(path: Path) -> None:
    lines = path.read_text().splitlines()
    links = {line.removeprefix("interface=") for line in lines if line.startswith("interface=")}
    assert [line for line in lines if re.match("dhcp-range=.*(set|tag):.*proxy", line)] == []
    ours = {tag for line in lines for tag in re.findall(r"set:([^,]+)", line)}
    assert all("/" in tag for tag in ours)
    used = {tag.removeprefix("!") for line in lines for tag in re.findall(r"tag:([^,]+)", line)}
    assert used <= ours | links


@pytest.mark.parametrize("path", _files("radvd.conf"))
def test_radvd_accepts_its_file(path: Path) -> None:
    if shutil.which("radvd") is None:
        pytest.skip("radvd is not installed")
    done = subprocess.run(
        ["radvd", "--configtest", "--config", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", _files("gateway.json"))
def test_the_gateway_accepts_its_table(path: Path) -> None:
    loaded = table.load(path.read_bytes())
    assert table.dump(loaded) == path.read_bytes()
    # The menu of GRUB is where GRUB itself decides.
    urls = loaded.files.keys() - {"/grub/grub.cfg"}
    assert all(url.startswith("/ltsp/") and ".." not in url for url in urls)
    assert all(file.startswith("/") for file in loaded.files.values())


# ---- laws of iPXE scripts --------------------------------------------------------------------------


@pytest.mark.parametrize("path", _files("ltsp.ipxe"))
def test_every_place_to_go_to_exists(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#!ipxe\n")
    labels = re.findall(r"^:(\S+)$", text, re.MULTILINE)
    assert len(labels) == len(set(labels))
    targets = set(re.findall(r"\bgoto ([^$\s]+)(?:\s|$)", text)) | set(
        re.findall(r"^item (\w\S*)", text, re.M)
    )
    images = set(re.findall(r"^set image (\S+)$", text, re.MULTILINE))
    assert targets | {f"image_{image}" for image in images} <= set(labels)


@pytest.mark.parametrize("path", _files("ltsp.ipxe"))
def test_no_command_that_may_fail_ends_the_script(path: Path) -> None:
    may_fail = re.compile(r"(iseq|isset|prompt|choose|kernel|initrd|imgfree|boot|clear|imgfetch)\b")
    for line in path.read_text().splitlines():
        if may_fail.match(line):
            assert re.search(r"\|\|( goto \w+| set \w+ \w+)?$", line), line


@pytest.mark.parametrize("path", _files("ltsp.ipxe"))
def test_the_menu_names_no_address_of_the_server(path: Path) -> None:
    for word in re.findall(r"\d+\.\d+\.\d+\.\d+", path.read_text()):
        assert f"iseq ${{ip}} {word} " in path.read_text(), "only clients are told apart by address"
