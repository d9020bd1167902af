"""Memory that was freed goes back to the system, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from tests import REPOSITORY

MIB = 1 << 20

# A large block that is freed raises the C library's thresholds; what is below them then stays, in one pool a
# thread; and so does what lies between blocks that are still in use.
WORK = """
import sys, threading
from ltspd.system import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "little":
    assert memory.keep_little()
assert memory  # the same imports in both
before = resident()
bytes(30 << 20)
kept, held = [], []

def work():
    for _ in range(300):
        kept.append(bytearray(90 << 10))
        held.append(bytearray(600))

thread = threading.Thread(target=work)
thread.start()
thread.join()
kept.clear()
if sys.argv[1] == "little":
    memory.give_back()
print(resident() - before)
"""


def left(how: str) -> int:
    """Return the bytes that a process has more after the work than before it."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, how], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_freed_memory_goes_back() -> None:
    assert left("much") > 15 * MIB
    assert left("little") < 6 * MIB
