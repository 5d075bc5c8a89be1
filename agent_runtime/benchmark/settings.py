"""What a benchmark does: which loads, how many requests, how long replies, which limits count as good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fleet_spec.errors import BadInputError

Arrival = Literal["constant", "poisson"]
DEFAULT_REQUESTS = 40
DEFAULT_CONCURRENCY = (1, 4, 16)
WAVES = 4
"""Where nobody says how many requests a level has, it has at least so many for each that runs at once."""
_LIMITS = ("ttft", "itl", "e2e")


@dataclass(frozen=True)
class Load:
    """One level of load: so many requests at once (closed loop), or so many a second (open loop)."""

    kind: Literal["closed", "constant", "poisson"]
    value: float

    @property
    def open(self) -> bool:
        """Whether requests are sent at their time, however long the earlier ones take."""
        return self.kind != "closed"

    def __str__(self) -> str:
        return f"{self.value:g} a second, {self.kind}" if self.open else f"{self.value:g} at once"


@dataclass(frozen=True)
class Limits:
    """What a request has to keep to count as good. None: no limit."""

    ttft_seconds: float | None = None
    itl_seconds: float | None = None
    e2e_seconds: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return any(limit is not None for limit in (self.ttft_seconds, self.itl_seconds, self.e2e_seconds))


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run. The same seed gives the same prompts in the same order, at the same times."""

    loads: tuple[Load, ...] = tuple(Load("closed", value) for value in DEFAULT_CONCURRENCY)
    requests: int | None = None
    """How many requests a level has."""
    duration_seconds: float | None = None
    """For how long a level sends requests; those under way then are waited for."""
    max_tokens: int = 64
    ignore_eos: bool | None = None
    """Have each reply be ``max_tokens`` long. None: where the engine is known to take it (llama.cpp, vLLM)."""
    warmup_requests: int = 2
    """Sent before the first level, after the one that may find the model cold; reported apart."""
    unload_first: bool = False
    """Have Ollama servers unload the model first, so that the first request shows a cold load."""
    unique_prompts: bool = True
    """Put a number before each prompt, so that no prefix cache has seen it. Instructions before it stay shared."""
    seed: int = 1
    limits: Limits = field(default_factory=Limits)
    timeout_seconds: float = 600.0
    """Longest wait for a whole reply."""

    def requests_of(self, load: Load) -> int | None:
        """How many requests a level has; None where only its duration ends it."""
        if self.requests is not None or self.duration_seconds is not None:
            return self.requests
        return max(DEFAULT_REQUESTS, WAVES * math.ceil(load.value))


def loads_of(concurrency: str | None, rate: str | None, arrival: Arrival = "poisson") -> tuple[Load, ...]:
    """The levels that a command line asks for: a sweep over requests at once, or over requests a second.

    Args:
        concurrency: whole numbers with commas between, such as ``1,4,16``; the default where there is no rate either.
        rate: numbers with commas between, such as ``0.5,1,2``.
        arrival: how an open loop's requests come: evenly, or by chance as independent people send them.

    Raises:
        BadInputError: both are given, or one is no such list.
    """
    if concurrency is not None and rate is not None:
        raise BadInputError(
            "--concurrency (closed loop) and --rate (open loop) are two kinds of load. fix: give one of them"
        )
    if rate is not None:
        return tuple(Load(arrival, value) for value in _numbers("--rate", rate))
    values = DEFAULT_CONCURRENCY if concurrency is None else _numbers("--concurrency", concurrency)
    if any(value != int(value) for value in values):
        raise BadInputError(f"--concurrency {concurrency} has a number that is not whole. fix: such as 1,4,16")
    return tuple(Load("closed", value) for value in values)


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(math.isfinite(value) and value > 0 for value in found):
        raise BadInputError(
            f"{option} {text!r} is no list of numbers above zero. fix: write them with commas between, such as 1,4,16"
        )
    return list(dict.fromkeys(found))


def limits_of(texts: Sequence[str]) -> Limits:
    """The limits of goodput: each text is such as ``ttft=500,itl=50,e2e=10000``, in milliseconds.

    Raises:
        BadInputError: a limit is none of these, or no number above zero.
    """
    found: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            milliseconds = float(value)
        except ValueError:
            milliseconds = math.nan
        if name not in _LIMITS or not (math.isfinite(milliseconds) and milliseconds > 0):
            raise BadInputError(
                f"--slo {part!r} is no limit. fix: one or more of ttft, itl, e2e in milliseconds, such as "
                "ttft=500,itl=50"
            )
        found[f"{name}_seconds"] = milliseconds / 1000
    return Limits(**found)
