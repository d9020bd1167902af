"""Links: what the kernel tells of them in a network of the test's own, and what wakes the daemon."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted

from ltspd.observe import links
from tests import REPOSITORY
from tests.patience import PATIENCE


def in_own_network(script: str) -> Any:
    """Run a Python script in a new network namespace and return the JSON that it prints."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making a network namespace needs root and iproute2")
    done = subprocess.run(
        ["unshare", "--net", "--", sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SNAPSHOT = r"""
import asyncio, json, subprocess
from ltspd.observe.links import snapshot

def ip(*commands):
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)

ip(
    "link set lo up",
    "link add eth0 type veth peer name far0",
    "address add 10.0.3.2/24 dev eth0",
    "address add 192.168.67.1/24 dev eth0",
    "link set eth0 up",
    "link set far0 up",
    "route add default via 10.0.3.1 dev eth0",
    "link add br0 type bridge",
    "link add port0 type veth peer name far1",
    "link set port0 master br0",
    "link add docker0 type bridge",
    "address add 172.17.0.1/16 dev docker0",
    *(f"link add {name} type bridge" for name in ("waydroid0", "mpqemubr0", "vmnet8")),
    "link add vboxnet0 type veth peer name vnet9",
    "tuntap add dev vpn0 mode tun",
    "-6 address add 2001:db8::1/64 dev far0 nodad",
    "link add way0 type veth peer name way1",
    "link set way0 up",
    "link set way1 up",
    "address add 10.8.0.1/24 dev way0",
    "address add 10.7.0.1/32 peer 10.7.0.9/32 dev way1",
    "route add default metric 9 nexthop via 10.8.0.9 dev way0 nexthop dev way1",
    "route add default via 10.3.0.9 dev lo table 77 onlink",
)
open("/proc/sys/net/ipv4/conf/eth0/forwarding", "w").write("1")
found = asyncio.run(snapshot())
print(json.dumps({
    link.name: [link.kind, link.up, link.enslaved, link.default_route, link.global_ipv6,
                [str(each) for each in link.addresses], len(link.mac), str(link.gateway), link.forwards]
    for link in found
}))
assert [link.index for link in found] == sorted(link.index for link in found)
"""


def test_a_snapshot_of_the_links() -> None:
    found = in_own_network(SNAPSHOT)
    assert found["lo"][:2] == ["loopback", True]
    assert found["lo"][5] == ["127.0.0.1/8"]
    assert found["eth0"] == [
        "veth",
        True,
        False,
        True,
        False,
        ["10.0.3.2/24", "192.168.67.1/24"],
        17,
        "10.0.3.1",
        True,
    ]
    assert found["far0"] == ["veth", True, False, False, True, [], 17, "None", False]
    assert found["br0"][:3] == ["bridge", False, False]
    assert found["port0"][:3] == ["veth", False, True]
    assert found["docker0"][:2] == ["virtual", False]
    assert found["docker0"][5] == ["172.17.0.1/16"]
    assert found["vpn0"][0] == "virtual"
    # Both ways of one route; another table's route is not where traffic goes.
    assert {name for name in found if found[name][3]} == {"eth0", "way0", "way1"}
    assert found["way1"][5] == ["10.7.0.1/32"]
    assert [found[name][7] for name in ("way0", "way1")] == ["10.8.0.9", "None"]
    # Networks of other software's guests, some of which look like cards.
    assert {found[name][0] for name in ("waydroid0", "mpqemubr0", "vmnet8", "vboxnet0")} == {"virtual"}


MANY = r"""
import asyncio, json, subprocess
from ltspd.observe.links import snapshot

batch = "".join(
    f"link add eth{n} type veth peer name far{n}\naddress add 10.1.{n}.1/24 dev eth{n}\n" for n in range(120)
)
subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
told = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
expected = {
    each["ifname"]: [each["ifindex"], each["address"], [
        f"{one['local']}/{one['prefixlen']}" for one in each["addr_info"] if one["family"] == "inet"
    ]]
    for each in told
}
links = asyncio.run(snapshot())
found = {link.name: [link.index, link.mac, [str(one) for one in link.addresses]] for link in links}
print(json.dumps([expected, found]))
"""


def test_more_links_than_one_answer_of_the_kernel_holds() -> None:
    expected, found = in_own_network(MANY)
    assert len(found) > 240
    assert found == expected


def test_a_table_that_changed_while_it_was_read_is_read_again() -> None:
    tries = iter([NetlinkDumpInterrupted(), NetlinkDumpInterrupted(), None])

    def read() -> tuple[str, ...]:
        if (error := next(tries)) is not None:
            raise error
        return ("lo",)

    assert links._table(read) == ["lo"]


WAKE = r"""
import asyncio, json, os, subprocess
from ltspd.observe.links import wake_socket

async def main():
    woken = asyncio.Event()
    close = wake_socket(woken.set)
    result = {}

    async def wakes(*command):
        woken.clear()
        process = await asyncio.create_subprocess_exec("ip", *" ".join(command).split())
        await process.wait()
        try:
            async with asyncio.timeout(600):
                await woken.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(0.2)  # later notices of the same change
        return True

    result["link"] = await wakes("link add eth0 type veth peer name far0")
    result["up"] = await wakes("link set eth0 up")
    result["address"] = await wakes("address add 10.0.3.2/24 dev eth0")
    result["route"] = await wakes("route add 10.9.0.0/24 dev eth0")
    result["gone"] = await wakes("link delete eth0")
    woken.clear()
    await asyncio.sleep(0.3)
    result["quiet"] = not woken.is_set()
    before = len(os.listdir("/proc/self/fd"))
    close()
    result["closed"] = before - len(os.listdir("/proc/self/fd"))
    print(json.dumps(result))

asyncio.run(main())
"""


def test_changes_of_links_wake_and_nothing_else_does() -> None:
    expected: dict[str, Any] = dict.fromkeys(("link", "up", "address", "route", "gone", "quiet"), True)
    assert in_own_network(WAKE) == {**expected, "closed": 1}
