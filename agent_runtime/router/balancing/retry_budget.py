"""How many requests may be sent a second time: a share of all, so that a sick fleet is not asked twice as much.

The idea and the figures are Finagle's (its ``RetryBudget``: 20 % of the requests of the last 10 s, and 10 a second
where there are few); Envoy's ``retry_budget`` is the same idea over the requests in flight. A request that no server
has seen, because none could be connected to, burdens nobody and is not counted.
"""

from __future__ import annotations

from typing import Final

_WINDOW_SECONDS: Final = 10.0
_SHARE: Final = 0.2
_ALWAYS_PER_SECOND: Final = 10


class RetryBudget:
    """Counts a model's requests and its retries over a window."""

    __slots__ = ("_began", "_requests_before", "_retries", "requests")

    def __init__(self) -> None:
        self.requests = 0
        """Requests of this window: counted up by who sends them, at the price of an addition."""
        self._requests_before = 0
        self._retries = 0
        self._began = 0.0

    def may_retry(self, now: float) -> bool:
        """Take one retry out of the budget, if there is one left. ``now`` is the event loop's time, in seconds."""
        age_seconds = now - self._began
        if age_seconds > _WINDOW_SECONDS:
            # What came before says how busy it is: a window that has just begun would know of nobody.
            self._requests_before = self.requests if age_seconds < 2 * _WINDOW_SECONDS else 0
            self._began, self.requests, self._retries = now, 0, 0
        allowed = _ALWAYS_PER_SECOND * _WINDOW_SECONDS + _SHARE * max(self.requests, self._requests_before)
        if self._retries >= allowed:
            return False
        self._retries += 1
        return True
