"""``Listener``: what the process that hears DHCP, and nobody else, hands over."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from ltspd.api import noun
from ltspd.api.gateway import plain
from ltspd.api.noun import Call, Method, Noun
from ltspd.clients import seen
from ltspd.errors import InvalidOption, NotAuthorized
from ltspd.model.state import State
from ltspd.names import interface

log = logging.getLogger(__name__)

# Machines and servers in one call.
MACHINES_MOST, SERVERS_MOST = 200, 32
_MACHINE = {key: signature for key, (signature, _) in seen.MACHINE.items()}
_SERVER = {key: signature for key, (signature, _) in seen.SERVER.items()}
_WHO = "to be the user ltspd-listener or root"


class Core(noun.Core, Protocol):
    """What the methods of the listener need."""

    def heard_machines(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take note of machines that boot; return how many have values that can't be right."""

    def heard_servers(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take note of all servers that answer now; return how many have values that can't be right."""


async def _report_machines(core: Core, _state: State, call: Call) -> None:
    if refused := core.heard_machines(plain(call, _MACHINE, MACHINES_MOST)):
        log.warning("The listener reported %d machine(s) with values that can't be right.", refused)


async def _report_servers(core: Core, _state: State, call: Call) -> None:
    if refused := core.heard_servers(plain(call, _SERVER, SERVERS_MOST)):
        log.warning("The listener reported %d server(s) with values that can't be right.", refused)


NOUN: Noun[State] = Noun(
    name=interface("Listener"),
    objects=lambda state: (state,),
    methods=(
        Method(
            name="ReportMachines",
            inputs="aa{sv} machines",
            run=_report_machines,
            action=None,
            only="listener",
            needs=_WHO,
            doc=f"""Only for the process that hears DHCP: hand over machines that boot and are new
                or have changed, at most {MACHINES_MOST} in a call. Keys: Mac, Link, Vendor, Stage, Server,
                File, Lease (all s), Architecture (i), Expires and LastSeen (t), and Steps (as), each "TIME
                WORD SERVER ADDRESS TEXT COUNT LAST" with - for nothing. Unknown keys are ignored, and so is a
                machine with a value that can't be right.""",
            errors=(InvalidOption, NotAuthorized),
            since="0.4.0",
        ),
        Method(
            name="ReportServers",
            inputs="aa{sv} servers",
            run=_report_servers,
            action=None,
            only="listener",
            needs=_WHO,
            doc=f"""Only for the process that hears DHCP: all DHCP servers but this one that answer on
                served links now, at most {SERVERS_MOST}; they replace the earlier ones. Keys: Link, Address,
                Mac, File (all s), Gives (b, addresses), Boots (b, it says what to boot) and LastSeen (t).
                Those that are in the way appear in Manager.Problems.""",
            errors=(InvalidOption, NotAuthorized),
            since="0.4.0",
        ),
    ),
)
