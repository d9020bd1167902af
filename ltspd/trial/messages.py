"""The messages between the daemon and the process that runs the machine: one line of JSON each. Pure."""

import json
from dataclasses import asdict, dataclass

# The phases of a trial in order, each with its share of the time.
PHASES = {"firmware": 0.05, "kernel": 0.05, "root": 0.15, "init": 0.6, "login": 0.15}
# Bytes of a message at most; a piece of a console in JSON is far smaller.
LINE = 1 << 20
# Bytes of what a machine tells of its reads, so that they fit into a message however JSON writes them.
READS = LINE // 8


@dataclass(frozen=True, slots=True)
class Request:
    """What to try out. Files are absolute paths, ``memory`` is in MiB, ``seconds`` is the time for the login.

    ``initrds`` are in the order in which a boot menu loads them; ``layers`` maps digests to files;
    ``parameters`` are words for the kernel.
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
    """The result: the login came after ``seconds``, or ``reason`` says why it did not.

    ``failed`` are the units that failed meanwhile, ``accelerator`` is kvm or tcg (emulation), ``reads`` the
    paths of what of its image the machine had in memory then, relative to the root; none if it did not tell.
    """

    reason: str
    seconds: float
    failed: tuple[str, ...]
    accelerator: str
    reads: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the sentence about a trial that reached the login."""
        text = f"login after {self.seconds:.0f} s ({'KVM' if self.accelerator == 'kvm' else 'emulated'})"
        return f"{text}; failed units: {', '.join(self.failed)}" if self.failed else text


@dataclass(frozen=True, slots=True)
class News:
    """News from the process: a phase that begins, a piece of the console, or at the end the verdict."""

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
    """Return the news in a line; unknown fields are ignored. Raises ValueError.

    The image is not trusted, so the process that read its console is not, either.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("no object")
    phase, console, found = str(fields.get("phase", "")), fields.get("console", ""), fields.get("verdict")
    if not isinstance(console, str) or not isinstance(found, dict | None):
        raise ValueError("wrong types")
    if found is None:
        return News(phase if phase in PHASES else "", console)
    failed, reads = found.get("failed", ()), found.get("reads", [])
    if not isinstance(failed, list) or not isinstance(reads, list):
        raise ValueError("wrong types")
    try:
        verdict = Verdict(
            reason=str(found["reason"])[:1000],
            seconds=float(found["seconds"]),
            failed=tuple(str(each)[:256] for each in failed[:20]),
            accelerator=str(found["accelerator"])[:10],
            reads=tuple(str(each) for each in reads),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no verdict: {error}") from error
    return News(verdict=verdict)
