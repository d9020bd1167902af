"""Methods of ``Manager`` about what an earlier LTSP left: taking over from it, and giving back."""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

from ltspd.api import noun
from ltspd.api.noun import CONFIGURE, PATIENCE, Call, Method, Property
from ltspd.errors import ToolFailed
from ltspd.migration import leftovers, takeover
from ltspd.model.facts import Leftover
from ltspd.model.state import State


class Core(noun.Core, Protocol):
    """What these methods need."""

    def moved_files(self, moved: tuple[str, ...], *, back: bool) -> None:
        """Have the services that read LTSP's files take note of those that were moved, aside or back."""


LEFTOVER: tuple[Property[Leftover], ...] = (
    Property("Path", "s", attrgetter("path")),
    Property("Effect", "s", attrgetter("effect")),
    Property("Step", "s", attrgetter("step"), "what to do"),
    Property("Harms", "b", attrgetter("harms"), "it is in Problems, too"),
    Property("Moves", "b", attrgetter("moves"), "TakeOver moves it aside"),
)


async def _take_over(core: Core, _state: State, _call: Call) -> Sequence[str]:
    found = await asyncio.to_thread(leftovers.look, core.paths)
    return await _moved(core, await asyncio.to_thread(takeover.move_aside, core.paths, found), back=False)


async def _give_back(core: Core, _state: State, _call: Call) -> Sequence[str]:
    return await _moved(core, await asyncio.to_thread(takeover.put_back, core.paths), back=True)


async def _moved(core: Core, moved: tuple[str, ...], *, back: bool) -> Sequence[str]:
    core.moved_files(moved, back=back)
    await core.tell()
    await core.follow_up(PATIENCE)
    return moved


METHODS: tuple[Method[State], ...] = (
    Method(
        name="TakeOver",
        outputs="as moved",
        run=_take_over,
        action=CONFIGURE,
        doc="""Move those Remains aside whose Moves is true, let the distribution's services take note,
            bring everything up to date, and return the names that the files had; after 10 s if services
            take longer: State is applying then. The files stay where they are, with ".before-ltspd~"
            added to their names. Machines that LTSP booted and that still run may lose their roots. After
            an error everything is as it was.""",
        errors=(ToolFailed,),
    ),
    Method(
        name="GiveBack",
        outputs="as restored",
        run=_give_back,
        action=CONFIGURE,
        doc="""Undo TakeOver: put all of SetAside back, except where there is a file of that name again;
            return the names, after 10 s at the latest, as TakeOver does. dnsmasq and nbd-server read the
            files when they are started again, which is possible once ltspd has left their ports; the
            removal of its package restarts them.""",
        errors=(ToolFailed,),
    ),
)
