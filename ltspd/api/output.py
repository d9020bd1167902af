"""``Output``: files that the daemon writes, and the unit that uses them."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

from ltspd.api import noun
from ltspd.api.noun import CONFIGURE, Call, Method, Noun, Property
from ltspd.errors import NoSuchOutput
from ltspd.model.output import Output, OutputStatus
from ltspd.names import interface


class Applier(Protocol):
    """What writes outputs."""

    def preview(self, output: Output) -> str:
        """Return what applying an output would change, as text."""


class Core(noun.Core, Protocol):
    """What the methods of an output need."""

    @property
    def outputs(self) -> Sequence[Output]:
        """The outputs as they are to be."""

    @property
    def applier(self) -> Applier:
        """What writes them."""


async def _preview(core: Core, output: OutputStatus, _call: Call) -> str:
    found = next((each for each in core.outputs if each.name == output.name), None)
    if found is None:
        known = ", ".join(each.name for each in core.outputs)
        raise NoSuchOutput(f"There is no output {output.name!r}; there is: {known}.")
    return core.applier.preview(found)


NOUN: Noun[OutputStatus] = Noun(
    name=interface("Output"),
    objects=attrgetter("outputs"),
    key=attrgetter("name"),
    details=lambda output: {"output": output.name},
    methods=(
        Method(
            name="Preview",
            outputs="s text",
            run=_preview,
            action=CONFIGURE,
            doc="Return what applying this output would change, as text.",
            errors=(NoSuchOutput,),
        ),
    ),
    properties=(
        Property("Name", "s", attrgetter("name"), emits="const"),
        Property("Paths", "as", attrgetter("paths"), "The files that this output writes."),
        Property("Unit", "s", attrgetter("unit"), "The systemd unit that uses them; empty if none does."),
        Property(
            "State", "s", lambda output: str(output.state), "in-sync, pending, edited, failed or disabled."
        ),
        Property("Message", "s", attrgetter("message"), "The reason for State; may be empty."),
        Property("AppliedAt", "t", attrgetter("applied_at"), "When its files were last written."),
    ),
)
