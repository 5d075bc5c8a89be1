"""The cheapest of many, without looking at all of them.

Up to 8 are compared with each other. Among more, the better of two that are drawn by chance is taken: that keeps
the longest of n lines at about log log n (Mitzenmacher, "The power of two choices in randomized load balancing", 2001),
where always taking the shortest would cost a look at every one for every request.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

DEAR: Final = 1e12
"""What is added to the cost of an item that is only for want of another."""
_EXACT: Final = 8
_DRAWS: Final = 8


def choose(
    items: Sequence[Item], turn: int, may_have: Callable[[Item], bool], cost: Callable[[Item], float]
) -> Item | None:
    """One of the items that may be had; equally cheap ones take turns as ``turn`` counts up."""
    count = len(items)
    if count > _EXACT:
        found = _better_of_two(items, may_have, cost)
        if found is not None:
            return found
    best: Item | None = None
    best_cost = math.inf
    for step in range(count):
        item = items[(turn + step) % count]
        if may_have(item):
            its_cost = cost(item)
            if its_cost < best_cost:
                best, best_cost = item, its_cost
    return best


def _better_of_two(
    items: Sequence[Item], may_have: Callable[[Item], bool], cost: Callable[[Item], float]
) -> Item | None:
    """None where a few draws found nothing to be had: most cannot be, and all have to be looked at."""
    first: Item | None = None
    first_cost = DEAR
    for _ in range(_DRAWS):
        item = items[int(random.random() * len(items))]  # noqa: S311 - balance, not secrecy
        if item is first or not may_have(item):
            continue
        its_cost = cost(item)
        if its_cost >= DEAR:
            continue
        if first is not None:
            return item if its_cost < first_cost else first
        first, first_cost = item, its_cost
    return first


class PeakEwma:
    """A mean of recent times that believes bad news at once, and good news as they last.

    Finagle's ``PeakEwma`` load metric: a time above the mean becomes the mean; one below moves it by as much as the
    time since the last one weighs against ``tau``. A replica's cost is its mean times the requests that it would have.
    """

    __slots__ = ("_at", "seconds")

    TAU_SECONDS: Final = 10.0

    def __init__(self) -> None:
        self.seconds = 0.0
        self._at = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """Take a time into account, at a moment of the event loop's time."""
        if seconds >= self.seconds:
            self.seconds = seconds
        else:
            kept = math.exp(-(now - self._at) / self.TAU_SECONDS)
            self.seconds = self.seconds * kept + seconds * (1 - kept)
        self._at = now

    def cost(self, outstanding: int, now: float) -> float:
        """What one more request costs there. Nobody knows of a replica without a past: it gets one to try."""
        if self.seconds == 0.0:
            return float(outstanding) * 3600.0
        return self.seconds * math.exp(-(now - self._at) / self.TAU_SECONDS) * (outstanding + 1)
