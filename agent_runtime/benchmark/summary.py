"""A level's measures as plain data: percentiles, throughput, goodput, errors, money, and how the generator was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final

from agent_runtime.benchmark.generator_health import GeneratorHealth
from agent_runtime.benchmark.quantiles import interval
from agent_runtime.benchmark.sample import Level, Sample
from agent_runtime.benchmark.settings import Limits
from agent_runtime.benchmark.target import Target

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""The percentiles of a report."""
MEASURES: Final[Mapping[str, Callable[[Sample], float | None]]] = {
    "ttftSeconds": lambda sample: sample.ttft_seconds,
    "itlSeconds": lambda sample: sample.itl_seconds,
    "e2eSeconds": lambda sample: sample.e2e_seconds,
    "longestGapSeconds": lambda sample: sample.longest_gap_seconds,
}
"""What percentiles are given of, field of the report -> of one request."""
KEPT_MEASURES: Final = ("ttftSeconds", "itlSeconds", "e2eSeconds")
"""Those whose single values are kept in the report, for comparisons with later ones."""
LEAST_LEVELS_FOR_KNEE: Final = 3
_SECONDS_PER_HOUR: Final = 3600
_MILLION: Final = 1_000_000
_NANO: Final = 1e-9
_DIGITS: Final = 7
"""Of what is kept of single requests: tenths of a microsecond."""


def level_document(level: Level, target: Target, limits: Limits) -> dict[str, Any]:
    """Everything about a level."""
    good = level.good
    values = {name: [value for value in map(read, good) if value is not None] for name, read in MEASURES.items()}
    seconds = _length_seconds(level.samples)
    return {
        "load": {
            "kind": level.load.kind,
            "value": level.load.value,
            "unit": "requests a second" if level.load.open else "requests at once",
        },
        "status": level.status,
        "problem": level.problem,
        "seconds": seconds,
        "requests": {
            "sent": len(level.samples),
            "good": len(good),
            "failed": len(level.samples) - len(good),
        },
        "errors": _errors(level.samples),
        "latency": {name: spread(found) for name, found in values.items()},
        "throughput": _throughput(good, seconds, values["itlSeconds"]),
        "tokens": _tokens(good),
        "goodput": _goodput(good, len(level.samples), seconds, limits),
        "engine": {
            "prefillTokensPerSecond": _median([sample.prefill_tokens_per_second for sample in good]),
            "decodeTokensPerSecond": _median([sample.decode_tokens_per_second for sample in good]),
        },
        "money": _money(good, target, seconds),
        "dispatchDelaySeconds": spread([s.dispatch_delay_seconds for s in level.samples]) if level.load.open else None,
        "generator": None if level.health is None else _generator(level.health, level.samples),
        "samples": {name: [round(value, _DIGITS) for value in values[name]] for name in KEPT_MEASURES},
    }


def spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Count, mean, percentiles with their intervals, and the most; None of no values."""
    if not values:
        return None
    percentiles = {name: interval(values, share) for name, share in SHARES.items()}
    return {
        "count": len(values),
        "mean": fmean(values),
        **{name: {"value": one.value, "low": one.low, "high": one.high} for name, one in percentiles.items()},
        "max": max(values),
    }


def sample_document(sample: Sample) -> dict[str, Any]:
    """One request that is reported by itself, such as the first."""
    return {
        "ttftSeconds": sample.ttft_seconds,
        "itlSeconds": sample.itl_seconds,
        "e2eSeconds": sample.e2e_seconds,
        "promptTokens": sample.prompt_tokens,
        "outputTokens": sample.output_tokens,
        "loadSeconds": sample.load_seconds,
        "error": None if sample.failure is None else f"{sample.failure.kind}: {sample.failure.detail}",
    }


def knee_of(levels: Sequence[Mapping[str, Any]]) -> int | None:
    """Which level has the most power: throughput over latency. None where it may lie beyond what was measured.

    Args:
        levels: documents of the levels of one model, in rising order of load.
    """
    powers: list[tuple[float, int]] = []
    for index, level in enumerate(levels):
        rate, latency = level["throughput"]["outputTokensPerSecond"], level["latency"]["e2eSeconds"]
        if level["status"] == "complete" and rate is not None and latency is not None and latency["p50"]["value"] > 0:
            powers.append((rate / latency["p50"]["value"], index))
    if len(powers) < LEAST_LEVELS_FOR_KNEE:
        return None
    _, best = max(powers)
    return None if best == powers[-1][1] else best


def _length_seconds(samples: Sequence[Sample]) -> float:
    if not samples:
        return 0.0
    return max(sample.ended_at for sample in samples) - min(sample.began_at for sample in samples)


def _errors(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    failures = [sample.failure for sample in samples if sample.failure is not None]
    examples = {failure.kind: failure.detail for failure in reversed(failures)}
    counts = Counter(failure.kind for failure in failures)
    return [{"kind": kind, "count": count, "example": examples[kind]} for kind, count in counts.most_common()]


def _throughput(good: Sequence[Sample], seconds: float, itl: Sequence[float]) -> dict[str, float | None]:
    output = _sum([sample.output_tokens for sample in good])
    prompt = _sum([sample.prompt_tokens for sample in good])
    both = None if output is None or prompt is None else output + prompt
    middle = median(itl) if itl else None
    return {
        "requestsPerSecond": _over(len(good), seconds),
        "outputTokensPerSecond": _over(output, seconds),
        "totalTokensPerSecond": _over(both, seconds),
        "outputTokensPerSecondOfUser": 1 / middle if middle else None,
    }


def _tokens(good: Sequence[Sample]) -> dict[str, Any]:
    counted = [sample for sample in good if sample.output_tokens is not None]
    prompts = [sample.prompt_tokens for sample in good if sample.prompt_tokens is not None]
    outputs = [sample.output_tokens for sample in counted if sample.output_tokens is not None]
    return {
        "promptTotal": _sum([sample.prompt_tokens for sample in good]),
        "promptMean": fmean(prompts) if prompts else None,
        "outputTotal": _sum([sample.output_tokens for sample in good]),
        "outputMean": fmean(outputs) if outputs else None,
        "repliesWithoutCount": len(good) - len(counted),
    }


def _goodput(good: Sequence[Sample], sent: int, seconds: float, limits: Limits) -> dict[str, Any] | None:
    if not limits.any:
        return None
    met = sum(1 for sample in good if _keeps(sample, limits))
    return {"requests": met, "share": _over(met, sent), "requestsPerSecond": _over(met, seconds)}


def _keeps(sample: Sample, limits: Limits) -> bool:
    pairs = (
        (sample.ttft_seconds, limits.ttft_seconds),
        (sample.itl_seconds, limits.itl_seconds),
        (sample.e2e_seconds, limits.e2e_seconds),
    )
    return all(limit is None or value is None or value <= limit for value, limit in pairs)


def _money(good: Sequence[Sample], target: Target, seconds: float) -> dict[str, float | None] | None:
    if target.price is not None:
        price = target.price
        costs = [price.cost_nano_usd(s.prompt_tokens or 0, s.output_tokens or 0) for s in good]
        usd = sum(costs) * _NANO
    elif target.usd_per_hour is not None:
        usd = target.usd_per_hour / _SECONDS_PER_HOUR * seconds
    else:
        return None
    output = _sum([sample.output_tokens for sample in good])
    prompt = _sum([sample.prompt_tokens for sample in good])
    both = None if output is None or prompt is None else output + prompt
    return {
        "usd": usd,
        "usdPerMillionOutputTokens": _over(usd * _MILLION, output),
        "usdPerMillionTokens": _over(usd * _MILLION, both),
    }


def _generator(health: GeneratorHealth, samples: Sequence[Sample]) -> dict[str, Any]:
    chunks = sum(sample.chunks for sample in samples)
    return {
        "cpuSeconds": health.cpu_seconds,
        "cpuShare": health.cpu_share,
        "chunks": chunks,
        "cpuMicrosecondsPerChunk": _over(health.cpu_seconds * _MILLION, chunks),
        "lagSeconds": {"p50": health.lag_p50_seconds, "p99": health.lag_p99_seconds, "max": health.lag_max_seconds},
        "saturated": health.why_saturated,
    }


def _sum(counts: Sequence[int | None]) -> int | None:
    """The sum where every one is known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _over(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
