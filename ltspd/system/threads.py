"""Blocking work in threads, and two works side by side; each says what a cancel does to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

from ltspd.system import priority

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
Ts = TypeVarTuple("Ts")
# Seconds to wait for a thread, which can't be interrupted; a cancelled job must end within 2 s.
PATIENCE = 1.0


async def in_thread(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Run blocking work in a thread; when cancelled, wait PATIENCE seconds for it: it may hold open files."""
    work = asyncio.ensure_future(priority.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # The files that it works on will be removed, so its errors are not reported.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([work], timeout=PATIENCE)
        raise


async def to_the_end(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Run short blocking work to its end, even if the caller is cancelled meanwhile.

    The cancel is dropped, because the work was done.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
    return work.result()


async def together(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Run two works side by side; the first error cancels the other and is raised as it is."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
