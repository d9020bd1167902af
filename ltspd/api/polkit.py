"""Authorization: asks polkit about a message's sender; without polkit, only root is allowed."""

import asyncio
from collections.abc import Mapping

from dbus_next import Variant

from ltspd.api import audit
from ltspd.api.audit import Request
from ltspd.dbus.connection import DAEMON, NO_REPLY, BusError, Connection, call, daemon_call
from ltspd.errors import NotAuthorized

NAME = "org.freedesktop.PolicyKit1"
PATH = "/org/freedesktop/PolicyKit1/Authority"
INTERFACE = "org.freedesktop.PolicyKit1.Authority"
PEER = "org.freedesktop.DBus.Peer"
ALLOW_USER_INTERACTION = 1  # CheckAuthorizationFlags
# Seconds that a person has to enter a password, and that a check without a dialog may take. The second is
# less than the 25 s after which callers give up (D-Bus's default), so that they get an error with a reason.
DIALOG_TIMEOUT = 300.0
CHECK_TIMEOUT = 10.0

# The bus's errors if nobody owns polkit's name.
ABSENT = frozenset(
    f"{DAEMON}.Error.{why}" for why in ("ServiceUnknown", "NameHasNoOwner", "Spawn.ServiceNotFound")
)


class Authority:
    """Decides about callers on one bus connection; ``trusted`` users are allowed everything."""

    def __init__(self, bus: Connection, trusted: frozenset[int]) -> None:
        """Trust the given user ids: root, whom polkit always allows, and the daemon's own user."""
        self._bus = bus
        self._trusted = trusted
        self._checks = 0

    async def uid(self, sender: str) -> int:
        """Return a sender's user id; raises NotAuthorized if it has left the bus."""
        try:
            return int((await daemon_call(self._bus, "GetConnectionUnixUser", "s", [sender]))[0])
        except BusError as error:
            raise NotAuthorized(f"The bus can't say who the caller is ({error.message}).") from error

    async def require(self, request: Request, *, interactive: bool) -> None:
        """Return if the caller is allowed to; raises NotAuthorized. Either is written to the journal."""
        try:
            how = await self._decide(request, interactive)
        except NotAuthorized as error:
            await audit.write(request, audit.DENIED, error.message)
            raise
        await audit.write(request, audit.ALLOWED, how)

    async def allows(self, request: Request) -> bool:
        """Return whether the caller may do it without a dialog. The journal has no line of that."""
        try:
            await self._decide(request, interactive=False)
        except NotAuthorized:
            return False
        return True

    async def require_user(self, request: Request, users: frozenset[int]) -> None:
        """Return if the caller is trusted or one of ``users``; raises NotAuthorized, in the journal, too."""
        if self.is_user(request.uid, users):
            return
        error = NotAuthorized(f"{request.method} is for the service that it was made for, and no one else.")
        await audit.write(request, audit.DENIED, error.message)
        raise error

    def is_user(self, uid: int, users: frozenset[int]) -> bool:
        """Return whether this is a trusted user or one of ``users``."""
        return uid in self._trusted or uid in users

    async def _decide(self, request: Request, interactive: bool) -> str:
        action = request.action
        if request.uid in self._trusted:
            return "trusted user"
        try:
            allowed, challenge = await self._check(request.sender, action, request.details, interactive)
        except BusError as error:
            if error.name in ABSENT:
                raise NotAuthorized(f"{action}: only root may do this, because polkit is absent.") from error
            raise NotAuthorized(f"{action}: polkit could not decide ({error.message}).") from error
        if allowed:
            return "polkit"
        if not challenge:
            why = "polkit refused"
        elif interactive:
            why = "a password is needed, and no agent is there that could ask for it"
        else:
            why = "a password is needed, and the caller allowed no dialog"
        raise NotAuthorized(f"{action}: you are not authorized ({why}).")

    async def _check(
        self, sender: str, action: str, details: Mapping[str, str], interactive: bool
    ) -> tuple[bool, bool]:
        self._checks += 1
        cancellation = f"ltspd-{self._checks}"
        body = [
            ["system-bus-name", {"name": Variant("s", sender)}],
            action,
            dict(details),
            ALLOW_USER_INTERACTION if interactive else 0,
            cancellation,
        ]
        timeout = DIALOG_TIMEOUT if interactive else CHECK_TIMEOUT
        if interactive:
            # Without this, a polkitd that hangs would look like a person who takes long to enter a password.
            await call(self._bus, NAME, PATH, PEER, "Ping", timeout=CHECK_TIMEOUT)
        try:
            [[allowed, challenge, _]] = await call(
                self._bus, NAME, PATH, INTERFACE, "CheckAuthorization", "(sa{sv})sa{ss}us", body,
                timeout=timeout,
            )  # fmt: skip
        except BusError as error:
            if error.name == NO_REPLY:
                await self._cancel(cancellation)
            raise
        except asyncio.CancelledError:
            await self._cancel(cancellation)
            raise
        return bool(allowed), bool(challenge)

    async def _cancel(self, cancellation: str) -> None:
        """Close a dialog whose caller has gone; no answer is waited for."""
        try:
            await call(
                self._bus, NAME, PATH, INTERFACE, "CancelCheckAuthorization", "s", [cancellation],
                timeout=1.0, flags=1,
            )  # fmt: skip
        except BusError:
            pass  # polkit or the bus is gone, and the dialog with it
