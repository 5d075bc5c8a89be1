"""Whose series are looked at, by which of their config's figures, and how long anything has to last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from fleet_spec.spec import FleetSpec

JOB: Final = "paddock-router"
"""The scrape job of the router on the local and Docker targets."""


@dataclass(frozen=True)
class Watched:
    """One fleet, as its series tell it from others in the same Prometheus."""

    name: str
    """What people call it: the stack or the namespace."""
    labels: Mapping[str, str]
    """The labels that its series have and no other fleet's."""
    router_down: str
    """PromQL that has a result while nobody reaches the router."""
    awake: tuple[str, ...]
    """Models that have to answer at any time; a sleeping one may not."""
    soft_limit: float
    """The share of a budget past which it is worth a word."""
    most_waiting: int
    """How many requests of a model wait in the router before more are refused."""
    runbook_url: str
    """The page that alerts lead to, without the ``#`` part."""
    time_scale: float = 1.0
    """Factor on every window and every time that an alert waits. Below 1 for trying alerts out, when seconds have to
    do for minutes."""

    @classmethod
    def stack(cls, spec: FleetSpec, stack: str, *, time_scale: float = 1.0) -> Self:
        """The fleet of a stack on the local or Docker target, scraped by the job of :mod:`.scraping`."""
        labels = {"stack": stack}
        up = f"up{matchers({'job': JOB, **labels})}"
        return cls(
            name=stack,
            labels=labels,
            router_down=f"max({up}) == 0 or absent({up})",
            awake=tuple(spec.models),
            soft_limit=spec.budget.soft_limit,
            most_waiting=spec.routing.queue.max_waiting,
            runbook_url=spec.monitoring.runbook_url,
            time_scale=time_scale,
        )

    def series(self, name: str, further: str = "") -> str:
        """A selector of the fleet's series of this name; ``further`` holds more matchers, as PromQL has them."""
        return f"{name}{matchers(self.labels, further)}"

    def span(self, seconds: float) -> str:
        """A time as PromQL and rule files write it, scaled."""
        return duration(seconds * self.time_scale)


def duration(seconds: float) -> str:
    """A time as Prometheus writes it: ``5m``, ``1h``, ``2500ms``."""
    milliseconds = max(1, round(seconds * 1000))
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def matchers(labels: Mapping[str, str], further: str = "") -> str:
    """Label matchers in braces."""
    all_of_them = [f'{name}="{quoted(value)}"' for name, value in labels.items()]
    return "{" + ",".join([*all_of_them, *([further] if further else [])]) + "}"


def quoted(text: str) -> str:
    """A text as it stands between PromQL's quotation marks."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
