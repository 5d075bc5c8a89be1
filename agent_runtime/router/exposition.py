"""Prometheus' text format, from families that anything in the router may give; several workers' can be added up."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Bounds of histograms of durations."""

_TOLD_BY_ALL: Final = frozenset(
    {
        "paddock_month_spend_usd",
        "paddock_budget_usd",
        "paddock_budget_remaining_usd",
        "paddock_budget_reserved_usd",
        "paddock_forecast_usd",
    }
)
"""Families that every worker reads from what all share: the same on each, and no sum. Whoever answers knows best."""
_WORST: Final = frozenset({"paddock_ledger_up"})
"""Families of which the smallest sample holds: one worker that cannot is a router that cannot."""
_BEST: Final = frozenset({"paddock_endpoint_healthy"})
"""Families of which the largest holds: what one worker can reach is there."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Kind = Literal["counter", "gauge", "histogram"]


class Histogram:
    """How often values fell under each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Family:
    """One metric: its name as samples carry it but for a histogram's endings, and its samples."""

    name: str
    kind: Kind
    text: str
    """What it means, for people."""
    samples: list[tuple[str, Labels, float]] = field(default_factory=list[tuple[str, Labels, float]])
    """What follows the name (``_bucket`` and the like, or nothing), labels, value."""


def family(name: str, kind: Kind, text: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """A counter or gauge."""
    return Family(name, kind, text, [("", labels, value) for labels, value in samples])


def histograms(name: str, text: str, label_names: Sequence[str], found: Mapping[tuple[str, ...], Histogram]) -> Family:
    """A family of histograms, by the values of their labels."""
    out: list[tuple[str, Labels, float]] = []
    for values, histogram in found.items():
        labels = tuple(zip(label_names, values, strict=True))
        running = 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            running += count
            out.append(("_bucket", (*labels, ("le", str(bound))), running))
        out.append(("_sum", labels, histogram.total))
        out.append(("_count", labels, running))
    return Family(name, "histogram", text, out)


def exposed(families: Iterable[Family]) -> str:
    """The text that Prometheus reads."""
    out: list[str] = []
    for one in families:
        out.append(f"# HELP {one.name} {one.text}\n# TYPE {one.name} {one.kind}\n")
        out += [f"{one.name}{ending}{_labels(labels)} {value}\n" for ending, labels, value in one.samples]
    return "".join(out)


def added_up(several: Iterable[Iterable[Family]], *, latest: frozenset[str] = frozenset()) -> list[Family]:
    """The families of several workers as one: samples of the same labels are added, where they are sums.

    Args:
        several: Each worker's families, the one that answers last.
        latest: Names of families whose samples are not sums; the last worker's hold.
    """
    found: dict[str, tuple[Family, dict[tuple[str, Labels], float]]] = {}
    for families in several:
        for one in families:
            if one.name not in found:
                found[one.name] = (one, {})
            sums = found[one.name][1]
            for ending, labels, value in one.samples:
                sums[ending, labels] = _together(one.name, sums.get((ending, labels)), value, latest)
    return [
        Family(one.name, one.kind, one.text, [(ending, labels, value) for (ending, labels), value in sums.items()])
        for one, sums in found.values()
    ]


def _together(name: str, before: float | None, value: float, latest: frozenset[str]) -> float:
    """What one worker tells beside what those before it told."""
    if before is None or name in latest or name in _TOLD_BY_ALL:
        return value
    if name in _WORST:
        return min(before, value)
    if name in _BEST:
        return max(before, value)
    return before + value


def to_json(families: Iterable[Family]) -> str:
    """Families as text that another worker reads."""
    return json.dumps([[one.name, one.kind, one.text, one.samples] for one in families])


def from_json(text: str) -> list[Family]:
    """What :func:`to_json` wrote.

    Raises:
        ValueError: it is something else.
    """
    data: Any = json.loads(text)
    try:
        return [
            Family(
                str(name),
                cast("Kind", kind),
                str(help_text),
                [(str(e), tuple((str(k), str(v)) for k, v in labels), float(value)) for e, labels, value in samples],
            )
            for name, kind, help_text, samples in data
        ]
    except TypeError as error:
        raise ValueError("is no list of families") from error


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
