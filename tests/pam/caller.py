"""A program that uses PAM, such as a greeter; runs on the client, told by JSON on standard input.

    {"service": …, "user": …, "steps": ["authenticate", …],
     "answers": [… or null, which breaks the conversation off],
     "uid": real user, "euid": effective one, "closed": [descriptors], "ignore": whether SIGCHLD is ignored,
     "thread": whether PAM is called in a thread, "watch": word that no process may show meanwhile}

Prints what came of it as JSON on the descriptor that the first argument names.
"""

import ctypes
import ctypes.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

STYLES = {1: "hidden", 2: "visible", 3: "error", 4: "info"}
CONV_ERR = 19


class Message(ctypes.Structure):
    """One of libpam's structures, as are the others."""

    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class Response(ctypes.Structure):
    """What a conversation gives back."""

    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


Conversation = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class Conv(ctypes.Structure):
    """A conversation."""

    _fields_ = (("function", Conversation), ("data", ctypes.c_void_p))


def shown(word: bytes) -> list[str]:
    """Return the files of /proc in which any process shows that word in its arguments or environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if word in file.read():
                        found.append(f"/proc/{pid}/{name}")
            except OSError:
                continue  # it ended, or is the kernel's
    return found


def call(orders: dict[str, Any]) -> dict[str, Any]:
    pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL("libc.so.6")
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    answers = list(orders.get("answers", []))
    said: list[tuple[str, str]] = []
    seen: list[str] = []

    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        given = libc.calloc(count, ctypes.sizeof(Response))
        slots = ctypes.cast(given, ctypes.POINTER(Response))
        for i in range(count):
            message = messages[i].contents
            style = STYLES[message.style]
            said.append((style, message.text.decode()))
            if orders.get("watch"):
                seen.extend(shown(orders["watch"].encode()))
            if style in ("hidden", "visible"):
                if "thinks" in orders:
                    time.sleep(orders["thinks"])
                answer = answers.pop(0) if answers else None
                if answer is None:
                    return CONV_ERR
                slots[i].text = libc.strdup(answer.encode())
        responses[0] = given
        return 0

    conv = Conv(Conversation(converse), None)
    handle = ctypes.c_void_p()
    user = orders["user"].encode()
    assert pam.pam_start(orders["service"].encode(), user, ctypes.byref(conv), ctypes.byref(handle)) == 0
    codes = []
    began = time.monotonic()
    for step in orders["steps"]:
        step, _, flags = step.partition(" ")
        if step == "sleep":
            time.sleep(float(flags))
            continue
        codes.append(getattr(pam, f"pam_{step}")(handle, int(flags or "0")))
        if codes[-1]:
            break
    took = time.monotonic() - began
    pam.pam_end(handle, codes[-1])
    return {
        "codes": codes,
        "said": said,
        "shown": seen,
        "took": took,
    }


def descriptors() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue  # the one that lists
    return sorted(found)


def children() -> str:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read()


def main() -> None:
    orders = json.load(sys.stdin)
    out = os.dup2(int(sys.argv[1]), 50)
    for number in orders.get("closed", []):
        os.close(number)
    if orders.get("ignore"):
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if "uid" in orders:
        os.setresuid(
            orders["uid"], orders.get("euid", orders["uid"]), 0 if orders.get("euid") == 0 else orders["uid"]
        )
    before = descriptors()
    result: dict[str, Any] = {}
    work: Callable[[], None] = lambda: result.update(call(orders))  # noqa: E731
    if orders.get("thread"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    result["left"] = sorted(set(descriptors()) - set(before))
    result["children"] = children()
    result["sigchld"] = str(signal.getsignal(signal.SIGCHLD))
    os.write(out, json.dumps(result).encode())


if __name__ == "__main__":
    main()
