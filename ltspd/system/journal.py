"""Log records → the journal, sent by a thread of its own, so that a blocked journal never stops a server.

The event loops of daemon and gateway only put lines into a queue. Lines that don't fit are counted, and the
count is logged once the journal accepts lines again.
"""

import logging
import os
import queue
import socket
import sys
import threading
import time

# systemd.io/JOURNAL_NATIVE_PROTOCOL
SOCKET = "/run/systemd/journal/socket"
# Lines that wait while the journal is blocked: some minutes of a busy server, a few megabytes.
WAITING_LINES = 5000
# In characters. A datagram holds more, but nobody reads a longer message.
LONGEST_MESSAGE = 16000
# Seconds in which the last lines are sent when the process ends.
FAREWELL = 1.0
# Seconds between attempts while nobody listens on the socket.
PAUSE = 1.0

# logging's levels → syslog's priorities.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class JournalHandler(logging.Handler):
    """Sends records to the journal; attributes named ``LTSPD_…`` (``extra=``) become fields to search by."""

    def __init__(self, identifier: str, path: str = SOCKET, waiting: int = WAITING_LINES) -> None:
        """Begin to send under the given SYSLOG_IDENTIFIER."""
        super().__init__()
        self._identifier = identifier
        self._path = path
        self._lines: queue.Queue[bytes] = queue.Queue(waiting)
        self._lost = 0
        # Not the handler's own lock: logging.shutdown() holds that while close() waits.
        self._counting = threading.Lock()
        self._stopped = False
        # A daemon thread, so that a blocked journal doesn't keep the process from ending.
        self._thread = threading.Thread(target=self._send, name="journal", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue; never waits and never raises."""
        try:
            data = self._packed(record)
        except Exception:  # the record's format doesn't fit its arguments
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(data)
        except queue.Full:
            with self._counting:
                self._lost += 1

    def close(self) -> None:
        """Wait up to FAREWELL seconds for the queue to empty, then end the thread unless it is blocked."""
        deadline = time.monotonic() + FAREWELL
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stopped = True
        try:
            self._lines.put_nowait(b"")
        except queue.Full:
            pass
        else:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        super().close()

    def _packed(self, record: logging.LogRecord) -> bytes:
        fields = {
            "MESSAGE": self.format(record)[:LONGEST_MESSAGE],
            "PRIORITY": str(priority(record.levelno)),
            "SYSLOG_IDENTIFIER": self._identifier,
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }
        fields |= {key: str(value) for key, value in vars(record).items() if key.startswith("LTSPD_")}
        return b"".join(field(key, value) for key, value in fields.items())

    def _send(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            while not self._stopped:
                data = self._lines.get()
                if data:
                    self._deliver(sock, data)
                self._lines.task_done()

    def _deliver(self, sock: socket.socket, data: bytes) -> None:
        with self._counting:
            lost, self._lost = self._lost, 0
        if lost:
            why = f"{lost} log lines were lost, because the journal took none."
            words = {"MESSAGE": why, "PRIORITY": "4", "SYSLOG_IDENTIFIER": self._identifier}
            data_of_loss = b"".join(field(key, value) for key, value in words.items())
            self._put(sock, data_of_loss)
        self._put(sock, data)

    def _put(self, sock: socket.socket, data: bytes) -> None:
        while not self._stopped:
            try:
                sock.sendto(data, self._path)  # blocks while journald accepts nothing
                return
            except (ConnectionRefusedError, FileNotFoundError):
                time.sleep(PAUSE)  # journald is being replaced, or there is none
            except OSError:
                with self._counting:
                    self._lost += 1  # only this line can't be sent
                return


def field(key: str, value: str) -> bytes:
    """Return one field in the journal's native protocol: with its length if the value has several lines."""
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return key.encode() + b"=" + data + b"\n"
    return key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def priority(level: int) -> int:
    """Return the syslog priority of a logging level."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def handler(identifier: str) -> logging.Handler:
    """Return where a server logs to: the journal if systemd says that standard error goes there."""
    if os.environ.get("JOURNAL_STREAM"):
        return JournalHandler(identifier)
    return logging.StreamHandler(sys.stderr)
