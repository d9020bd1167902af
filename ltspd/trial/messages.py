"""What the daemon and the process that runs the machine tell each other: one line of JSON each. Pure."""

import json
from dataclasses import asdict, dataclass

# What the machine is doing, in order, and about which part of a trial's time it takes.
PHASES = {"firmware": 0.05, "kernel": 0.05, "root": 0.15, "init": 0.6, "login": 0.15}
# One message is at most this long: a piece of a console, as JSON writes it, is far below.
LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What to try out. Files are absolute paths, ``memory`` is in MiB, ``seconds`` the time until the login.

    ``initrds`` are what a boot menu loads, in that order; ``layers`` maps digests to files; ``parameters``
    are words for the kernel.
    """

    image: str
    generation: str
    kernel: str
    initrds: tuple[str, ...]
    layers: dict[str, str]
    parameters: str
    memory: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it went: ``reason`` says why the login was not reached, and is empty if it was, after ``seconds``.

    ``failed`` are units that failed on the way, ``accelerator`` is kvm or tcg (emulation).
    """

    reason: str
    seconds: float
    failed: tuple[str, ...]
    accelerator: str

    def __str__(self) -> str:
        """Return what to say of a trial that ended well."""
        text = f"login after {self.seconds:.0f} s ({'KVM' if self.accelerator == 'kvm' else 'emulated'})"
        return f"{text}; failed units: {', '.join(self.failed)}" if self.failed else text


@dataclass(frozen=True, slots=True)
class News:
    """What the process says: a phase that begins, a piece of console text, or at the end the verdict."""

    phase: str = ""
    console: str = ""
    verdict: Verdict | None = None


def to_line(message: Request | News) -> bytes:
    """Return a message as its line."""
    return json.dumps(asdict(message)).encode() + b"\n"


def read_request(line: bytes) -> Request:
    """Return the request of a line that the daemon wrote."""
    fields = json.loads(line)
    return Request(**{**fields, "initrds": tuple(fields["initrds"])})


def read_news(line: bytes) -> News:
    """Return the news of a line, whatever else is in it; ValueError if it is none.

    The machine's content is not to be trusted, so neither is the process that read its console.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("no object")
    phase, console, found = str(fields.get("phase", "")), fields.get("console", ""), fields.get("verdict")
    if not isinstance(console, str) or not isinstance(found, dict | None):
        raise ValueError("wrong types")
    if found is None:
        return News(phase if phase in PHASES else "", console)
    failed = found.get("failed", ())
    if not isinstance(failed, list):
        raise ValueError("wrong types")
    try:
        verdict = Verdict(
            reason=str(found["reason"])[:1000],
            seconds=float(found["seconds"]),
            failed=tuple(str(each)[:256] for each in failed[:20]),
            accelerator=str(found["accelerator"])[:10],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no verdict: {error}") from error
    return News(verdict=verdict)
