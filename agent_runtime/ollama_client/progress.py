"""How far a download is: bytes, speed and what is left, from the lines that Ollama sends while it pulls."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ollama import ProgressResponse

_WINDOW_SECONDS = 5.0
"""What the speed is measured over: long enough to be steady, short enough to follow the network."""


@dataclass(frozen=True)
class PullProgress:
    """One look at a download."""

    status: str
    """What the server is at, in its words."""
    completed_bytes: int
    total_bytes: int
    """Of the layers that the server has named so far; 0 before it named any."""
    bytes_per_second: float | None
    """Over the last few seconds; None before there is anything to measure."""
    eta_seconds: float | None
    """How long the rest takes at that speed."""

    @property
    def done(self) -> bool:
        """Whether the server says that the model is whole."""
        return self.status == "success"


class ProgressMeter:
    """Adds up the layers of one download."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._totals: dict[str, int] = {}
        self._completed: dict[str, int] = {}
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, line: ProgressResponse) -> PullProgress:
        """Take in one line of the server's."""
        if line.digest:
            # A layer that a former attempt fetched in part begins where that one ended, so its bytes are not speed.
            first = line.digest not in self._totals
            self._totals[line.digest] = line.total or self._totals.get(line.digest, 0)
            self._completed[line.digest] = max(line.completed or 0, self._completed.get(line.digest, 0))
            if first:
                self._samples.clear()
        now, completed, total = self._clock(), sum(self._completed.values()), sum(self._totals.values())
        self._samples.append((now, completed))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        speed = (completed - before) / (now - since) if now > since else None
        eta = (total - completed) / speed if speed and total else None
        return PullProgress(line.status or "", completed, total, speed, eta)
