"""Low priority for one task: for its threads, and for the programs that ``run`` starts for it.

A context variable carries it, so that the functions in between need no parameter.
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
# The default of nice(1). Linux derives the I/O priority from it, too (ioprio_get(2)): the last but one of
# eight. Programs also get the idle class, but threads do not: they hold the package manager's lock, for
# which others wait.
NICE = 10
# A build works on two things at once, and reads a third beside them.
_THREADS = 4

_low: contextvars.ContextVar[ThreadPoolExecutor | None] = contextvars.ContextVar("low", default=None)


def is_low() -> bool:
    """Whether the present task runs at low priority."""
    return _low.get() is not None


@contextmanager
def low(wanted: bool) -> Iterator[None]:
    """Run the block at low priority if ``wanted``."""
    if not wanted:
        yield
        return
    # The threads are not shared: without privileges a thread can't raise its priority again.
    threads = ThreadPoolExecutor(_THREADS, "low", initializer=_give_up)
    token = _low.set(threads)
    try:
        yield
    finally:
        _low.reset(token)
        # A thread can't be interrupted, so a cancelled task does not wait for it.
        threads.shutdown(wait=False)


async def to_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do as ``asyncio.to_thread``, in a thread of low priority if the task runs at low priority."""
    if (threads := _low.get()) is None:
        return await asyncio.to_thread(function, *arguments, **options)
    work = partial(contextvars.copy_context().run, function, *arguments, **options)
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _give_up() -> None:
    # On Linux a priority belongs to a thread, not to a process (setpriority(2)).
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
