"""Low priority for the work of one task: its threads, and whatever ``run`` starts for it.

Which work is meant is told by the task's context, so that nothing between has to pass it on.
"""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# As much as a program gets that is started with nice(1). Linux derives the priority of reading and writing
# from it, too (ioprio_get(2)): the last but one of eight. Idle, which programs get besides, would be wrong
# for threads: they hold the package manager's lock, and others wait for that.
NICE = 10
# A build works on two things at once, and reads a third beside them.
_THREADS = 4

_low: contextvars.ContextVar[ThreadPoolExecutor | None] = contextvars.ContextVar("low", default=None)


def is_low() -> bool:
    """Whether what the present task does shall get low priority."""
    return _low.get() is not None


@contextmanager
def low(wanted: bool) -> Iterator[None]:
    """Give what this task does in the block low priority, if that is wanted."""
    if not wanted:
        yield
        return
    # Threads of its own: without privileges a priority once given up can't be taken back.
    threads = ThreadPoolExecutor(_THREADS, "low", initializer=_give_up)
    token = _low.set(threads)
    try:
        yield
    finally:
        _low.reset(token)
        # Who was cancelled does not wait for a thread that can't be interrupted.
        threads.shutdown(wait=False)


async def to_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do as ``asyncio.to_thread``, but in a thread of low priority where that is wanted."""
    if (threads := _low.get()) is None:
        return await asyncio.to_thread(function, *arguments, **options)
    work = partial(contextvars.copy_context().run, function, *arguments, **options)
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _give_up() -> None:
    # Linux has priorities for threads, not for processes, whatever POSIX says (setpriority(2)).
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
