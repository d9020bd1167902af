"""polkit's agent for terminals: it asks for a password here if no desktop can ask."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds to wait for the agent's start and end, so that a broken agent can't hold up the command.
READY_TIMEOUT = 5.0
END_TIMEOUT = 2.0


@contextmanager
def terminal_agent() -> Iterator[None]:
    """Run an agent while a call may need a password; root needs none, and without a terminal none can ask."""
    program = shutil.which("pkttyagent")
    if os.geteuid() == 0 or not sys.stdin.isatty() or program is None:
        yield
        return
    ready, tell = os.pipe()
    # The agent closes this descriptor once it is registered.
    argv = [program, "--notify-fd", str(tell), "--process", str(os.getpid())]
    if _in_session():
        argv.append("--fallback")  # if the desktop has an agent, that one asks
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
    """Whether systemd-logind knows this login: for others polkit never asks a fallback agent."""
    try:
        with open("/proc/self/cgroup") as groups:
            return "/user.slice/" in groups.read()
    except OSError:
        return True


def _wait(ready: int) -> None:
    import select

    select.select([ready], [], [], READY_TIMEOUT)
