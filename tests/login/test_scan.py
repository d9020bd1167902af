"""What any machine of the network can fetch without saying who it is holds no secret of the server."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.lab.net import SERVER_ADDRESS
from tests.lab.people import CODES, LENA, PEOPLE
from tests.lab.server import Server
from tests.lab.sitting import OWN

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Compressed parts of initrds begin so (zstd, gzip).
_COMPRESSED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b\x08": "gzip"}
TABLE = "/var/lib/ltspd/outputs/gateway.json"
_MAC, _BOOT = "52:54:00:67:f7:99", "00000000-0000-0000-0000-000000000000"


def canaries(server: Server) -> dict[str, bytes]:
    """Return what nobody may get, each with words for what it is."""
    found = {f"{name}'s password": each.password.encode() for name, each in PEOPLE.items()}
    found |= {"lena's password": LENA.password.encode(), "the key of one-time codes": CODES.encode()}
    for line in server.run("cat /etc/shadow").splitlines():
        name, hashed = line.split(":")[:2]
        if len(hashed) > 20:
            found[f"{name}'s hash"] = hashed.rpartition("$")[2].encode()
    for path in server.run("grep -rl 'PRIVATE KEY-----' /var/lib/ltspd /etc/ssh").split():
        # The middle of a key: its first and last lines tell its kind and padding only.
        lines = server.run(f"cat {path}").splitlines()[1:-1]
        found[f"the private key {path}"] = lines[len(lines) // 2].encode()
    # Whatever else of ours is for others not to read, such as tokens; but halves of keys that are public.
    public = server.run("cat /var/lib/ltspd/keys/*.pub 2>/dev/null || :").encode()
    # The gateway's table is no such file: it says what clients may fetch, and nobody else here needs it.
    files = f"-type f ! -path {TABLE} ! -perm -o+r -size -64k"
    script = f"find /var/lib/ltspd /run/ltspd* {files} 2>/dev/null || :"
    for path in server.run(script).split():
        words = re.findall(rb"[A-Za-z0-9+/=_-]{40,}", server.path(path).read_bytes())
        found |= {f"word {at} of {path}": word for at, word in enumerate(words) if word not in public}
    assert {"anna's hash", "the private key /var/lib/ltspd/keys/login"} <= set(found)
    return found


def unpacked(data: bytes) -> bytes:
    """Return data and what is in its compressed parts."""
    found = [data]
    for magic, tool in _COMPRESSED.items():
        for start in (each.start() for each in re.finditer(re.escape(magic), data)):
            # What only looks like the beginning of one yields nothing.
            done = subprocess.run([tool, "-dcq"], input=data[start:], capture_output=True, check=False)
            found.append(done.stdout)
    return b"".join(found)


def search(data: bytes, secrets: dict[str, bytes], place: str) -> list[str]:
    return [f"{what} in {place}" for what, secret in secrets.items() if secret in data]


def test_nothing_that_can_be_fetched_has_a_secret(school: Server, tmp_path: Path) -> None:
    secrets = canaries(school)
    # What is there and no secret, in a compressed initrd and in a layer: the search would find a secret, too.
    control = {"a program": b"BusyBox v1", "an account": f"{OWN}:x:900:".encode()}
    secrets |= control
    table = json.loads(school.run(f"cat {TABLE}"))
    urls = [f"http://{SERVER_ADDRESS}{each}" for each in table["files"]]
    urls += [
        f"tftp://{SERVER_ADDRESS}/{each}" for each in school.run("cd /srv/tftp && find . -type f").split()
    ]
    # What is made for each client, what it is told while it runs, and what is not for clients at all.
    base = f"http://{SERVER_ADDRESS}/ltsp"
    urls += [f"{base}/boot?mac={_MAC}&arch=x86_64", f"{base}/live?mac={_MAC}&boot={_BOOT}&revision=0"]
    urls += [f"http://{SERVER_ADDRESS}/metrics", f"{base}/accounts", f"{base}/report"]
    urls += [f"tftp://{SERVER_ADDRESS}/ltsp/../../../etc/shadow", f"{base}/../../etc/shadow"]
    place = school.path("/run/scan")
    script = "mkdir -p /run/scan; cd /run/scan\n"
    for number, url in enumerate(urls):
        # News for a client that has all of them may be a long time in coming.
        patience = 2 if "/live?" in url else 60
        script += f"curl -s --path-as-is -m {patience} -o {number} '{url}'\n"
    school.run(f"{script}:", timeout=600)
    found = []
    layers = []
    whole = 0
    for number, url in enumerate(urls):
        file = place / str(number)
        if not file.exists():
            continue
        whole += 1
        if url.endswith(".squashfs"):
            layers.append(file)
        elif not url.endswith("vmlinuz"):
            found += search(unpacked(file.read_bytes()), secrets, url)
    assert whole > len(table["files"])
    assert layers
    for file in layers:
        out = tmp_path / file.name
        subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-dest", str(out), str(file)], check=True)
        words = [each for secret in secrets.values() for each in ("-e", secret.decode())]
        grep = ["grep", "-rohaF", "--devices=skip", *words, str(out)]
        seen = subprocess.run(grep, capture_output=True, check=False).stdout
        found += search(seen, secrets, file.name)
    school.run("rm -r /run/scan")
    assert {what for what in control if any(each.startswith(f"{what} in ") for each in found)} == set(control)
    assert [each for each in found if each.partition(" in ")[0] not in control] == []
