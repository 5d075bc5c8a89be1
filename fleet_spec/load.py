"""How much a replica can write, and how many replicas a load takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleet_spec.catalogue_entry import Architecture
from fleet_spec.gpus import Gpu
from fleet_spec.price_spec import LoadProfile
from fleet_spec.sizing.kv_cache import kv_cache_bytes

_CELLS = 256


def throughput_bound(
    figures: Architecture,
    read_bytes: float,
    *,
    gpu: Gpu,
    gpus: int,
    parallel: int,
    context_tokens: int,
) -> float:
    """An upper bound of the tokens that one replica writes a second, in all its requests together. Never reached.

    A step of decoding reads the active weights once, however many requests share it, and the KV cache of each; memory
    gives them no faster than its bandwidth: ``parallel x bandwidth / (weights + parallel x cache)``. Reading prompts
    and computing come on top, so measured throughput is lower (https://arxiv.org/abs/2211.05102, section 2.1).

    Args:
        figures: The model's.
        read_bytes: Its active weights.
        gpu: Which kind.
        gpus: How many of them share the model.
        parallel: Requests at the same time.
        context_tokens: What a request's cache holds, on average.
    """
    cells = context_tokens // _CELLS * _CELLS
    cache_bytes = kv_cache_bytes(figures, context_length=cells, parallel=1) if cells else 0
    bandwidth = gpus * gpu.bandwidth_gb_per_second * 1e9
    return parallel * bandwidth / (read_bytes + parallel * cache_bytes)


@dataclass(frozen=True)
class Capacity:
    """What one replica does of a load."""

    tokens_per_second: float
    """Written tokens, in all its requests together."""
    profile: LoadProfile

    @property
    def requests_per_hour(self) -> float:
        """Requests of the profile that one replica answers in an hour when it is never idle."""
        return self.tokens_per_second * 3600 / self.profile.output_tokens

    def replicas(self, requests_per_hour: float) -> int:
        """How many replicas answer so many requests an hour."""
        return math.ceil(requests_per_hour / self.requests_per_hour - 1e-9)


@dataclass(frozen=True)
class DayOfReplicas:
    """How many replicas a day takes."""

    mean: float
    overloaded_hours: int
    """Hours of the day in which more are asked for than there may be."""


def replicas_over_a_day(capacity: Capacity, least: int, most: int) -> DayOfReplicas | None:
    """How many replicas run on average under a load profile; None where it names no requests."""
    hours = capacity.profile.hours
    if hours is None:
        return None
    wanted = [capacity.replicas(requests) for requests in hours]
    running = [min(max(count, least), most) for count in wanted]
    return DayOfReplicas(sum(running) / len(running), sum(count > most for count in wanted))
