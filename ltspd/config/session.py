"""SESSION: what a client shows in place of a login. Clients read it (client/features/74-session.sh). Pure."""

from enum import StrEnum

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import choice


class Session(StrEnum):
    """What a screen shows alone."""

    KIOSK = "kiosk"
    TERMINAL = "terminal"


SESSION = Parameter(
    "SESSION",
    choice("a kind of session", Session),
    "",
    CLIENT,
    "What a client shows in place of a login: kiosk (one page or program), terminal (a shell on the server)",
)
