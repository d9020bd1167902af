"""The one dispatcher: calls in, replies and signals out. What methods do is in the files of the nouns."""

import asyncio
import logging
import os
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from dbus_next import Message, MessageFlag, MessageType, NameFlag, RequestNameReply

from ltspd.api import audit, manager, packing, standard
from ltspd.api.audit import Request
from ltspd.api.contract import Core, contract, tree
from ltspd.api.difference import Difference, difference
from ltspd.api.noun import (
    Call,
    Method,
    Question,
    Refusal,
    Standard,
    Tree,
    arguments,
    check_options,
    path_of,
    signature,
)
from ltspd.api.polkit import Authority
from ltspd.api.standard import OBJECT_MANAGER, PEER, PROPERTIES
from ltspd.dbus import connection, wire
from ltspd.dbus.connection import Connection
from ltspd.errors import LtspError, NotAuthorized, Stopping, from_system
from ltspd.model.job import Job
from ltspd.model.state import State
from ltspd.names import ROOT_PATH, STEM

log = logging.getLogger(__name__)

# Calls under way at one time; more are refused at once instead of piling up.
CALLS_PER_SENDER = 200
CALLS_IN_ALL = 2000
# Bytes of calls that are kept at one time until they are answered.
BYTES_IN_ALL = 32 << 20
# A sender without a pending call may always send one of this size, so that others cannot lock it out.
FIRST_CALL = 64 << 10
# Seconds between two sets of signals at least: no screen shows more.
PACE = 0.02
# Tells of connections that ended: their new owner is empty.
VANISHED = (
    f"type='signal',sender='{connection.DAEMON}',interface='{connection.DAEMON}',"
    "member='NameOwnerChanged',arg2=''"
)


class Service:
    """The product's objects on one bus connection."""

    def __init__(
        self,
        bus: Connection,
        core: Core,
        *,
        trusted: frozenset[int] | None = None,
        users: Mapping[str, frozenset[int]] = MappingProxyType({}),
        name: str = STEM,
    ) -> None:
        """Serve what ``core`` offers on a connected bus; ``trusted`` users (root and our own) need no polkit.

        ``users`` are those of our other processes, by the words of Method.only.
        """
        self._bus = bus
        self._core = core
        self._name = name
        self._authority = Authority(bus, frozenset({0, os.geteuid()}) if trusted is None else trusted)
        self._users = users
        self._state = core.state
        self._tree: Tree = tree(self._state)
        self._entries: packing.Entries = {}
        self._flushed = 0.0
        self._timer: asyncio.Handle | None = None
        self._pending: State | None = None
        self._waiting: dict[str, deque[Message]] = defaultdict(deque)
        self._calls: dict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._in_all = self._bytes = 0
        self._asking: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        """Begin to serve and take the name; raises NoBus if another process has it."""
        self._bus.add_message_handler(self._handle)
        await connection.daemon_call(self._bus, "AddMatch", "s", [VANISHED])
        wanted = [self._name, int(NameFlag.DO_NOT_QUEUE)]
        (reply,) = await connection.daemon_call(self._bus, "RequestName", "su", wanted)
        if reply not in (RequestNameReply.PRIMARY_OWNER.value, RequestNameReply.ALREADY_OWNER.value):
            raise connection.NoBus(f"{self._name} is taken: another ltspd is running on this bus.")

    async def wait(self) -> None:
        """Return when stop() ended the connection; raises NoBus when it ended by itself."""
        await self._bus.wait()
        if not self._stopping:
            raise connection.NoBus("The connection to the bus ended; is dbus-daemon being restarted?")

    async def stop(self) -> None:
        """Refuse what is under way, let the last messages leave, and end the connection."""
        self._flush()
        self._stopping = True
        for message in [each for waiting in self._waiting.values() for each in waiting]:
            self._reply_error(message, Stopping("The daemon is shutting down; the call was given up."))
        self._waiting.clear()
        calls = [call for calls in self._calls.values() for call in calls]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._bus.close()

    # ---- out: state and signals ------------------------------------------------------------------

    def publish(self, state: State) -> None:
        """Publish a state soon: states that come within one PACE become one set of signals."""
        if self._pending is None:
            loop = asyncio.get_running_loop()
            # A single change is sent at once; of many changes, as when a school boots, a set each PACE.
            wait = self._flushed + PACE - loop.time()
            self._timer = loop.call_later(wait, self._flush) if wait > 0 else loop.call_soon(self._flush)
        self._pending = state

    def job_finished(self, job: Job) -> None:
        """Send JobFinished, after the job's last PropertiesChanged."""
        self.publish(self._core.state)
        self._flush()
        body = [path_of("job", job.id), str(job.state)]
        self._emit(ROOT_PATH, manager.NOUN.name, "JobFinished", body)

    def _flush(self) -> None:
        state, self._pending = self._pending, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if state is None or self._stopping:
            return
        self._flushed = asyncio.get_running_loop().time()
        new = tree(state, (self._state, self._tree))
        change = difference(self._tree, new)
        self._state, self._tree = state, new
        self._announce(change)

    def _announce(self, change: Difference) -> None:
        """Send what came, then what changed, then what went: a property never names an unknown object."""
        for path, added in change.added.items():
            self._emit(ROOT_PATH, OBJECT_MANAGER, "InterfacesAdded", [path, packing.interfaces(added)])
        for path, changed in change.changed.items():
            for name, properties in changed.items():
                self._properties_changed(path, name, properties)
        for path, removed in change.removed.items():
            self._emit(ROOT_PATH, OBJECT_MANAGER, "InterfacesRemoved", [path, list(removed)])

    def _properties_changed(self, path: str, name: str, properties: Mapping[str, Any]) -> None:
        interface = contract()[name]

        def those(emits: str) -> Mapping[str, Any]:
            return {key: each for key, each in properties.items() if interface.by_name[key].emits == emits}

        changed, invalidated = those("true"), those("invalidates")
        if changed or invalidated:
            body = [name, packing.typed(interface, changed), list(invalidated)]
            self._emit(path, PROPERTIES, "PropertiesChanged", body)

    def _emit(self, path: str, interface: str, member: str, body: list[Any]) -> None:
        (signal,) = (each for each in standard.known(interface).signals if each.name == member)
        kind = signature(signal.outputs)
        fields = {1: path, 2: interface, 3: member, 8: kind}
        # Packed when it is sent: if a value doesn't fit its type, only this signal is lost.
        self._bus.send(lambda serial: wire.assemble(wire.SIGNAL, serial, fields, wire.content(kind, body)))

    # ---- in: calls -------------------------------------------------------------------------------

    def _handle(self, message: Message) -> bool:
        """Take a message from dbus-next; true keeps it from the library's own handlers."""
        if message.message_type is MessageType.SIGNAL:
            if message.sender == connection.DAEMON and message.member == "NameOwnerChanged":
                self._vanished(message.body[0])
            return False
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        sender = message.sender
        calls = len(self._calls.get(sender, ())) + len(self._waiting.get(sender, ()))
        if self._stopping:
            self._reply_error(message, Stopping("The daemon is shutting down; try again once it is back."))
        elif calls >= CALLS_PER_SENDER or (self._full and (calls or message.size > FIRST_CALL)):
            self._reply_error(message, Refusal("LimitsExceeded", "Too many calls at once; wait for replies."))
        else:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._turn)
            self._waiting[sender].append(message)
            self._in_all += 1
            self._bytes += message.size
        return True

    @property
    def _full(self) -> bool:
        return self._in_all >= CALLS_IN_ALL or self._bytes >= BYTES_IN_ALL

    def _turn(self) -> None:
        """Begin one call of each sender, so that a sender of thousands gets no more turns than others."""
        for sender in list(self._waiting):  # stop() clears it
            message = self._waiting[sender].popleft()
            if not self._waiting[sender]:
                del self._waiting[sender]
            task = asyncio.create_task(self._serve(message), name=f"call {message.member}")
            self._calls[sender].add(task)
            task.add_done_callback(partial(self._done, sender, message.size))
        if self._waiting:
            # After the first step of those tasks, and when their answers are sent: a reply to another sender
            # must not wait behind a hundred large ones.
            asyncio.get_running_loop().call_soon(self._bus.when_sent, self._turn)

    def _done(self, sender: str, size: int, task: asyncio.Task[None]) -> None:
        self._in_all -= 1
        self._bytes -= size
        self._calls[sender].discard(task)
        if not self._calls[sender]:
            del self._calls[sender]

    def _vanished(self, sender: str) -> None:
        """Cancel the authorization of a caller that is gone; its authorized calls go on."""
        for task in list(self._calls.get(sender, ())):
            if task in self._asking:
                task.cancel()

    async def _serve(self, message: Message) -> None:
        """Answer one call; the only place where errors become replies."""
        try:
            kind, body = await self._answer(message)
            if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
                fields = {5: message.serial, 6: message.sender, 8: kind}
                self._bus.send(lambda serial: wire.assemble(wire.RETURN, serial, fields, body))
        except asyncio.CancelledError:
            if self._stopping:
                self._reply_error(message, Stopping("The daemon is shutting down; the call was given up."))
        except LtspError as error:
            self._reply_error(message, error)
        except OSError as error:
            log.error("%s from %s failed: %s", message.member, message.sender, error)
            self._reply_error(message, from_system(error, f"{message.member} failed"))
        except Exception as error:
            # The caller gets no traceback, the journal does.
            log.exception("%s from %s: unforeseen error", message.member, message.sender)
            why = f"{message.member} failed unforeseen ({type(error).__name__}); see the journal of ltspd."
            self._reply_error(message, LtspError(why))

    def _reply_error(self, message: Message, error: LtspError) -> None:
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            fields = {4: error.dbus_name, 5: message.serial, 6: message.sender, 8: "s"}
            body = wire.content("s", [error.message])
            self._bus.send(lambda serial: wire.assemble(wire.ERROR, serial, fields, body))

    async def _answer(self, message: Message) -> tuple[str, bytes]:
        """Return a reply's signature and its body."""
        self._flush()  # a reply must not be older than what publish() was told
        name, method = standard.resolve(
            self._tree, message.path, message.interface, message.member, message.signature
        )
        kind = signature(method.outputs)
        if name == OBJECT_MANAGER:
            data, self._entries = packing.objects(self._tree, message.path, self._entries)
            return kind, data
        if isinstance(method, Method):
            out = await self._invoke(message, name, method)
        elif name == PEER:
            out = await self._peer(method)
        else:
            out = standard.answer(self._tree, message.path, name, method.name, message.body)
        return kind, wire.content(kind, out)

    async def _peer(self, method: Standard) -> list[Any]:
        if method.name == "Ping":
            return []
        daemon, path = connection.DAEMON, connection.DAEMON_PATH
        return await connection.call(self._bus, daemon, path, PEER, "GetMachineId")

    async def _invoke(self, message: Message, interface: str, method: Method[Any]) -> list[Any]:
        noun = contract()[interface]
        call = Call(message.sender, -1, _given(method, message.body), partial(self._may, message))
        subject = noun.at(self._core.state, message.path)
        details = method.details(subject, call) if method.details else noun.details(subject)
        request = Request(message.sender, -1, "", f"{interface.rpartition('.')[2]}.{method.name}", details)
        action = method.action_for(subject, call)
        if method.only:
            uid = await self._authority.uid(message.sender)
            request = replace(request, uid=uid, action=f"{interface}.{method.name}")
            await self._authority.require_user(request, self._users.get(method.only, frozenset()))
        elif action:
            request = replace(request, action=action)
            call = replace(call, uid=await self._authorize(message, request))
        try:
            # A password dialog may be open for minutes, so the object is looked up again.
            subject = noun.at(self._core.state, message.path)
            if method.details and action and method.details(subject, call) != details:
                # What was allowed is not what would be done now: a client is in another room, or is gone.
                raise NotAuthorized("What this concerns has changed meanwhile; try again.")
            out = await method.run(self._core, subject, call)
        except LtspError as error:
            if action:
                await audit.write(replace(request, uid=call.uid), audit.FAILED, error.message)
            raise
        self.publish(self._core.state)
        self._flush()  # whoever gets a job's path must find the job there
        return [out] if method.outputs else []

    async def _authorize(self, message: Message, request: Request) -> int:
        """Return the caller's user id once it is allowed to; raises NotAuthorized."""
        with self._asks():
            uid = await self._authority.uid(message.sender)
            interactive = bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION)
            await self._authority.require(replace(request, uid=uid), interactive=interactive)
        return uid

    @contextmanager
    def _asks(self) -> Iterator[None]:
        """Have this task cancelled if its caller leaves meanwhile."""
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            yield
        finally:
            self._asking.discard(task)

    async def _may(self, message: Message, questions: Sequence[Question]) -> Sequence[bool]:
        """Return which calls the sender of a message may make; raises Refusal, NotAuthorized."""
        with self._asks():
            uid = await self._authority.uid(message.sender)
            wanted = [self._request(each, message.sender, uid) for each in questions]
            # Many calls need the same: all that only read, all methods of an image.
            asked = {
                (each.action, tuple(each.details.items())): each
                for each in wanted
                if isinstance(each, Request)
            }
            answers = await asyncio.gather(*map(self._authority.allows, asked.values()))
        allowed = dict(zip(asked, answers, strict=True))
        return [
            allowed[each.action, tuple(each.details.items())] if isinstance(each, Request) else each
            for each in wanted
        ]

    def _request(self, question: Question, sender: str, uid: int) -> Request | bool:
        """Return what polkit is asked about a call, or the answer if it isn't asked; raises Refusal."""
        if question.path not in self._tree:
            return False
        kinds = "".join(each.signature for each in question.arguments)
        name, method = standard.resolve(self._tree, question.path, None, question.method, kinds)
        if isinstance(method, Standard):
            return True
        if method.only:
            return self._authority.is_user(uid, self._users.get(method.only, frozenset()))
        noun, given = contract()[name], _given(method, [each.value for each in question.arguments])
        call = Call(sender, uid, given)
        try:
            subject = noun.at(self._core.state, question.path)
            action = method.action_for(subject, call)
            details = method.details(subject, call) if method.details else noun.details(subject)
        except Refusal:
            raise
        except LtspError:
            return False  # it names what isn't there
        return True if action is None else Request(sender, uid, action, f"{noun.word}.{method.name}", details)


def _given(method: Method[Any], body: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arguments of a call with checked options; raises InvalidOption."""
    return tuple(
        check_options(value, method.options) if each.signature == "a{sv}" else value
        for each, value in zip(arguments(method.inputs), body, strict=True)
    )
