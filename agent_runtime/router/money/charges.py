"""What is booked: one charge for each attempt at a request, added up by day, key, tier and model."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent_runtime.router.dialects.usage import Usage
from fleet_spec.governance_spec import Tier

_MICRO: Final = 1_000_000
DURATION_BOUNDS_SECONDS: Final = tuple(round(0.01 * 1.5**step, 6) for step in range(28))
"""Upper bounds of the histogram of response times, 0.01 s to 9.5 minutes, each half as much again as the one before:
a percentile read from it is at most that far off."""

COUNTS: Final = (
    "requests",
    "errors",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "nano_usd",
    "duration_us",
    "busy_us",
)
BUCKETS: Final = tuple(f"duration_{number:02d}" for number in range(len(DURATION_BOUNDS_SECONDS) + 1))
MEASURES: Final = COUNTS + BUCKETS
"""The columns of what is added up, all whole numbers: counts, then the histogram of response times."""
_FIRST_BUCKET: Final = len(COUNTS)


class Series(NamedTuple):
    """Whose charges are added up together."""

    key: str
    tier: Tier
    model: str
    """As the fleet, or the tier beyond it, calls it in the contract."""


@dataclass(slots=True)
class Charge:
    """One attempt at a request, when it has ended. It is booked once, however often it is handed in."""

    key: str
    """The name of the key that asked, ``anonymous`` without one."""
    tier: Tier
    model: str
    usage: Usage | None
    """The engine's own counts, None where it was cut off before it gave them."""
    duration_seconds: float
    """From the request to the end of its answer."""
    busy_seconds: float = 0.0
    """Its share of the replica's time: the attempt's duration over the requests that the replica had meanwhile."""
    failed: bool = False
    """Whether it ended in an error of the router's or the model server's. A client that left is none."""
    sent: bool = True
    """Whether the model server took the request on: not where it could not be reached, or answered with an error."""
    prompt_bytes: int = 0
    """Size of the request's body; for the estimate where there is no usage."""
    reply_bytes: int = 0
    """How much of the answer's body came; for the same."""
    streamed: bool = False
    cached_tokens: int = 0
    """Prompt tokens that the model server found in its cache and charges less for."""
    booked: bool = False


def count_in(
    total: list[int],
    failed: int,
    prompt_tokens: int,
    cached_tokens: int,
    completion_tokens: int,
    nano_usd: int,
    duration_seconds: float,
    busy_seconds: float,
) -> None:
    """Add one request to columns. Positional, since every request passes here."""
    total[0] += 1
    total[1] += failed
    total[2] += prompt_tokens
    total[3] += cached_tokens
    total[4] += completion_tokens
    total[5] += nano_usd
    total[6] += int(duration_seconds * _MICRO)
    total[7] += int(busy_seconds * _MICRO)
    total[_FIRST_BUCKET + bisect_left(DURATION_BOUNDS_SECONDS, duration_seconds)] += 1


def add(total: list[int], more: Sequence[int]) -> None:
    """Add columns to columns."""
    for number, value in enumerate(more):
        if value:
            total[number] += value


def duration_percentile_seconds(columns: Sequence[int], share: float) -> float | None:
    """The response time that a share of the requests stayed within, or None without requests.

    Within a bucket, times are taken to be spread evenly on a logarithmic scale.
    """
    buckets = columns[_FIRST_BUCKET:]
    wanted = share * sum(buckets)
    if wanted <= 0:
        return None
    below = 0
    for number, count in enumerate(buckets):
        if count and below + count >= wanted:
            if number >= len(DURATION_BOUNDS_SECONDS):
                return DURATION_BOUNDS_SECONDS[-1]
            upper = DURATION_BOUNDS_SECONDS[number]
            lower = DURATION_BOUNDS_SECONDS[number - 1] if number else upper / 1.5
            return math.exp(math.log(lower) + (wanted - below) / count * math.log(upper / lower))
        below += count
    return None
