"""Orders to clients: what the methods ``Client.Order`` and ``Manager.OrderClients`` have in common. Pure."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ltspd.api import noun
from ltspd.api.noun import CONTROL_CLIENT, Call, Method, Option, path_of
from ltspd.clients.orders import DELAY_MOST, is_user, text_problem, words_of
from ltspd.clients.targets import Chosen, Directory, targets
from ltspd.errors import InvalidOption, NoSuchClient, NotInstalled, NotObeyed, ToolFailed
from ltspd.model.order import Request, Verb
from ltspd.model.state import State

# Seconds that clients have for an answer. One that is woken has its firmware, menu and kernel to load.
ANSWER, BOOT = 30, 300
TIMEOUT_MOST = 3600


class Orders(Protocol):
    """What gives orders."""

    async def give(self, request: Request) -> str:
        """Give an order, and return the id of the job that waits for its results."""


class Core(noun.Core, Protocol):
    """What these methods need."""

    @property
    def orders(self) -> Orders:
        """What gives orders."""


OPTIONS = (
    Option("text", "s", "is what message shows, as plain text"),
    Option("user", "s", "is whom logout logs out; without it everybody but root"),
    Option("force", "b", "has reboot and poweroff take no notice of programs that forbid it"),
    Option("stagger", "u", "is the time in seconds between one client and the next"),
    Option("timeout", "u", f"is how long clients have for an answer: {ANSWER} s, or {BOOT} s for wake"),
)
ERRORS = (InvalidOption, NoSuchClient, NotInstalled, ToolFailed)

DOC = """What to do is one of these: message (show a text to people), logout, reboot, poweroff, wake (a
    magic packet for the machine's card). The job ends when all have answered or the time is over; who
    did not do it is in its error. Each client's Order and Result tell the same. Who answers later has
    not obeyed: an order is withdrawn when its job ends, also by Cancel."""


def _verb(word: str) -> Verb:
    try:
        return Verb(word)
    except ValueError:
        raise InvalidOption(f"{word[:40]!r} is no order; there is: {', '.join(Verb)}.") from None


def _chosen(state: State, verb: Verb, names: Sequence[str]) -> Chosen:
    return Directory(state.clients, state.machines, state.rooms).choose(names, verb)


def details(
    state: State, verb: str, names: Sequence[str], options: Mapping[str, object]
) -> Mapping[str, str]:
    """Return what polkit is told of an order; raises InvalidOption, NoSuchClient."""
    return _chosen(state, _verb(verb), names).details(verb, str(options.get("user", "")))


async def give(
    core: Core, word: str, names: Sequence[str], options: Mapping[str, object], started_by: int
) -> str:
    """Give an order to the clients of these names, and return the path of its job."""
    verb = _verb(word)
    text, user = str(options.get("text", "")), str(options.get("user", ""))
    if verb is Verb.MESSAGE and (why := text_problem(text)):
        raise InvalidOption(f"The text can't be shown: {why}.")
    if user and not is_user(user):
        raise InvalidOption(f"{user[:40]!r} can't be a user's name.")
    foreign = {"text": verb is not Verb.MESSAGE, "user": verb is not Verb.LOGOUT}
    if wrong := [name for name, is_foreign in foreign.items() if is_foreign and options.get(name)]:
        raise InvalidOption(f"{verb} takes no {wrong[0]}.")
    stagger, patience = (int(str(options.get(each, 0))) for each in ("stagger", "timeout"))
    if patience > TIMEOUT_MOST:
        raise InvalidOption(f"A timeout of {patience} s is too long; {TIMEOUT_MOST} s is the most.")
    state = core.state
    chosen = _chosen(state, verb, names)
    known = {each.mac: each for each in state.clients}
    meant, refused = targets(chosen, verb, known, stagger)
    if not meant and not refused:
        why = "on" if chosen.machines else "known"
        raise NoSuchClient(f"Nobody of {chosen.label} is {why}; 'ltspctl client list' shows who is.")
    if stagger * (len(meant) - 1) > DELAY_MOST:
        most = DELAY_MOST // (len(meant) - 1)
        raise InvalidOption(
            f"With {len(meant)} clients, {most} s is the most that one can wait for the other."
        )
    request = Request(
        verb,
        words_of(verb, text, user, bool(options.get("force", False))),
        meant,
        refused,
        chosen.label,
        {each.mac: each.hostname or each.mac for each in chosen.machines},
        float(patience or (BOOT if verb is Verb.WAKE else ANSWER)),
        started_by,
    )
    return path_of("job", await core.orders.give(request))


async def _order_clients(core: Core, _state: State, call: Call) -> str:
    verb, names, options = call.arguments
    return await give(core, verb, names, options, call.uid)


def _details(state: State, call: Call) -> Mapping[str, str]:
    verb, names, options = call.arguments
    return details(state, verb, names, options)


METHODS: tuple[Method[State], ...] = (
    Method(
        name="OrderClients",
        inputs="s verb, as clients, a{sv} options",
        outputs="o job",
        run=_order_clients,
        action=CONTROL_CLIENT,
        details=_details,
        options=OPTIONS,
        doc=f"""Tell clients to do something, and return the job that waits for their answers. Clients are
            named by MAC address, host name or IPv4 address, or by the name of a room (room:NAME if there
            is a client of that name, too); * is everybody. {DOC}""",
        errors=ERRORS,
        job_errors=(NotObeyed,),
        since="0.3.0",
    ),
)
