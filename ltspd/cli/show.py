"""How things look: tables, colours, sizes, times, progress bars. Pure: text in, text out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"
COLOURS = {
    "in-sync": GREEN, "done": GREEN, "up": GREEN, "real": GREEN, "proxy": GREEN,
    "pending": YELLOW, "edited": YELLOW, "applying": YELLOW, "starting": YELLOW, "running": YELLOW,
    "queued": YELLOW, "stale": YELLOW, "cancelled": YELLOW, "never built": YELLOW,
    "network": YELLOW, "root": YELLOW, "login": GREEN,
    "failed": RED, "attention": RED,
    "disabled": DIM, "off": DIM, "down": DIM,
}  # fmt: skip


def clean(text: object) -> str:
    """Return the text with ``?`` for characters that aren't printable, so that none controls the terminal."""
    return "".join(each if each.isprintable() else "?" for each in str(text))


def clean_lines(text: str) -> str:
    """As ``clean``, for text of several lines; tabs stay."""
    return "\n".join(
        "".join(each if each.isprintable() or each == "\t" else "?" for each in line)
        for line in text.splitlines()
    )


def colour(text: str, code: str, enabled: bool) -> str:
    """Return the text in a colour, if colours are enabled."""
    return f"\033[{code}m{text}\033[0m" if enabled and code else text


def word(text: str, enabled: bool) -> str:
    """Return a state's word in the colour of that state."""
    return colour(clean(text), COLOURS.get(text, ""), enabled)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], coloured: bool) -> str:
    """Return aligned columns; the last one is never padded. Cells that name a state get its colour."""
    cells = [[clean(cell) if cell != "" else "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]

    def line(row: Sequence[str], paint: str = "") -> str:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        padded[-1] = row[-1]
        return "  ".join(
            colour(shown, paint or COLOURS.get(cell, ""), coloured)
            for cell, shown in zip(row, padded, strict=True)
        ).rstrip()

    return "\n".join([line(head, BOLD), *(line(row) for row in cells)])


def fields(pairs: Iterable[tuple[str, object]], coloured: bool) -> str:
    """Return ``name: value`` lines with the values aligned."""
    lines = [(name, clean(value)) for name, value in pairs]
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(
        f"{name.rjust(width)}: {word(value, coloured) if value else '-'}" for name, value in lines
    )


def properties(found: Mapping[str, Any], coloured: bool, but: str = "") -> str:
    """Return the properties of an object, all ``but`` one that has a table of its own."""
    return fields([(name, _value(name, value)) for name, value in found.items() if name != but], coloured)


def _value(name: str, value: Any) -> str:
    match name, value:
        case (("StartedAt" | "FinishedAt" | "AppliedAt" | "LastSeen" | "LeaseExpires"), int()):
            return moment(value)
        case "Architecture", -1:
            return ""
        case "Progress", float():
            return f"{value:.0%}"
        case (("Size" | "BytesDone" | "BytesTotal"), int()):
            return size(value) if value else ""
        case "Job", str():
            return value.rpartition("/")[2]
        case "Error", (str(), str(sentence)):
            return sentence.replace("\n", " |")
        case "Stages", dict():
            return _stages(value)
        case "Pending", [_, *_]:
            return f"{' '.join(map(str, value))} (at the next boot)"
        case _, list():
            return " ".join(str(each) for each in value)
        case _:
            return str(value)


def _stages(stages: Mapping[str, int]) -> str:
    """Return the stages of a boot: the time of the first, and how long after it each other one came."""
    began = min(stages.values(), default=0)
    return ", ".join(
        f"{stage} {moment(at)}" if at == began else f"{stage} +{duration(at - began)}"
        for stage, at in stages.items()
    )


def size(amount: int) -> str:
    """Return an amount of bytes in a fitting unit (powers of 1000)."""
    digits, divisor, unit = _scale(amount)
    return f"{amount / divisor:.{digits}f} {unit}"


def doing(phase: str, done: int, total: int) -> str:
    """Return what is being done and how far, in the unit of the whole: ``copy 1.2 of 3.1 GB``."""
    if not total:
        return phase
    digits, divisor, unit = _scale(total)
    return f"{phase} {done / divisor:.{digits}f} of {total / divisor:.{digits}f} {unit}"


def _scale(amount: int) -> tuple[int, int, str]:
    """Return decimals, divisor and name of the unit for an amount of bytes."""
    power = next((each for each in range(4) if amount < 1000 ** (each + 1)), 4)
    divisor = 1000**power
    return 0 if amount >= 100 * divisor or not power else 1, divisor, ("B", "kB", "MB", "GB", "TB")[power]


def moment(microseconds: int) -> str:
    """Return a time since the epoch as local time; empty for 0."""
    if not microseconds:
        return ""
    from datetime import datetime

    return datetime.fromtimestamp(microseconds / 1e6).strftime("%Y-%m-%d %H:%M:%S")


def duration(microseconds: int) -> str:
    """Return a span of time: ``0.8 s``, ``12 s``, ``3 min 5 s``."""
    seconds = microseconds / 1e6
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def bar(progress: float, phase: str, columns: int) -> str:
    """Return one line of at most ``columns`` cells: a bar, the percentage, what is being done."""
    width = max(10, min(40, columns - 40))
    filled = round(width * min(1.0, max(0.0, progress)))
    line = f"[{'#' * filled}{'.' * (width - filled)}] {progress * 100:3.0f}% {clean(phase)}"
    return line[: max(1, columns - 1)]
