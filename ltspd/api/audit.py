"""The audit: a journal line for each decision about a call, and one more if an allowed call failed.

The fields are for searching: ``journalctl -u ltspd LTSPD_USER=ada LTSPD_RESULT=denied``.
"""

import asyncio
import logging
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

log = logging.getLogger("ltspd.audit")

ALLOWED, DENIED, FAILED = "allowed", "denied", "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a caller: the polkit action, the method, and polkit's details."""

    sender: str
    uid: int
    action: str
    method: str
    details: Mapping[str, str]


async def write(request: Request, result: str, reason: str) -> None:
    """Write a line; ``result`` is ALLOWED, DENIED or FAILED, ``reason`` tells who allowed or what failed."""
    # In a thread: if accounts come from a directory service, looking up a name may take seconds.
    user = "root" if request.uid == 0 else await asyncio.to_thread(_user_name, request.uid)
    subject = ", ".join(f"{key} {value!r}" for key, value in sorted(request.details.items())) or "-"
    log.log(
        logging.INFO if result == ALLOWED else logging.WARNING,
        "%s %s (%s) by user %d (%s, %s): %s: %s",
        request.action,
        request.method,
        subject,
        request.uid,
        user,
        request.sender,
        result,
        reason,
        extra={
            "LTSPD_ACTION": request.action,
            "LTSPD_METHOD": request.method,
            "LTSPD_UID": str(request.uid),
            "LTSPD_USER": user,
            "LTSPD_SENDER": request.sender,
            "LTSPD_SUBJECT": subject,
            "LTSPD_RESULT": result,
            "LTSPD_REASON": reason,
        },
    )


@lru_cache(maxsize=256)
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "no such user"
