"""When a replica that answers badly is left alone, and how it gets its requests back.

Whether an endpoint can be reached at all is another matter (see ``EndpointState``). Here it is about one model at
one endpoint that takes requests and does not answer them: errors of the server's own, silence until the time limit,
answers that break off. Overload (503, 429) is none of that, and a slow answer is an answer.
"""

from __future__ import annotations

from typing import Final, Literal

BreakerState = Literal["closed", "half_open", "open"]

_FAILURES_IN_A_ROW: Final = 5
_WINDOW_SECONDS: Final = 10.0
_WINDOW_REQUESTS: Final = 20
_WINDOW_SHARE: Final = 0.5
"""It opens after 5 failures with no success between them, or where half of at least 20 requests in 10 s failed."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_FULL_ALLOWANCE: Final = 8
"""Half open, it lets 1 request through at a time, then 2, 4 and 8; each step takes as many successes."""


class Breaker:
    """Counts what became of requests, and says whether there may be more. Times are the event loop's, in seconds."""

    __slots__ = (
        "_failed",
        "_openings",
        "_row",
        "_steps",
        "_succeeded",
        "_window_began",
        "allowance",
        "clear",
        "open_until",
        "paused_until",
        "problem",
    )

    def __init__(self) -> None:
        self.clear = True
        """Whether there is nothing to ask: the usual state, in which looking at it must cost next to nothing."""
        self.problem = ""
        """Why it is not clear."""
        self.open_until: float | None = None
        """When a first request may be tried; None where it is closed."""
        self.paused_until = 0.0
        """Until when the server has asked to be left alone. That is no ill health."""
        self.allowance = 1
        """How many requests at a time it lets through while it is half open."""
        self._steps = 0
        self._openings = 0
        self._row = 0
        self._succeeded = 0
        self._failed = 0
        self._window_began = 0.0

    def state(self, now: float) -> BreakerState:
        """What the metrics and the status show."""
        if self.open_until is None:
            return "open" if now < self.paused_until else "closed"
        return "open" if now < max(self.open_until, self.paused_until) else "half_open"

    def allows(self, now: float, in_flight: int) -> bool:
        """Whether one more request may go there, ``in_flight`` being there already."""
        if now < self.paused_until:
            return False
        if self.open_until is None:
            self.clear, self.problem = True, ""
            return True
        return now >= self.open_until and in_flight < self.allowance

    def succeeded(self) -> None:
        """A request was answered."""
        self._row = 0
        self._succeeded += 1
        if self.open_until is None:
            return
        self._steps += 1
        if self._steps < self.allowance:
            return
        self._steps = 0
        if self.allowance < _FULL_ALLOWANCE:
            self.allowance *= 2
            return
        self.open_until = None
        self._openings = self._succeeded = self._failed = 0
        self.clear, self.problem = self.paused_until == 0.0, ""

    def failed(self, now: float, problem: str) -> bool:
        """A request failed. True where the breaker opened for it."""
        if self.open_until is not None:
            if now < self.open_until:
                return False  # it was sent before the breaker opened, and says nothing new
            self._open(now, problem)
            return True
        if now - self._window_began > _WINDOW_SECONDS:
            # The window begins with a failure: as long as there is none, nobody has to look at the clock.
            self._window_began, self._succeeded, self._failed = now, 0, 0
        self._row += 1
        self._failed += 1
        total = self._failed + self._succeeded
        if self._row < _FAILURES_IN_A_ROW and (total < _WINDOW_REQUESTS or self._failed < total * _WINDOW_SHARE):
            return False
        self._open(now, problem)
        return True

    def pause(self, until: float, problem: str) -> None:
        """The server asked to be left alone until then, or cannot be used until somebody mends it."""
        self.paused_until = max(self.paused_until, until)
        self.clear, self.problem = False, problem

    def _open(self, now: float, problem: str) -> None:
        pause_seconds = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._openings, 20), _LONGEST_PAUSE_SECONDS)
        self._openings += 1
        self.open_until = now + pause_seconds
        self.allowance, self._steps, self._row = 1, 0, 0
        self.clear, self.problem = False, problem

    def next_try(self) -> float:
        """When it makes sense to ask again."""
        return max(self.open_until or 0.0, self.paused_until)
