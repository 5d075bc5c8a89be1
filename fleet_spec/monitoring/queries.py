"""The PromQL that alerts and panels share."""

from __future__ import annotations

from fleet_spec.monitoring.watched import Watched

OF_MODEL = 'model!=""'
"""Requests that came as far as a model; the others were answered or refused before."""
_FAILED = 'status=~"5.."'
_SLOW_SECONDS_BOUND = "10([.]0)?"
"""The bound of the histogram's bucket for ten seconds; versions of Prometheus write whole numbers in two ways."""


def rate(watched: Watched, name: str, by: str = "model", *, seconds: float = 300, further: str = "") -> str:
    """How fast a counter grows in a second, summed up by labels."""
    return f"sum by ({by}) (rate({watched.series(name, further)}[{watched.span(seconds)}]))"


def total_rate(watched: Watched, name: str, *, seconds: float = 300, further: str = "") -> str:
    """How fast a counter grows in a second, all of it."""
    return f"sum(rate({watched.series(name, further)}[{watched.span(seconds)}]))"


def quantile(watched: Watched, share: float, name: str, by: str = "model, ") -> str:
    """A quantile of a histogram; ``by`` names labels, each with a comma after it."""
    buckets = watched.series(f"{name}_bucket")
    return f"histogram_quantile({share}, sum by ({by}le) (rate({buckets}[{watched.span(300)}])))"


def error_share(watched: Watched) -> str:
    """By model, the share of requests that were answered with 500 or more; 0 where none was."""
    answered = rate(watched, "paddock_requests_total", further=OF_MODEL)
    failed = rate(watched, "paddock_requests_total", further=f"{OF_MODEL},{_FAILED}")
    # Where nothing has failed yet there is no series of failures.
    return f"({failed} or 0 * {answered}) / {answered}"


def late_share(watched: Watched, seconds: float) -> str:
    """By model, the share of answers that began after more than ten seconds, over a window of so many seconds."""
    name = "paddock_time_to_first_token_seconds"
    in_time = rate(watched, f"{name}_bucket", seconds=seconds, further=f'le=~"{_SLOW_SECONDS_BOUND}"')
    return f"1 - {in_time} / {rate(watched, f'{name}_count', seconds=seconds)}"


def seconds_per_token(watched: Watched) -> str:
    """By model, the mean time from one token of an answer to the next, once it has begun."""
    whole = rate(watched, "paddock_request_duration_seconds_sum")
    first = rate(watched, "paddock_time_to_first_token_seconds_sum")
    return f"({whole} - {first}) / {rate(watched, 'paddock_completion_tokens_total')}"


def cache_hit_share(watched: Watched) -> str:
    """By model, the share of the requests that the cache has to do with that it has answered."""
    hits, misses = rate(watched, "paddock_cache_hits_total"), rate(watched, "paddock_cache_misses_total")
    return f"({hits} or 0 * {misses}) / (({hits} or 0 * {misses}) + ({misses} or 0 * {hits}))"


def budget_used(watched: Watched) -> str:
    """By scope, the share of a month's budget that is spent or set aside. Nothing for budgets of zero."""
    budget = f"max by (scope) ({watched.series('paddock_budget_usd')})"
    left = f"min by (scope) ({watched.series('paddock_budget_remaining_usd')})"
    return f"1 - {left} / ({budget} > 0)"


def endpoints_up(watched: Watched, further: str = "") -> str:
    """By model and endpoint, whether any router finds that it answers."""
    return f"max by (model, endpoint) ({watched.series('paddock_endpoint_healthy', further)})"
