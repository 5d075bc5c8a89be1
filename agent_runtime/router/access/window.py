"""How much of a limit is used: the sliding window counter.

What came in the last minute is estimated from two counts: that of the current window, and that of the one
before, weighted by how much of it still lies within the last minute. Two numbers a limit are enough, whatever
the traffic, and no burst gets through at the border between two windows. In no window does more than the limit
come in. Described in https://blog.cloudflare.com/counting-things-a-lot-of-different-things/ and the
documentation of the ``limits`` package, whose arithmetic this is.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

WINDOW_SECONDS: Final = 60


class Window(NamedTuple):
    """A limit's two counts."""

    previous: int
    previous_left_seconds: float
    """How much of the previous window lies within the last minute."""
    current: int
    turnover_seconds: float
    """Until the current window becomes the previous one."""

    def used(self) -> int:
        """How much of the limit is used."""
        return math.floor(self.previous * self.previous_left_seconds / WINDOW_SECONDS) + self.current

    def empty_seconds(self) -> float:
        """Until nothing of the limit is used, if nothing more comes."""
        if self.current > 0:
            return self.turnover_seconds + WINDOW_SECONDS
        return self.previous_left_seconds if self.previous > 0 else 0.0

    def wait_seconds(self, limit: int, cost: int) -> float:
        """Until ``cost`` fits under the limit, if nothing more comes; infinite where it never does."""
        room = limit - cost
        if room < 0:
            return math.inf
        if self.used() <= room:
            return 0.0
        if self.current <= room:
            return self.previous_left_seconds - (room - self.current) * WINDOW_SECONDS / self.previous
        return self.turnover_seconds + WINDOW_SECONDS - room * WINDOW_SECONDS / self.current


class Want(NamedTuple):
    """A part of a limit that a request wants."""

    key: str
    """Which limit: the name of the caller's key and what is counted."""
    limit: int
    cost: int


class Taken(NamedTuple):
    """What came of wants that are met together or not at all."""

    windows: tuple[Window, ...]
    """The state of each limit afterwards, in the order of the wants."""
    refused: int | None
    """The first want that did not fit, where one did not: then nothing was counted."""


def aligned(now: float) -> tuple[int, float]:
    """The number of the window that a time lies in, for windows that begin at whole minutes, and its turnover."""
    number, gone_seconds = divmod(now, WINDOW_SECONDS)
    return int(number), WINDOW_SECONDS - gone_seconds


def first_refused(wants: tuple[Want, ...], windows: tuple[Window, ...]) -> int | None:
    """The place of the first want that does not fit."""
    for place, (want, window) in enumerate(zip(wants, windows, strict=True)):
        if window.used() + want.cost > want.limit:
            return place
    return None
