"""Blocking work in threads and works side by side, with an exact meaning of being cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

from ltspd.system import priority

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
Ts = TypeVarTuple("Ts")
# A cancelled job must end within 2 s, so no longer is waited for a thread that can't be interrupted.
PATIENCE = 1.0


async def in_thread(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Run blocking work in a thread and, when cancelled, give it time to end: it may hold files of ours."""
    work = asyncio.ensure_future(priority.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # What it still does it does to files that will be gone; nobody wants to hear of that.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([work], timeout=PATIENCE)
        raise


async def to_the_end(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Run short blocking work that nothing may interrupt: a cancel that comes now comes too late.

    The caller is told the truth, that it was done, instead of "cancelled".
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
    """Run two works side by side; the first error ends the other and is raised as it is."""
    tasks = (asyncio.ensure_future(first), asyncio.ensure_future(second))
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
