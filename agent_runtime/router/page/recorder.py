"""What became of the last requests, for the page: a bounded list of them, and sums of the last minutes.

Nothing of a prompt or an answer comes here. A request costs an addition or a few, whether anybody watches or not.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.exposition import SECONDS

if TYPE_CHECKING:
    from agent_runtime.router.accounts import End
    from agent_runtime.router.asked import Asked

DECISIONS_KEPT: Final = 100
"""How many requests are remembered one by one."""
BUCKET_SECONDS: Final = 5
WINDOW_SECONDS: Final = 60
"""What "now" means on the page."""
HISTORY_SECONDS: Final = 600
_BUCKETS_KEPT: Final = HISTORY_SECONDS // BUCKET_SECONDS
_MOST_MODELS: Final = 4096
_LONGEST_TEXT: Final = 300


@dataclass(slots=True)
class Sums:
    """What happened in a while. Sums of several workers add up."""

    requests: int = 0
    errors: int = 0
    """Answered with 500 or more."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    writing_tokens: int = 0
    """Tokens of answers after their first byte, of those that came in pieces."""
    writing_seconds: float = 0.0
    """And how long they took."""
    usd: float = 0.0
    first_bytes: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """Requests by the time to the first byte of their answer, under the bounds of ``exposition.SECONDS``."""

    def add(self, other: Sums) -> None:
        """Add what happened elsewhere, or at another time."""
        self.requests += other.requests
        self.errors += other.errors
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.writing_tokens += other.writing_tokens
        self.writing_seconds += other.writing_seconds
        self.usd += other.usd
        self.first_bytes = [mine + its for mine, its in zip(self.first_bytes, other.first_bytes, strict=True)]


@dataclass(slots=True)
class Ended:
    """A request that has ended."""

    request_id: str
    path: str
    status: int
    model: str = ""
    tier: str = ""
    key: str = ""
    kind: str = ""
    """What settled where it went, in a word; ``refused`` where it went nowhere, ``cache`` where it did not have to."""
    reason: str = ""
    """The same for people."""
    endpoint: str = ""
    usd: float = 0.0
    seconds: float = 0.0
    first_byte_seconds: float | None = None
    usage: Usage | None = None
    streamed: bool = False
    instead_of: str = ""
    """Who was the first choice, where another had to take it."""
    number: int = 0
    """Its place among those that the recorder took, from 1."""
    at: float = 0.0
    """When it ended, in seconds since 1970; the recorder's clock says it."""

    @classmethod
    def of(cls, asked: Asked, end: End, usd: float, seconds: float) -> Self:
        """A request that was meant for a model server, with what it cost and how long it took."""
        request, decision, model = asked.request, asked.decision, asked.model
        first = decision.model
        return cls(
            request.id,
            request.path,
            end.status,
            model.name,
            model.tier,
            asked.caller.name,
            decision.kind,
            decision.reason,
            "" if end.replica is None else end.replica.endpoint.url,
            usd,
            seconds,
            None if end.first_byte_at is None else end.first_byte_at - request.started,
            end.usage,
            asked.call.streamed,
            "" if first is model else f"{first.name} ({first.tier})",
        )

    def to_mapping(self) -> dict[str, Any]:
        """As JSON data."""
        usage, first = self.usage, self.first_byte_seconds
        return {
            "id": self.request_id,
            "at": round(self.at, 3),
            "path": self.path[:_LONGEST_TEXT],
            "status": self.status,
            "model": self.model,
            "tier": self.tier,
            "key": self.key,
            "kind": self.kind,
            "reason": self.reason[:_LONGEST_TEXT],
            "insteadOf": self.instead_of,
            "endpoint": self.endpoint,
            "usd": self.usd,
            "seconds": round(self.seconds, 4),
            "firstByteSeconds": None if first is None else round(first, 4),
            "promptTokens": None if usage is None else usage.prompt_tokens,
            "completionTokens": None if usage is None else usage.completion_tokens,
        }


class Recorder:
    """Takes every request that ends in this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives seconds since 1970."""
        self._clock = clock
        self.decisions: deque[Ended] = deque(maxlen=DECISIONS_KEPT)
        """The last requests, the newest last."""
        self.count = 0
        """How many there have been."""
        self._buckets: dict[tuple[str, str], deque[tuple[int, Sums]]] = {}
        """By tier and model: the number of a bucket since 1970, and what happened in it."""
        self._present: dict[tuple[str, str], Sums] = {}
        """The buckets that are not over yet: every request passes here, and looks no further."""
        self._present_ends = 0.0

    def ended(self, request: Ended) -> None:
        """Take a request that has ended."""
        now = request.at = self._clock()
        self.count = request.number = self.count + 1
        self.decisions.append(request)
        if not request.model:
            return
        if not self._present_ends - BUCKET_SECONDS <= now < self._present_ends:
            self._present.clear()
            self._present_ends = (now // BUCKET_SECONDS + 1) * BUCKET_SECONDS
        place = (request.tier, request.model)
        sums = self._present.get(place) or self._begin(place, int(now // BUCKET_SECONDS))
        if sums is None:
            return
        usage, first = request.usage, request.first_byte_seconds
        sums.requests += 1
        if request.status >= 500:
            sums.errors += 1
        sums.usd += request.usd
        if first is not None:
            sums.first_bytes[bisect_left(SECONDS, first)] += 1
        if usage is not None:
            sums.prompt_tokens += usage.prompt_tokens
            sums.completion_tokens += usage.completion_tokens
            if request.streamed and first is not None and usage.completion_tokens > 1:
                sums.writing_tokens += usage.completion_tokens - 1
                sums.writing_seconds += request.seconds - first

    def _begin(self, place: tuple[str, str], number: int) -> Sums | None:
        """Begin the present bucket of a model. None: there are more models than anybody would look at."""
        buckets = self._buckets.get(place)
        if buckets is None:
            if len(self._buckets) >= _MOST_MODELS:
                return None
            buckets = self._buckets[place] = deque(maxlen=_BUCKETS_KEPT)
        sums = self._present[place] = Sums()
        buckets.append((number, sums))
        return sums

    def window(self) -> dict[tuple[str, str], Sums]:
        """What happened in the last :data:`WINDOW_SECONDS`, by tier and model; those without requests are left out."""
        # The present bucket is not over: the oldest is taken whole, so that a steady load looks steady.
        oldest = int(self._clock() // BUCKET_SECONDS) - WINDOW_SECONDS // BUCKET_SECONDS
        found: dict[tuple[str, str], Sums] = {}
        for place, buckets in self._buckets.items():
            total = Sums()
            for number, sums in reversed(buckets):
                if number <= oldest:
                    break
                total.add(sums)
            if total.requests:
                found[place] = total
        return found

    def history(self) -> dict[int, list[float]]:
        """Bucket by bucket since 1970, all models together: requests, errors, tokens of answers, US dollars."""
        oldest = int(self._clock() // BUCKET_SECONDS) - _BUCKETS_KEPT
        found: dict[int, list[float]] = {}
        for buckets in self._buckets.values():
            for number, sums in reversed(buckets):
                if number <= oldest:
                    break
                point = found.setdefault(number, [0.0] * 4)
                for place, value in enumerate((sums.requests, sums.errors, sums.completion_tokens, sums.usd)):
                    point[place] += value
        return found
