"""``Gateway``: what the HTTP gateway, and nobody else, hands over."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ltspd.api import noun
from ltspd.api.noun import Call, Method, Noun, Refusal
from ltspd.clients.fields import ANSWERS_ON_THE_BUS, ON_THE_BUS
from ltspd.errors import InvalidOption, NotAuthorized
from ltspd.model.state import State
from ltspd.names import interface

log = logging.getLogger(__name__)

# What a client reports: all but the times are words, which the core looks at.
REPORT_KEYS: Mapping[str, str] = {
    **dict.fromkeys((*ON_THE_BUS.values(), *ANSWERS_ON_THE_BUS.values()), "s"),
    "LastSeen": "t",
    "Stages": "a{st}",
}
# Clients in one call of ReportClients.
REPORTS_MOST = 500
# Sentences in one call of ReportProblems, and characters in each.
PROBLEMS_MOST, PROBLEM_MOST = 16, 400

_WHO = "to be the user ltspd-gateway or root"


class Core(noun.Core, Protocol):
    """What the methods of the gateway need."""

    async def heard_clients(self, reports: Sequence[Mapping[str, object]]) -> int:
        """Take note of what clients reported; return how many sent values that can't be right."""

    def heard_gateway(self, problems: Sequence[str]) -> None:
        """Take note of all that is wrong with the gateway now."""


def plain(call: Call, keys: Mapping[str, str], most: int) -> Sequence[Mapping[str, object]]:
    """Return the known keys of the call's dictionaries as plain values; raises Refusal, InvalidOption."""
    entries: Sequence[Mapping[str, Any]] = call.arguments[0]
    if len(entries) > most:
        raise Refusal("LimitsExceeded", f"At most {most} entries in a call, not {len(entries)}.")
    for key, signature in keys.items():
        if any(key in each and each[key].signature != signature for each in entries):
            raise InvalidOption(f"{key} must have the D-Bus type '{signature}'.")
    return [{key: each[key].value for key in keys if key in each} for each in entries]


async def _report_clients(core: Core, _state: State, call: Call) -> None:
    if refused := await core.heard_clients(plain(call, REPORT_KEYS, REPORTS_MOST)):
        log.warning("The gateway reported %d client(s) with values that can't be right.", refused)


async def _report_problems(core: Core, _state: State, call: Call) -> None:
    problems: Sequence[str] = call.arguments[0]
    if len(problems) > PROBLEMS_MOST or any(len(each) > PROBLEM_MOST for each in problems):
        most = f"At most {PROBLEMS_MOST} problems in a call, each of at most {PROBLEM_MOST} characters."
        raise Refusal("LimitsExceeded", most)
    core.heard_gateway([each if each.isprintable() else repr(each) for each in problems])


NOUN: Noun[State] = Noun(
    name=interface("Gateway"),
    objects=lambda state: (state,),
    methods=(
        Method(
            name="ReportClients",
            inputs="aa{sv} clients",
            run=_report_clients,
            action=None,
            only="gateway",
            needs=_WHO,
            doc=f"""Only for the HTTP gateway, which reads what clients report: hand over clients that are
                new or have changed, at most {REPORTS_MOST} in a call. Keys, any of which but Mac may be
                missing: Mac, Address, Hostname, Image, Generation, Transport, Stage, Error (all s) and
                LastSeen (t), as the properties of Client; Key (s, a whole public key) and Kept (s, 1 if the
                client keeps it over its boots); Boot (s, the kernel's id of its boot); Pending (s,
                names of settings that wait for its next boot); Order and Result (s,
                what became of an order to it); Stages (a{{st}}, when it reported each stage of its boot).
                Unknown keys are ignored, and so is a client with a value
                that can't be right.""",
            errors=(InvalidOption, NotAuthorized),
        ),
        Method(
            name="ReportProblems",
            inputs="as problems",
            run=_report_problems,
            action=None,
            only="gateway",
            needs=_WHO,
            doc=f"""Only for the HTTP gateway: what is wrong with it now, at most {PROBLEMS_MOST}
                sentences of at most {PROBLEM_MOST} characters; they replace the earlier ones. They appear
                in Manager.Problems.""",
            errors=(NotAuthorized,),
        ),
    ),
)
