"""Metrics as Prometheus's text format, version 0.0.4. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A sample: what is added to the family's name, labels, value.
Sample = tuple[str, Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples. ``kind``: counter (the name ends in _total), gauge, histogram."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def single(name: str, kind: str, about: str, value: float) -> Family:
    """Return a metric that has one value and no labels."""
    return Family(name, kind, about, [("", {}, value)])


def labelled(name: str, kind: str, about: str, label: str, values: Mapping[str, float]) -> Family:
    """Return a metric with one label."""
    return Family(name, kind, about, [("", {label: key}, value) for key, value in values.items()])


class Histogram:
    """Counts of observed values by upper bounds, as a family's samples."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count by these upper bounds, in rising order, and one more for what is above."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]:
        """Yield buckets (each with all that are below it), sum and count."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            yield "_bucket", {**labels, "le": number(bound)}, total
        yield "_sum", labels, self._sum
        yield "_count", labels, total


def text(families: Iterable[Family]) -> str:
    """Return the whole page."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    about = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {family.name} {about}"
    yield f"# TYPE {family.name} {family.kind}"
    for suffix, labels, value in family.samples:
        inner = ",".join(f'{name}="{_escaped(each)}"' for name, each in labels.items())
        yield f"{family.name}{suffix}{'{' + inner + '}' if inner else ''} {number(value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """Return a number as Go reads it: whole ones without a fraction."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
