"""A strict reader of Prometheus's text format 0.0.4, for tests: what it does not know it refuses.

What it reads, Prometheus's own reader for Python, which forgives more, must read in the same way.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
# Go's ParseFloat as it is used here: decimal numbers and the words for what is none.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN")
Labels = tuple[tuple[str, str], ...]


@dataclass
class Metric:
    """One family as it was read."""

    kind: str = ""
    help: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def read(page: str) -> Mapping[str, Metric]:
    """Return the families of a page; raises AssertionError with the line that breaks a rule."""
    assert page.endswith("\n"), "the last line must end, too"
    families: dict[str, Metric] = {}
    current = ""
    for line in page.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name, _, text = line[7:].partition(" ")
            assert re.fullmatch(_NAME, name), line
            assert name not in families, f"a family comes once: {line}"
            assert re.fullmatch(r"(?:[^\\]|\\[\\n])*", text), line
            current, families[name] = name, Metric(help=text)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current, f"TYPE before HELP: {line}"
            assert not families[name].kind, line
            assert not families[name].samples, f"TYPE after samples: {line}"
            assert kind in ("counter", "gauge", "histogram"), line
            families[name].kind = kind
        else:
            _sample(line, current, families[current])
    for name, metric in families.items():
        _check(name, metric)
    ours = {
        (name + suffix, frozenset(labels)): value
        for name, metric in families.items()
        for (suffix, labels), value in metric.samples.items()
    }
    assert ours == _as_prometheus_reads(page)
    return families


def _as_prometheus_reads(page: str) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def _sample(line: str, family: str, metric: Metric) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    name, inner, number = found.groups()
    assert name.startswith(family), f"a sample of another family: {line}"
    assert _NUMBER.fullmatch(number), line
    labels = tuple((each[1], re.sub(r"\\(.)", _plain, each[2])) for each in _LABEL.finditer(inner or ""))
    assert "".join(each[0] for each in _LABEL.finditer(inner or "")) == (inner or ""), line
    assert len({key for key, _ in labels}) == len(labels), line
    key = (name.removeprefix(family), labels)
    assert key not in metric.samples, f"twice: {line}"
    metric.samples[key] = float(number.replace("Inf", "inf"))


def _plain(escape: re.Match[str]) -> str:
    return {"n": "\n"}.get(escape[1], escape[1])


def _check(name: str, metric: Metric) -> None:
    assert metric.kind, name
    assert metric.help, name
    suffixes = {suffix for suffix, _ in metric.samples}
    assert (metric.kind == "counter") == name.endswith("_total"), name
    if metric.kind != "histogram":
        assert suffixes <= {""}, name
        assert metric.kind == "gauge" or all(value >= 0 for value in metric.samples.values()), name
        return
    assert suffixes == {"_bucket", "_sum", "_count"}, name
    for labels in {labels for suffix, labels in metric.samples if suffix == "_count"}:
        buckets = [
            (float(dict(each)["le"].replace("Inf", "inf")), value)
            for (suffix, each), value in metric.samples.items()
            if suffix == "_bucket" and tuple(pair for pair in each if pair[0] != "le") == labels
        ]
        assert buckets == sorted(buckets), f"{name}: buckets must rise"
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), name
        assert math.isinf(buckets[-1][0]), f"{name}: the last bucket holds all"
        assert buckets[-1][1] == metric.samples["_count", labels], name
