"""One look at a router: what each worker knows, put together, and cut into the parts that the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router.experiments.tally import quantile
from agent_runtime.router.fleet_view import described
from agent_runtime.router.page.recorder import BUCKET_SECONDS, HISTORY_SECONDS, WINDOW_SECONDS, Sums

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

Part = dict[str, Any]
"""What one worker knows, as JSON data."""

_HEALTH: Final = ("up", "unknown", "down")
_BREAKER: Final = ("closed", "half_open", "open")


def part_of(router: Router, after: int = 0) -> Part:
    """What this worker knows.

    Args:
        router: The worker's router.
        after: The number of the last decision that is known already.
    """
    now = router.loop.time()
    recorder, cache = router.page.recorder, router.governance.answers
    window = recorder.window()
    return {
        "models": [
            {
                **described(model, now),
                "capabilities": model.entry.capabilities,
                "sums": asdict(window.get((model.tier, model.name)) or Sums()),
            }
            for model in router.fleet.all_models()
        ],
        "names": [
            {"host": name.host, "problem": name.problem}
            for name in router.fleet.names_looked_up.values()
            if name.problem
        ],
        "history": {str(number): point for number, point in recorder.history().items()},
        "decisions": [one.to_mapping() for one in recorder.decisions if one.number > after],
        "count": recorder.count,
        "cache": {
            "hits": sum(cache.hits.values()),
            "misses": sum(cache.misses.values()),
            "entries": len(cache.store),
            "sizeBytes": cache.store.size_bytes,
            "tokensSaved": cache.tokens_saved,
        },
        "connections": len(router.connections),
        "problems": [*([router.contract_problem] if router.contract_problem else []), *router.governance.problems()],
    }


def together(parts: Sequence[Part]) -> Part:
    """What all workers know, the one that answers first. Counts add up; of healths the worst holds."""
    first = parts[0]
    if len(parts) == 1:
        return first
    models: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        for model in part["models"]:
            place = model["tier"], model["name"]
            models[place] = _model_together(models[place], model) if place in models else model
    history: dict[str, list[float]] = {}
    for part in parts:
        for number, point in part["history"].items():
            before = history.get(number)
            history[number] = point if before is None else [a + b for a, b in zip(before, point, strict=True)]
    return {
        **first,
        "models": list(models.values()),
        "history": history,
        "decisions": sorted((one for part in parts for one in part["decisions"]), key=lambda one: one["at"]),
        "count": sum(part["count"] for part in parts),
        "cache": {name: sum(part["cache"][name] for part in parts) for name in first["cache"]},
        "connections": sum(part["connections"] for part in parts),
        "problems": list(dict.fromkeys(problem for part in parts for problem in part["problems"])),
    }


def _model_together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    sums = Sums(**one["sums"])
    sums.add(Sums(**other["sums"]))
    endpoints = {endpoint["url"]: endpoint for endpoint in one["endpoints"]}
    for endpoint in other["endpoints"]:
        mine = endpoints.get(endpoint["url"])
        endpoints[endpoint["url"]] = endpoint if mine is None else _endpoint_together(mine, endpoint)
    return {
        **one,
        "active": one["active"] + other["active"],
        "waiting": one["waiting"] + other["waiting"],
        "asleep": one["asleep"] and other["asleep"],
        "endpoints": list(endpoints.values()),
        "sums": asdict(sums),
    }


def _endpoint_together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "health": max(one["health"], other["health"], key=_HEALTH.index),
        "breaker": max(one["breaker"], other["breaker"], key=_BREAKER.index),
        "problem": one["problem"] or other["problem"],
        "drained": one["drained"] or other["drained"],
        "outstanding": one["outstanding"] + other["outstanding"],
        "limit": None if one["limit"] is None else one["limit"] + (other["limit"] or 0),
    }


def models_shown(whole: Part) -> dict[str, dict[str, Any]]:
    """Each model with what it did in the last minute, by ``model/TIER/NAME``."""
    return {
        f"model/{model['tier']}/{model['name']}": {
            **{name: value for name, value in model.items() if name != "sums"},
            **_rates(Sums(**model["sums"])),
        }
        for model in whole["models"]
    }


def totals_shown(whole: Part) -> dict[str, Any]:
    """All models together."""
    sums = Sums()
    for model in whole["models"]:
        sums.add(Sums(**model["sums"]))
    return {
        **_rates(sums),
        "active": sum(model["active"] for model in whole["models"]),
        "waiting": sum(model["waiting"] for model in whole["models"]),
        "windowSeconds": WINDOW_SECONDS,
    }


def history_shown(whole: Part, now: float) -> dict[str, Any]:
    """The last minutes as lines, the oldest point first; the present bucket, which is not over, is left out."""
    last = int(now // BUCKET_SECONDS) - 1
    numbers = range(last - HISTORY_SECONDS // BUCKET_SECONDS + 2, last + 1)
    points = [whole["history"].get(str(number)) or (0.0, 0.0, 0.0, 0.0) for number in numbers]
    return {
        "stepSeconds": BUCKET_SECONDS,
        "lastAt": (last + 1) * BUCKET_SECONDS,
        "requestsPerMinute": _line(points, 0, 60 / BUCKET_SECONDS),
        "errorsPerMinute": _line(points, 1, 60 / BUCKET_SECONDS),
        "tokensPerSecond": _line(points, 2, 1 / BUCKET_SECONDS),
    }


def _line(points: Iterable[Sequence[float]], place: int, factor: float) -> list[float]:
    return [round(point[place] * factor, 2) for point in points]


def _rates(sums: Sums) -> dict[str, Any]:
    def seconds(share: float) -> float | None:
        found = quantile(sums.first_bytes, share)
        return None if found is None else round(found, 4)

    return {
        "requestsPerMinute": round(sums.requests * 60 / WINDOW_SECONDS, 2),
        "errors": sums.errors,
        "errorRate": sums.errors / sums.requests if sums.requests else None,
        "tokensPerSecond": round(sums.completion_tokens / WINDOW_SECONDS, 2),
        "answerTokensPerSecond": round(sums.writing_tokens / sums.writing_seconds, 1) if sums.writing_seconds else None,
        "timeToFirstTokenSeconds": {"p50": seconds(0.5), "p95": seconds(0.95)},
        "usd": sums.usd,
    }
