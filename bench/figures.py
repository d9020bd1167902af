"""Figures and their bars: what one line of the bench's answer is made of, and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``bar`` is the highest good value; None: the figure is only shown, never missed.

    ``value`` is None if it could not be measured, which counts as missed; ``note`` says why then.
    """

    name: str
    value: float | None
    bar: float | None = None
    unit: str = ""
    note: str = ""
    digits: int = 3

    @property
    def missed(self) -> bool:
        """Whether there is no value, or it is over its bar."""
        return self.value is None or (self.bar is not None and self.value > self.bar)

    def line(self) -> str:
        """Return ``name: value (bar) ok|MISSED``, and after it what the value is made of."""
        value = "not measured" if self.value is None else f"{self.value:.{self.digits}f}{self.unit}"
        bar = "no bar" if self.bar is None else f"at most {self.bar:g}{self.unit}"
        verdict = " MISSED" if self.missed else "" if self.bar is None else " ok"
        return f"{self.name}: {value} ({bar}){verdict}{f'  [{self.note}]' if self.note else ''}"


def failed(name: str, reason: str, bar: float | None = None) -> Figure:
    """Return a figure that could not be measured, with the first line of the reason."""
    return Figure(name, None, bar, note=(reason.strip() or "nothing was measured").splitlines()[0][:300])


def ratio(name: str, ours: Sequence[float], theirs: Sequence[float], bar: float | None, unit: str) -> Figure:
    """Return the ratio of two medians, with both medians and all values in the note."""
    note = f"ltspd {_spread(ours, unit)}; LTSP {_spread(theirs, unit)}"
    return Figure(name, median(ours) / median(theirs), bar, note=note)


def told(name: str, values: Sequence[float], unit: str, note: str) -> Figure:
    """Return a figure without a bar: the median, with all values in the note if there are several."""
    several = f"of {_list(values)}; " if len(values) > 1 else ""
    return Figure(name, median(values), unit=unit, note=several + note, digits=1)


def show(figures: Sequence[Figure]) -> int:
    """Print a line for each figure; return true, which is exit status 1, if any of them missed its bar."""
    for figure in figures:
        print(figure.line())
    return any(figure.missed for figure in figures)


def _spread(values: Sequence[float], unit: str) -> str:
    middle = f"{median(values):.1f}{unit}"
    return middle if len(values) == 1 else f"{middle} of {_list(values)}"


def _list(values: Sequence[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)
