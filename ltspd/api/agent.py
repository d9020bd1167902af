"""polkit's text agent: it asks for a password on this terminal where no desktop would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A broken agent must not keep the command from its call; seconds.
READY_TIMEOUT = 5.0
END_TIMEOUT = 2.0


@contextmanager
def terminal_agent() -> Iterator[None]:
    """Have an agent while a call may ask for an authorization; none for root or without a terminal."""
    program = shutil.which("pkttyagent")
    if os.geteuid() == 0 or not sys.stdin.isatty() or program is None:
        yield
        return
    ready, tell = os.pipe()
    # The notify descriptor closes once the agent is registered.
    argv = [program, "--notify-fd", str(tell), "--process", str(os.getpid())]
    if _in_session():
        argv.append("--fallback")  # a desktop's own agent goes first
    try:
        agent = subprocess.Popen(argv, pass_fds=(tell,))
    except OSError:
        agent = None
    finally:
        os.close(tell)
    try:
        _wait(ready)
        yield
    finally:
        os.close(ready)
        if agent is not None:
            agent.terminate()
            try:
                agent.wait(END_TIMEOUT)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()


def _in_session() -> bool:
    """Whether this is a login that systemd-logind knows: polkit never asks a fallback agent elsewhere."""
    try:
        with open("/proc/self/cgroup") as groups:
            return "/user.slice/" in groups.read()
    except OSError:
        return True


def _wait(ready: int) -> None:
    import select

    select.select([ready], [], [], READY_TIMEOUT)
