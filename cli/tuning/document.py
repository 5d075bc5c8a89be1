"""What a search found, as plain data and as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

from cli.tuning.comparison import CONFIDENCE, Ratio
from cli.tuning.race import LATENCY_SHARE, Limits, Outcome, Run
from cli.tuning.search import Search, Step
from cli.tuning.settings import Candidate, setting_names
from cli.tuning.workload import Workload

BUSY_SHARE: Final = 0.1
"""From here on other programs are worth a word: they slow and blur whatever is measured beside them."""
_MIB: Final = 2**20


def document(
    found: Search, *, stack: str, model: str, workload: Workload, limits: Limits, cpus: int, written: str | None
) -> dict[str, Any]:
    """The whole search. Durations are in seconds, memory in bytes."""
    change = {name: found.best.value(name) for name in setting_names(found.start, found.best)}
    return {
        "stack": stack,
        "model": model,
        "machine": {"cpus": cpus, "otherCpuShare": other_cpu_share(found)},
        "workload": {
            "concurrency": workload.concurrency,
            "promptTokens": workload.prompt_tokens,
            "answerTokens": workload.answer_tokens,
        },
        "limits": {"ttftSeconds": limits.ttft_seconds, "itlSeconds": limits.itl_seconds, "share": LATENCY_SHARE},
        "confidence": CONFIDENCE,
        "start": found.start.document(),
        "steps": [_step(step) for step in found.steps],
        "notTried": found.left_out,
        "final": None if found.final is None else _outcome(found.final),
        "proposal": found.best.document() if change else None,
        "change": change,
        "written": written,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "setting": step.knob.name,
        "chosen": step.outcome.winner.candidate.value(step.knob.name),
        **_outcome(step.outcome),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "reason": outcome.reason,
        "runs": [
            _run(run, None if run is outcome.runs[0] else found)
            for run, found in zip(outcome.runs, outcome.ratios, strict=True)
        ],
    }


def _run(run: Run, found: Ratio | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"settings": run.candidate.document(), "problem": run.problem, "rounds": len(run.bursts)}
    if not run.bursts:
        return shown
    return {
        **shown,
        "tokensPerSecond": run.tokens_per_second,
        "ttftSeconds": {"p50": run.ttft_seconds(0.5), "p95": run.ttft_seconds(LATENCY_SHARE)},
        "itlSeconds": {"p50": run.itl_seconds(0.5), "p95": run.itl_seconds(LATENCY_SHARE)},
        "memoryBytes": run.memory_bytes,
        "speedRatio": None if found is None else {"value": found.value, "low": found.low, "high": found.high},
        "verdict": verdict(found),
    }


def verdict(found: Ratio | None) -> str:
    """What the interval of a ratio says."""
    if found is None or found.low is None:
        return "not known"
    if found.faster:
        return "faster"
    return "slower" if found.slower else "within the noise"


def other_cpu_share(found: Search) -> float | None:
    """The share of the machine's processors that other programs had, on average over all bursts."""
    outcomes = [*(step.outcome for step in found.steps), *([] if found.final is None else [found.final])]
    shares = [
        burst.other_cpu_share
        for outcome in outcomes
        for run in outcome.runs
        for burst in run.bursts
        if burst.other_cpu_share is not None
    ]
    return fmean(shares) if shares else None


COLUMNS: Final = ("", "tokens/s", "beside the first", "TTFT p50 / p95", "ITL p50 / p95", "memory", "")


def rows(outcome: Outcome, labels: Sequence[str]) -> list[list[str]]:
    """A race as rows of a table; ``labels`` say what each run is."""
    return [
        _row(run, found, label, first=run is outcome.runs[0])
        for run, found, label in zip(outcome.runs, outcome.ratios, labels, strict=True)
    ]


def _row(run: Run, found: Ratio | None, label: str, *, first: bool) -> list[str]:
    if not run.bursts:
        return [label, "-", "-", "-", "-", "-", run.problem or "not measured"]
    beside = "1" if first else _shown_ratio(found)
    memory = run.memory_bytes
    return [
        label,
        f"{run.tokens_per_second:.1f}",
        beside,
        f"{run.ttft_seconds(0.5) * 1000:.0f} / {run.ttft_seconds(LATENCY_SHARE) * 1000:.0f} ms",
        f"{run.itl_seconds(0.5) * 1000:.1f} / {run.itl_seconds(LATENCY_SHARE) * 1000:.1f} ms",
        "-" if memory is None else f"{memory / _MIB:.0f} MiB",
        "" if first else verdict(found),
    ]


def _shown_ratio(found: Ratio | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"x {found.value:.2f}"
    return f"x {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def shown_value(candidate: Candidate, name: str) -> str:
    """A setting's value for a person."""
    value = candidate.value(name)
    if value is None:
        return f"{name}: the engine's own"
    if isinstance(value, bool):
        return f"{name}: {str(value).lower()}"
    return f"{name}: {value['method'] if isinstance(value, dict) else value}"
