"""How long to wait before a crashed process is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """Delays that double with each crash in a row, and begin anew after a run that lasted."""

    initial_seconds: float = 0.5
    maximum_seconds: float = 30.0
    reset_after_seconds: float = 60.0
    """A run of at least this long was a success: the delay after it is the first one again."""
    _next_seconds: float | None = None

    def delay_seconds(self, ran_seconds: float) -> float:
        """How long to wait now, after a run of ``ran_seconds``."""
        if self._next_seconds is None or ran_seconds >= self.reset_after_seconds:
            self._next_seconds = self.initial_seconds
        delay = self._next_seconds
        self._next_seconds = min(delay * 2, self.maximum_seconds)
        return delay
