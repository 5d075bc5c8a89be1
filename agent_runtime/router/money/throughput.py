"""How many tokens a second one replica of a model computes, as seen by the router."""

from __future__ import annotations

import math
from typing import Final

_MEMORY_SECONDS: Final = 600.0
"""After so much busy time, what was seen before counts for a third (1/e) of what it did."""
_ENOUGH_SECONDS: Final = 5.0
"""Busy time before which what was seen says little, and what was said in the contract holds."""


class Throughput:
    """Tokens over busy seconds, both decaying exponentially with busy time.

    It is the ratio of two exponentially weighted sums, and not a mean of the requests' own rates: so a long request
    counts for more than a short one, and ``busy seconds * throughput`` gives back the tokens. A request's busy seconds
    are its share of the replica: the time that it took, over the number of requests that the replica had meanwhile.
    """

    __slots__ = ("_seconds", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0

    def add(self, tokens: int, busy_seconds: float) -> None:
        """Take a request into account, or what is known of many from before.

        Args:
            tokens: of the prompt and of the answer.
            busy_seconds: its share of the replica's time.
        """
        if tokens <= 0 or busy_seconds <= 0:
            return
        # The exact sums of a steady stream, so that a day's worth at once weighs no more than it should.
        kept = math.exp(-busy_seconds / _MEMORY_SECONDS)
        gained_seconds = _MEMORY_SECONDS * (1.0 - kept)
        self._tokens = self._tokens * kept + tokens / busy_seconds * gained_seconds
        self._seconds = self._seconds * kept + gained_seconds

    def tokens_per_second(self) -> float | None:
        """What one replica computes, or None while too little was seen to say."""
        return self._tokens / self._seconds if self._seconds >= _ENOUGH_SECONDS else None
