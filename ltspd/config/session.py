"""SESSION: what a client shows in place of a login. Clients read it (client/features/74-session.sh). Pure."""

import re
from enum import StrEnum

from ltspd.config.parameter import CLIENT, Parameter
from ltspd.config.readers import Reader, choice


class Session(StrEnum):
    """What a screen shows alone."""

    KIOSK = "kiosk"
    RDP = "rdp"
    X11 = "x11"
    TERMINAL = "terminal"


SESSION = Parameter(
    "SESSION",
    choice("a kind of session", Session),
    "",
    CLIENT,
    "What a client shows in place of a login: kiosk (one page or program), rdp, x11, terminal",
)


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if text and not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError("is not a SHA-256 fingerprint, which has 64 hexadecimal digits")
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


RDP_FINGERPRINT = Parameter(
    "RDP_FINGERPRINT",
    Reader("a SHA-256 fingerprint", _fingerprint),
    "",
    CLIENT,
    "SHA-256 fingerprint of the certificate of RDP_SERVER; empty: a certificate that the image trusts",
)
