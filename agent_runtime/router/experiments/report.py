"""What the arms of the A/B tests did, for people and programs: pure functions on what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from agent_runtime.router.experiments.records import Arm, Known, Records
from agent_runtime.router.experiments.tally import Spread, Tally, quantile
from agent_runtime.router.experiments.trials import Trial, Trials, history
from agent_runtime.router.exposition import SECONDS, Family, Histogram, family, histograms

_LABELS: Final = ("alias", "arm")
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_COUNTERS: Final = (
    ("requests", "requests", "Requests that got this arm."),
    ("errors", "errors", "Requests that it answered with an error."),
    ("client_left", "left", "Requests whose client left before the end."),
    ("fallbacks", "fallbacks", "Requests that it answered in place of another arm."),
    ("cached", "cached", "Requests answered with an answer given before."),
    ("prompt_tokens", "prompt_tokens", "Tokens of prompts."),
    ("completion_tokens", "completion_tokens", "Tokens of answers."),
    ("usd", "usd", "What its answers cost in US dollars."),
)


def experiment_report(
    aliases: Mapping[str, Mapping[str, float]],
    known: Mapping[Arm, Known],
    minutes: Mapping[Arm, Sequence[tuple[int, Tally]]] | None = None,
    trials: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """All aliases that stand for several models, and those that once did, as plain JSON data.

    A test that the contract declares stands under its alias; one that it no longer does under its name.

    Args:
        aliases: What the contract says now: alias -> model -> weight.
        known: What was recorded.
        minutes: What happened in single minutes since 1970, where that is wanted.
        trials: What is told of the tests that the contract declares, by alias.
    """
    told = trials or {}
    names = {alias: alias if trial is None else trial["name"] for alias in aliases for trial in [told.get(alias)]}
    weights = {alias: dict(told[alias]["weights"] if alias in told else arms) for alias, arms in aliases.items()}
    shown = {name: alias for alias, name in names.items()}
    for name, arm in known:
        alias = shown.get(name, name)
        if alias != name or alias not in told:
            weights.setdefault(alias, {}).setdefault(arm, 0.0)
    return {
        "experiments": {
            alias: {
                "running": alias in aliases,
                "arms": {
                    arm: _arm(
                        weight / (sum(arms.values()) or 1.0),
                        known.get((names.get(alias, alias), arm)) or Known(Tally(), Spread(), {}),
                        None if minutes is None else minutes.get((names.get(alias, alias), arm), ()),
                    )
                    for arm, weight in arms.items()
                },
                **({"declared": told[alias]} if alias in told else {}),
            }
            for alias, arms in sorted(weights.items())
        }
    }


def told_trials(
    trials: Trials, records: Records, known: Mapping[Arm, Known], points: int
) -> dict[str, Mapping[str, Any]]:
    """What there is to tell of each test that the contract declares, by alias. Waits for the disk.

    Args:
        trials: The tests.
        records: The records.
        known: What was recorded.
        points: At how many moments each test's effects are told.

    Raises:
        sqlite3.Error: the records cannot be read now.
    """
    told: dict[str, Mapping[str, Any]] = {}
    minutes = records.minutes(0) if points and trials.declared else {}
    for alias, trial in trials.declared.items():
        own = {arm: minutes.get((trial.name, arm), []) for arm in trial.arms}
        totals = {arm: found.total for (name, arm), found in known.items() if name == trial.name}
        past = {"history": list(history(trial, totals, own, points))} if points else {}
        told[alias] = {**trials.report(trial), **past}
    return told


def trial_families(trials: Mapping[str, Trial]) -> list[Family]:
    """What is in force of the tests that the contract declares, for Prometheus; all workers say the same."""
    weights = {(alias, arm): weight for alias, trial in trials.items() for arm, weight in trial.weights().items()}
    ruled = {(alias, ruling.arm, ruling.kind): 1 for alias, trial in trials.items() for ruling in trial.rulings}
    return [
        family(
            "paddock_experiment_weight",
            "gauge",
            "The weight of an arm that is in force.",
            ((_labels(arm), weight) for arm, weight in weights.items()),
        ),
        family(
            "paddock_experiment_ruling",
            "gauge",
            "1 for an arm that a guard stopped, or that was promoted.",
            (((*_labels((alias, arm)), ("ruling", kind)), value) for (alias, arm, kind), value in ruled.items()),
        ),
    ]


def experiment_families(counted: Mapping[Arm, tuple[Tally, Spread]]) -> list[Family]:
    """What one process has counted since it started, for Prometheus. Feedback counts where it came in."""
    return [
        *(
            family(
                f"paddock_experiment_{name}_total",
                "counter",
                text,
                ((_labels(arm), getattr(tally, field)) for arm, (tally, _) in counted.items()),
            )
            for name, field, text in _COUNTERS
        ),
        # A vote can be taken back, and a score be below zero: these are no counters.
        *(
            family(name, "gauge", text, ((_labels(arm), getattr(tally, field)) for arm, (tally, _) in counted.items()))
            for name, field, text in (
                ("paddock_experiment_feedback_votes", "votes", "Requests that somebody voted on."),
                ("paddock_experiment_feedback_score_sum", "score", "Their scores, added up."),
            )
        ),
        histograms(
            "paddock_experiment_request_duration_seconds",
            "To the end of the answer.",
            _LABELS,
            {arm: _histogram(spread.duration, tally.duration_seconds) for arm, (tally, spread) in counted.items()},
        ),
        histograms(
            "paddock_experiment_time_to_first_token_seconds",
            "To the first byte of the answer.",
            _LABELS,
            {arm: _histogram(spread.first_byte, tally.first_byte_seconds) for arm, (tally, spread) in counted.items()},
        ),
    ]


def _arm(share: float, known: Known, minutes: Sequence[tuple[int, Tally]] | None) -> dict[str, Any]:
    total = known.total
    said: dict[str, Any] = {
        "share": share,
        "requests": total.requests,
        "errors": total.errors,
        "errorRate": _mean(total.errors, total.requests),
        "clientLeft": total.left,
        "fallbacks": total.fallbacks,
        "cached": total.cached,
        "answered": total.answered,
        "durationSeconds": _times(
            total.answered, total.duration_seconds, total.duration_seconds_squared, known.spread.duration
        ),
        "timeToFirstTokenSeconds": _times(
            total.first_bytes, total.first_byte_seconds, total.first_byte_seconds_squared, known.spread.first_byte
        ),
        "promptTokens": _moments(total.answered, total.prompt_tokens, total.prompt_tokens_squared),
        "completionTokens": _moments(total.answered, total.completion_tokens, total.completion_tokens_squared),
        "usd": _moments(total.answered, total.usd, total.usd_squared),
        "feedback": {**_moments(total.votes, total.score, total.score_squared), "labels": known.labels},
    }
    if minutes is not None:
        said["minutes"] = [{"minute": minute, **asdict(tally)} for minute, tally in minutes]
    return said


def _times(count: int, total: float, squared: float, counts: Sequence[int]) -> dict[str, Any]:
    return {**_moments(count, total, squared), **{name: quantile(counts, share) for name, share in _QUANTILES}}


def _moments(count: int, total: float, squared: float) -> dict[str, Any]:
    return {"count": count, "sum": total, "sumOfSquares": squared, "mean": _mean(total, count)}


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def _histogram(counts: Sequence[int], total: float) -> Histogram:
    made = Histogram(SECONDS)
    made.counts, made.total = list(counts), total
    return made


def _labels(arm: Arm) -> tuple[tuple[str, str], ...]:
    return tuple(zip(_LABELS, arm, strict=True))
