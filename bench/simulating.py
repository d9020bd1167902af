"""The program that stands in for a room: each client asks what a real one asked, as slowly as that did.

It runs in the network namespace of the clients, each of which has a card and an address of its own there. The
first argument is a file with a `Room`, the second one where to write what came of it.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import http, rpc
from bench.room_files import Machine, Outcome, Room
from bench.steps import BOOT_SERVER, DHCP, LARGE, Step
from tests.lab.dhcp import frame

# How long a client waits for an answer by UDP before it asks again, time after time; then it gives up.
AGAIN = (1.0, 2.0, 4.0, 8.0)
# A boot does not end because the server is not told how far it has come.
_OPTIONAL = b"/report "
# linux/socket.h
_BINDTODEVICE = 25
# Of an answer by RPC so much is looked at.
_LOOKED = 600
_NBD_HEAD = 16
# asyncio's clock counts whole milliseconds, so a sleep is longer by half of one.
_TICK = 0.0005


class Failed(Exception):
    """A real client would not come any further; the text says why."""


class Line(asyncio.BufferedProtocol):
    """A connection of a client. What it is told it only counts, but for the beginnings of answers."""

    # Nobody reads what is in there, so all have one.
    _buffer = bytearray(1 << 18)

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self.transport: asyncio.Transport | None = None
        self.keyed: dict[bytes, tuple[Step, asyncio.Future[bytes]]] = {}
        self.ordered: deque[tuple[Step, asyncio.Future[bytes]]] = deque()
        self._head = bytearray()
        self._skip = 0
        self._until: Callable[[], None] | None = None
        self._count = 0
        self._first = 0.0
        self._way = ""
        self._greeting = 0
        self.ended = ""

    def expect(self, step: Step, key: bytes = b"") -> "asyncio.Future[bytes]":
        """Return what will be the answer to a question, which is found by its key, or by its order."""
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # Nobody may wait for it any more when the connection ends, which is no error then.
        waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._way = step.way
        if key:
            self.keyed[key] = (step, waiting)
        else:
            self.ordered.append((step, waiting))
        return waiting

    # ---- asyncio calls these ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: D102
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        with memoryview(self._buffer) as view:
            at = 0
            while at < nbytes:
                at += self._take(view, at, nbytes)
        self._keep_pace()

    def eof_received(self) -> None:  # noqa: D102
        self._close("the server ended a connection")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102
        self._close(f"a connection broke: {error}" if error else "the server ended a connection")

    # ---- what came ----

    def _close(self, why: str) -> None:
        self.ended = self.ended or why
        if self._until is not None and self._skip < 0:
            # Only its end tells how long this answer is.
            self._skip = 0
            self._until()
        for _, waiting in (*self.keyed.values(), *self.ordered):
            if not waiting.done():
                waiting.set_exception(Failed(why))

    def _take(self, view: memoryview, at: int, end: int) -> int:
        """Take some of what came, and return how many bytes."""
        if self._skip:
            taken = end - at if self._skip < 0 else min(self._skip, end - at)
            self._count += taken
            if self._skip > 0:
                self._skip -= taken
                if not self._skip and self._until is not None:
                    self._until()
            return taken
        match self._way:
            case "":
                # NBD's server speaks first.
                self._greeting += end - at
                return end - at
            case "call":
                return self._take_call(view, at, end)
            case "nbd":
                return self._take_nbd(view, at, end)
        if not self.ordered:
            raise Failed("the server said something that nobody had asked for")
        if self._way == "raw":
            self._then(self.ordered[0][0].heard - self._greeting, self._answered)
            return 0
        return self._take_http(view, at, end, self.ordered[0][0])

    def _fill(self, view: memoryview, at: int, end: int, wanted: int) -> int:
        taken = min(wanted - len(self._head), end - at)
        self._head += view[at : at + taken]
        self._count += taken
        return taken

    def _then(self, skip: int, until: Callable[[], None]) -> None:
        self._skip, self._until = skip, until
        if not skip:
            until()

    def _take_call(self, view: memoryview, at: int, end: int) -> int:
        if len(self._head) < 4:
            return self._fill(view, at, end, 4)
        mark = int.from_bytes(self._head[:4])
        length = mark & 0x7FFFFFFF
        taken = self._fill(view, at, end, 4 + min(length, _LOOKED))
        if len(self._head) == 4 + min(length, _LOOKED):
            self._then(length - min(length, _LOOKED), self._replied)
        return taken

    def _replied(self) -> None:
        mark, reply = int.from_bytes(self._head[:4]), bytes(self._head[4:])
        if not mark >> 31:
            raise Failed("an answer by RPC is in pieces")
        self._head.clear()
        self._until = None
        if reply[4:8] == rpc.CALL:
            assert self.transport is not None
            self.transport.write(rpc.empty_reply(reply))
            return
        step, waiting = self.keyed.pop(reply[:4], (None, None))
        if step is None or waiting is None or waiting.done():
            return
        count, self._count = self._count - 4, 0
        if rpc.result(reply) != step.answer:
            waiting.set_exception(
                Failed(f"a call ended with {rpc.result(reply).hex()}, not {step.answer.hex()}")
            )
        elif step.heard > _LOOKED and count != step.heard:
            waiting.set_exception(Failed(f"a call got {count} bytes, not {step.heard}"))
        else:
            waiting.set_result(reply)

    def _take_nbd(self, view: memoryview, at: int, end: int) -> int:
        taken = self._fill(view, at, end, _NBD_HEAD)
        if len(self._head) == _NBD_HEAD:
            step, waiting = self.keyed.get(bytes(self._head[8:16]), (None, None))
            if step is None or waiting is None or self._head[4:8] != bytes(4):
                raise Failed("NBD's server could not read")
            self._then(step.heard - _NBD_HEAD, self._read)
        return taken

    def _read(self) -> None:
        _, waiting = self.keyed.pop(bytes(self._head[8:16]))
        self._head.clear()
        self._until = None
        self._count = 0
        waiting.set_result(b"")

    def _take_http(self, view: memoryview, at: int, end: int, step: Step) -> int:
        if not self._head:
            self._first, self._count = time.monotonic(), 0
        before = len(self._head)
        piece = bytes(view[at : min(end, at + 65536)])
        found = (self._head + piece).find(b"\r\n\r\n")
        if found < 0:
            self._head += piece
            return len(piece)
        self._head += piece[: found + 4 - before]
        self._count = len(self._head)
        length = http.length(self._head, headless=step.said[:5] == b"HEAD ")
        # What comes in chunks is small and always the same here.
        skip = step.heard - len(self._head) if length == -1 else -1 if length is None else length
        self._then(skip, self._answered)
        return found + 4 - before

    def _answered(self) -> None:
        step, waiting = self.ordered.popleft()
        head, count = bytes(self._head), self._count
        self._head.clear()
        self._until = None
        self._count, self._first = 0, 0.0
        if waiting.done():
            return
        if step.way == "http" and head[9:12] != step.answer:
            waiting.set_exception(Failed(f"HTTP said {head[9:12]!r}, not {step.answer!r}"))
        elif step.way == "http" and step.heard >= 65536 and abs(count - step.heard) > 1024:
            waiting.set_exception(Failed(f"a file came as {count} bytes, not {step.heard}"))
        else:
            waiting.set_result(head)

    def _keep_pace(self) -> None:
        """Take no more than the real client could take."""
        if not self._first or not self.ordered or self.transport is None:
            return
        ahead = self._first + self._count * self.ordered[0][0].pace - time.monotonic()
        if ahead > 0.002:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(ahead, self._go_on)

    def _go_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class Answers(asyncio.DatagramProtocol):
    """A socket of UDP; who waits says which answers are his."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self.key: Callable[[bytes], bytes] = lambda data: data[:4]

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: D102
        waiting = self.waiting.get(self.key(data))
        if waiting is not None and not waiting.done():
            waiting.set_result(data)


class Files:
    """The program that fetches by TFTP for all clients (tftp.c)."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        """Use a program that runs."""
        self._program = program
        self._waiting: dict[str, asyncio.Future[list[str]]] = {}
        self._count = 0
        self.resent = 0
        self._task = asyncio.get_running_loop().create_task(self._hear())

    async def _hear(self) -> None:
        assert self._program.stdout is not None
        while line := await self._program.stdout.readline():
            name, *words = line.decode().split()
            self.resent += int(words[2])
            self._waiting.pop(name).set_result(words)
        for waiting in self._waiting.values():
            waiting.set_exception(Failed("the program for TFTP has ended"))

    async def fetch(self, machine: Machine, server: str, step: Step) -> None:
        """Fetch a file; Failed if it does not come as it came to the real client."""
        self._count += 1
        name = str(self._count)
        self._waiting[name] = asyncio.get_running_loop().create_future()
        words = [name, machine.device, machine.address, server, f"{step.pace * 1e9:.0f}", f"{step.aborted:d}"]
        assert self._program.stdin is not None
        self._program.stdin.write(" ".join([*words, step.said.hex()]).encode() + b"\n")
        how, got, _ = await self._waiting[name]
        file = step.said[2:].split(b"\0")[0].decode(errors="replace")
        if how != ("refused" if step.answer else "ok"):
            raise Failed(f"{file} by TFTP: {how} after {got} bytes")
        if int(got) != step.heard and not step.aborted:
            raise Failed(f"{file} by TFTP: {got} bytes, not {step.heard}")


@dataclass(slots=True)
class Client:
    """One simulated client."""

    room: Room
    machine: Machine
    files: Files
    turns: asyncio.Semaphore
    lines: dict[int, Line] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    _given: list[tuple[bytes, bytes]] = field(default_factory=list)
    _words: list[tuple[bytes, bytes]] = field(default_factory=list)
    _dhcp: Answers | None = None
    _raw: socket.socket | None = None

    async def boot(self, begin: float) -> None:
        """Boot, from a time of the clock on, and note what came of it."""
        loop = asyncio.get_running_loop()
        self._words = list(self.room.changes(self.machine))
        await asyncio.sleep(begin + self.machine.delay - time.monotonic())
        began = latest = time.monotonic()
        tasks: dict[int, asyncio.Task[float]] = {}
        try:
            for number, planned in enumerate(self.room.steps):
                for each in planned.needs:
                    latest = max(latest, await tasks.pop(each))
                pause = latest + planned.think * self.room.think - time.monotonic()
                if pause > _TICK:
                    await asyncio.sleep(pause - _TICK)
                latest = time.monotonic()
                tasks[number] = loop.create_task(self._perform(planned.step))
                # It is asked before the next one is.
                await asyncio.sleep(0)
            for number, task in tasks.items():
                # What nobody had answered need not be answered now.
                if self.room.steps[number].step.end is not None:
                    latest = max(latest, await task)
            await asyncio.sleep(max(0.0, latest + self.room.tail * self.room.think - time.monotonic()))
            self.outcome.login = time.monotonic() - began
            self.outcome.last = time.monotonic() - begin
        except (Failed, OSError) as error:
            self.outcome.failed = f"after {time.monotonic() - began:.1f} s: {error}"
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def close(self) -> None:
        """Be off."""
        for line in self.lines.values():
            if line.transport is not None:
                line.transport.abort()
        if self._raw is not None:
            self._raw.close()

    async def _perform(self, step: Step) -> float:
        """Ask a question, and return when its answer was there."""
        began = time.monotonic()
        try:
            await getattr(self, f"_do_{step.way}")(step)
        except (Failed, OSError) as error:
            if _OPTIONAL not in step.said[:200]:
                raise Failed(f"{step.way} to port {step.port}: {error}") from error
            self.outcome.unheard += 1
        ended = time.monotonic()
        self.outcome.waited[step.way] = self.outcome.waited.get(step.way, 0.0) + ended - began
        return ended

    def _socket(self, kind: int) -> socket.socket:
        found = socket.socket(socket.AF_INET, kind)
        found.setsockopt(socket.SOL_SOCKET, _BINDTODEVICE, self.machine.device.encode())
        found.setblocking(False)
        return found

    async def _do_dhcp(self, step: Step) -> None:
        loop = asyncio.get_running_loop()
        if self._raw is None:
            # With no protocol it hears nothing, which would cost time.
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._raw.bind((self.machine.device, 0))
            own = self._socket(socket.SOCK_DGRAM)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(("", 68))
            _, self._dhcp = await loop.create_datagram_endpoint(Answers, sock=own)
            mac = bytes.fromhex(self.machine.mac.replace(":", ""))
            self._dhcp.key = lambda data: data[4:8] if data[28:34] == mac and data[:1] == b"\2" else b""
        said = self._changed(step.said, self._words)
        data = said if step.port == DHCP else frame(self.machine.mac, said)
        if step.port == BOOT_SERVER:
            data = frame(self.machine.mac, said, (self.machine.address, 68), (self.room.server, BOOT_SERVER))
        else:
            data = frame(self.machine.mac, said)
        assert self._dhcp is not None
        raw = self._raw
        await self._ask(self._dhcp, said[4:8], lambda: raw.send(data), step)

    async def _ask(self, answers: Answers, key: bytes, send: Callable[[], object], step: Step) -> None:
        """Ask by UDP, again and again; Failed if nobody answers."""
        if step.end is None:
            send()
            return
        for patience in AGAIN:
            waiting = answers.waiting[key] = asyncio.get_running_loop().create_future()
            send()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting, patience)
                del answers.waiting[key]
                return
            self.outcome.again += 1
        raise Failed("nobody answers")

    async def _do_datagram(self, step: Step) -> None:
        own = self._socket(socket.SOCK_DGRAM)
        own.bind((self.machine.address, 0))
        own.connect((self.room.server, step.port))
        transport, answers = await asyncio.get_running_loop().create_datagram_endpoint(Answers, sock=own)
        try:
            await self._ask(answers, step.said[:4], lambda: transport.sendto(step.said), step)
        finally:
            transport.close()

    async def _do_tftp(self, step: Step) -> None:
        await self.files.fetch(self.machine, self.room.server, step)

    async def _do_open(self, step: Step) -> None:
        own = self._socket(socket.SOCK_STREAM)
        own.bind((self.machine.address, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(own, (self.room.server, step.port))
        _, self.lines[step.line] = await loop.create_connection(Line, sock=own)

    async def _do_close(self, step: Step) -> None:
        line = self.lines.pop(step.line, None)
        if line is not None and line.transport is not None:
            line.transport.close()

    def _line(self, step: Step) -> tuple[Line, asyncio.Transport]:
        line = self.lines.get(step.line)
        if line is None or line.transport is None or line.ended:
            raise Failed(line.ended if line is not None else "there is no connection")
        return line, line.transport

    async def _do_call(self, step: Step) -> None:
        line, transport = self._line(step)
        said = step.said
        if verifier := rpc.verifier(said[4:]):
            self._given.append((verifier, secrets.token_bytes(len(verifier))))
        said = self._changed(said, self._words)
        # A session's name may be an open file's and the beginning of what follows that. It comes first.
        for old, new in self._given:
            said = said.replace(old, new, 1)
        waiting = line.expect(step, said[4:8])
        transport.write(said)
        if step.end is None:
            return
        reply = await waiting
        if step.tokens:
            self._given += zip(step.tokens, rpc.tokens(reply), strict=True)

    async def _do_nbd(self, step: Step) -> None:
        line, transport = self._line(step)
        waiting = line.expect(step, step.said[8:16])
        transport.write(step.said)
        if step.end is not None:
            await waiting

    async def _do_raw(self, step: Step) -> None:
        await self._in_order(step, step.said)

    async def _do_http(self, step: Step) -> None:
        said = http.addressed(step.said, [*self._words, *self.room.names(self.machine)])
        async with self.turns if step.heard >= LARGE else contextlib.nullcontext():
            await self._in_order(step, said)

    async def _in_order(self, step: Step, said: bytes) -> None:
        line, transport = self._line(step)
        waiting = line.expect(step)
        transport.write(said)
        if step.end is not None:
            await waiting

    @staticmethod
    def _changed(said: bytes, words: Sequence[tuple[bytes, bytes]]) -> bytes:
        for old, new in words:
            said = said.replace(old, new)
        return said


async def _main(room: Room, told: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        room.tftp, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    files = Files(program)
    # Whoever comes first gets his files first.
    turns = asyncio.Semaphore(room.at_once or len(room.machines) or 1)
    clients = [Client(room, machine, files, turns) for machine in room.machines]
    began = time.time()
    begin = time.monotonic() + 0.5
    boots = [asyncio.create_task(client.boot(begin)) for client in clients]
    await asyncio.wait(boots, timeout=room.patience)
    for client, boot in zip(clients, boots, strict=True):
        if not boot.done():
            client.outcome.failed = f"did not end in {room.patience:.0f} s"
            boot.cancel()
        client.close()
    ends = await asyncio.gather(*boots, return_exceptions=True)
    for client, end in zip(clients, ends, strict=True):
        if isinstance(end, BaseException) and not client.outcome.failed:
            client.outcome.failed = repr(end)
    program.kill()
    await program.wait()
    new = told.with_suffix(".new")
    outcomes = [client.outcome.as_json() for client in clients]
    new.write_text(json.dumps({"began": began, "outcomes": outcomes, "resent": files.resent}))
    new.rename(told)


if __name__ == "__main__":
    asyncio.run(_main(Room.load(Path(sys.argv[1])), Path(sys.argv[2])))
