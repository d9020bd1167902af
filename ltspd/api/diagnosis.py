"""Methods of ``Manager`` about what is wrong: with the server, or with one machine."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

from ltspd.api import noun
from ltspd.api.noun import Call, Method, Property, record
from ltspd.errors import NoSuchClient
from ltspd.model.finding import Finding
from ltspd.model.state import State


class Core(noun.Core, Protocol):
    """What these methods need."""

    async def diagnose(self, name: str) -> Sequence[Finding]:
        """Return what was found of a machine, or of the server without a name; raises NoSuchClient."""


FINDING: tuple[Property[Finding], ...] = (
    Property(
        "Severity",
        "s",
        lambda finding: str(finding.severity),
        "error (it keeps machines from booting), warning (it may), or info (what was seen)",
        since="0.4.0",
    ),
    Property("Subject", "s", attrgetter("subject"), "What it is about.", since="0.4.0"),
    Property("Cause", "s", attrgetter("cause"), "What was found, and what it usually means.", since="0.4.0"),
    Property(
        "Step", "s", attrgetter("step"), "What to do next; empty: nothing, or Cause says it.", since="0.4.0"
    ),
)


async def _diagnose(core: Core, _state: State, call: Call) -> Sequence[Mapping[str, Any]]:
    return [record(FINDING, each) for each in await core.diagnose(call.arguments[0])]


METHODS: tuple[Method[State], ...] = (
    Method(
        name="Diagnose",
        inputs="s host",
        outputs="aa{sv} findings",
        run=_diagnose,
        action=None,
        keys=FINDING,
        doc="""Look for what keeps machines from booting. With a host's MAC address, name or IP address: what
            was seen of it from its first DHCP packet on, and where it stopped. With an empty name: the
            server's own side, as ports that others hold, a firewall that drops what machines send, and other
            DHCP servers; the worst comes first.""",
        errors=(NoSuchClient,),
        since="0.4.0",
    ),
)
