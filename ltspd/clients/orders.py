"""An order as clients read it: a text that the server signs. Pure.

The first line is ``ID VERB WORDS``, the words percent-encoded; then comes ``MAC BOOT DELAY`` for each client
that is meant. A client obeys its own line and no other, once, and nothing older than what it has obeyed. The
other side is client/live/orders.sh.
"""

from urllib.parse import quote

from ltspd.model.order import Order, Verb

# The longest text that is shown, in characters: half a screen.
TEXT_MOST = 1000
# Seconds between the first and the last client of an order: a school in an afternoon.
DELAY_MOST = 4 * 3600
# The word for "whatever speaks against it".
FORCE = "force"


def document(order: Order) -> bytes:
    """Return the text of an order; the words have no blank and no sign that a shell would read."""
    words = " ".join((order.id, order.verb, *(quote(each, safe="") for each in order.words)))
    lines = (f"{each.mac} {each.boot} {each.delay}" for each in order.targets if each.boot)
    return "".join(f"{line}\n" for line in (words, *lines)).encode()


def text_problem(text: str) -> str:
    """Return why a text can't be shown to people, or an empty string."""
    if not text.strip():
        return "it is empty"
    if len(text) > TEXT_MOST:
        return f"it has {len(text)} characters, and {TEXT_MOST} is the most"
    # Line feeds and tabs are shown; other control characters would act on a terminal.
    if any(not (each.isprintable() or each in "\n\t") for each in text):
        return "it has a control character"
    return ""


def is_user(text: str) -> bool:
    """Whether this can be the name of an account; the forms are those of useradd and of directories."""
    return 0 < len(text) <= 256 and text.isprintable() and not text.startswith("-") and " " not in text


def words_of(verb: Verb, text: str, user: str, force: bool) -> tuple[str, ...]:
    """Return the words that follow the verb."""
    if verb is Verb.MESSAGE:
        return (text,)
    if verb is Verb.LOGOUT:
        return (user,) if user else ()
    return (FORCE,) if force and verb in (Verb.REBOOT, Verb.POWEROFF) else ()
