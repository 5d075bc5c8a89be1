"""One report of each kind, full enough to show everything that it can, with a name of the caller's everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from agent_runtime.benchmark.generator_health import GeneratorHealth
from agent_runtime.benchmark.http_stream import Failure
from agent_runtime.benchmark.page import benchmark_page
from agent_runtime.benchmark.runner import ModelResult, Results
from agent_runtime.benchmark.sample import Level, Sample
from agent_runtime.benchmark.settings import Load, Settings
from agent_runtime.benchmark.target import Target
from agent_runtime.experiments.compare import METRICS
from agent_runtime.experiments.page import experiment_page
from agent_runtime.router.money.charges import MEASURES, Series, count_in
from agent_runtime.router.money.ledger import Row
from agent_runtime.router.money.page import cost_page
from agent_runtime.router.money.report import cost_report
from cli.plan.against import Change, Comparison
from cli.plan.build import build_plan
from cli.plan.page import page as plan_page
from fleet_spec.catalogue import load_catalogue
from fleet_spec.governance_spec import Tier
from fleet_spec.spec import FleetSpec

ORDINARY = "assistant-with-a-rather-long-name"
HOSTILE = "</title></style></svg><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;\x00\u202e"
"""Markup that leaves every element, an attribute's end, a reference, a control character, and a turn of direction."""


def plan_sample(name: str) -> str:
    """A plan that must not go up, beside another, with a rule that is broken.

    A stack's config takes no name that is markup, so ``name`` is what a price's source, a comparison and a finding say.
    """
    spec = FleetSpec.model_validate(
        {
            "target": "kubernetes",
            "models": {
                "chat": {"model": "mistral:7b", "gpu": "nvidia-l4", "replicas": {"min": 1, "max": 3}},
                "small": {"model": "phi3:mini", "gpu": "nvidia-l4"},
            },
            "aliases": {"default": {"chat": 1, "small": 1}},
            "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 8, "maxNodes": 10}},
            "router": {"image": "registry.example.com/paddock:1.0.0"},
            "valkey": {"mode": "none"},
            "storage": {"mode": "perReplica", "size": "100Gi"},
            "prices": {"gpuHours": {"nvidia-l4": 1.0}, "storageUsdPerGibMonth": 0.1},
            "policies": {"monthlyUsd": 100},
        }
    )
    plan = build_plan(spec, name, load_catalogue(), Path.cwd())
    comparison = Comparison(
        name,
        (Change(name, "added", {}), Change("chat", "changed", {"model": (name, "mistral:7b")})),
        {"leastUsd": 12.0, "mostUsd": 1234.0},
    )
    return plan_page(plan, comparison)


def cost_sample(name: str) -> str:
    """Three weeks of spend at three tiers, and at one that this version does not know."""

    def row(day: int, tier: str, usd: float, *, failed: bool = False) -> Row:
        columns = [0] * len(MEASURES)
        count_in(columns, int(failed), 60_000 * day, 0, 20_000, round(usd * 1e9), 1.5, 0.4)
        return Row(f"2026-11-{day:02}", Series(name if day % 2 else "bob", cast("Tier", tier), name), columns)

    rows = [row(day, "local", 3.0 + day % 3) for day in range(2, 24)]
    rows += [row(day, "cloud", 1.0 + day % 4) for day in range(5, 24, 2)]
    rows += [row(day, "commercial", day / 4, failed=day == 9) for day in range(3, 24, 3)]
    rows.append(row(12, name, 1.0))
    report = cost_report(rows, first_day="2026-11-01", last_day="2026-11-23", generated_at="2026-11-23T09:00:00Z")
    return cost_page(report, f"What {name} cost")


def bench_document(
    name: str, *, failure: Failure | None = None, open_loop: bool = False, seconds: float = 1.0
) -> dict[str, Any]:
    """The results of one model at three loads, of which the last is more than the generator could keep up with."""
    result = ModelResult(Target(name, "m", "http://simulated", "openai", usd_per_hour=1.0), done=True)
    for value in (1, 2, 4):
        one = Level(Load("poisson" if open_loop else "closed", value), whole=True)
        for number in range(30):
            e2e = seconds * (1.0 + number / 100 + value / 10)
            one.samples.append(
                Sample(number, number + e2e, 0.0, seconds / 5, e2e, 80, 64, 64, 0.02, None, None, None, failure)
            )
        one.health = GeneratorHealth(30.0, 1.0, 0.001, 0.5 if value == 4 else 0.002, 0.6)
        result.levels.append(one)
    results = Results(Settings())
    results.models.append(result)
    return results.document()


def bench_sample(name: str) -> str:
    """Two models, one of them measured in an open loop, too, beside a baseline."""
    document = bench_document(name)
    document["models"] += bench_document("small", seconds=0.4)["models"]
    document["models"] += bench_document(name, open_loop=True)["models"]
    document["models"][0]["knee"] = 1
    row = {"model": name, "load": {"kind": "closed", "value": 2.0}, "measure": "e2eSeconds", "before": 1.4}
    row |= {"after": 1.2, "change": -0.143, "correctedPValue": 0.0004, "significant": True}
    worse = {**row, "after": 1.9, "change": 0.357}
    document["comparison"] = {
        "baselineStartedAt": "2026-11-22T09:00:00Z",
        "method": "permutation test",
        "comparisons": 2,
        "warnings": [f"the baseline knows no {name}"],
        "rows": [row, worse, {**row, "significant": False, "correctedPValue": 0.5}],
    }
    return benchmark_page(document, f"Benchmark of {name}")


def experiment_sample(name: str) -> str:
    """A test of three arms over an hour, of which one was stopped."""

    def effect(minute: int, size: float, verdict: str) -> dict[str, Any]:
        reach = 0.6 / (minute + 1) ** 0.5
        high = None if minute == 0 else size + reach
        return {"effect": size, "low": size - reach, "high": high, "pValue": 0.02, "verdict": verdict}

    def found(minute: int) -> dict[str, Any]:
        return {
            name: {one: effect(minute, -0.12, "better") if one != "score" else None for one in METRICS},
            "c": {one: effect(minute, 0.2, "worse") if one == "latency" else None for one in METRICS},
        }

    def arm(seconds: float) -> dict[str, Any]:
        times = {"p50": seconds, "p95": seconds * 2, "p99": seconds * 2.5}
        first = {share: value / 4 for share, value in times.items()}
        counts = {"share": 1 / 3, "requests": 420, "errors": 3, "clientLeft": 1, "fallbacks": 0, "cached": 12}
        return {**counts, "durationSeconds": times, "timeToFirstTokenSeconds": first}

    ruling = {"arm": "c", "kind": "stopped", "timestampSeconds": 1_795_430_000, "reason": f"slower than {name}"}
    told = {
        "arms": {"a": arm(0.9), name: arm(0.8), "c": arm(1.2)},
        "declared": {
            "started": "2026-11-23T12:00:00Z",
            "metric": "latency",
            "baseline": "a",
            "alpha": 0.05,
            "rulings": [ruling],
            "comparisons": found(59),
            "history": [{"minute": 29_923_000 + minute, "comparisons": found(minute)} for minute in range(60)],
        },
    }
    return experiment_page(f"A/B test of {name}", told)


REPORTS: Mapping[str, Callable[[str], str]] = {
    "plan": plan_sample,
    "costs": cost_sample,
    "bench": bench_sample,
    "ab": experiment_sample,
}
"""Each report as a function of the name that it shows."""
