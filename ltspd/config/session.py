"""SESSION: what a client shows in place of a login. Clients read it (client/features/74-session.sh). Pure."""

from enum import StrEnum

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import choice


class Session(StrEnum):
    """What a screen shows alone."""

    KIOSK = "kiosk"
    X11 = "x11"
    TERMINAL = "terminal"


SESSION = Parameter(
    "SESSION",
    choice("a kind of session", Session),
    "",
    CLIENT,
    "What a client shows in place of a login: kiosk (a page or program), x11, terminal (both on the server)",
)
