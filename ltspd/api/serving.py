"""Method and property of ``Manager`` about machines that boot: whether they are answered at all."""

import asyncio
from operator import attrgetter

from ltspd.api.noun import CONFIGURE, PATIENCE, Call, Core, Method, Property
from ltspd.errors import ToolFailed
from ltspd.model.state import State
from ltspd.paths import Paths
from ltspd.system.files import remove, write_atomically

SINCE = "0.5.0"


def change(paths: Paths, *, on: bool) -> None:
    """Answer machines that boot from the next pass on, or no longer; raises ToolFailed. Blocks."""
    try:
        if on:
            remove(paths.silence)
        elif not paths.silence.exists():
            write_atomically(paths.silence, b"")
    except OSError as error:
        raise ToolFailed(f"{paths.silence} can't be changed ({error.strerror}).") from error


async def _serve(core: Core, _state: State, call: Call) -> None:
    await asyncio.to_thread(change, core.paths, on=bool(call.arguments[0]))
    await core.tell()
    await core.follow_up(PATIENCE)


METHODS: tuple[Method[State], ...] = (
    Method(
        name="Serve",
        inputs="b on",
        run=_serve,
        action=CONFIGURE,
        doc="""Answer machines that boot (true), or stop that (false): then there is neither DHCP nor TFTP,
            and no boot program or menu by HTTP. Clients that run keep their roots and homes. It stays so
            until the next call, also after a reboot. Returns when it is done, or after 10 s if services take
            longer: State is applying then.""",
        errors=(ToolFailed,),
        since=SINCE,
    ),
)

PROPERTY: Property[State] = Property(
    "Serving",
    "b",
    attrgetter("serving"),
    "Machines that boot are answered; false: somebody has called Serve(false).",
    since=SINCE,
)
