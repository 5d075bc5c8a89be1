"""What a report makes of the numbers: the knee, the generator's own limits, and pages that hold strange names."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.benchmark.generator_health import GeneratorHealth
from agent_runtime.benchmark.http_stream import Failure
from agent_runtime.benchmark.page import benchmark_page
from agent_runtime.benchmark.summary import knee_of
from agent_runtime.benchmark.tables import as_csv, as_markdown, notes, rows
from tests.unit.reports.samples import bench_document

pytestmark = pytest.mark.unit
NAME = '<script>alert("x")</script>|a'


def level(tokens_per_second: float | None, e2e_seconds: float, status: str = "complete") -> dict[str, Any]:
    return {
        "status": status,
        "throughput": {"outputTokensPerSecond": tokens_per_second},
        "latency": {"e2eSeconds": {"p50": {"value": e2e_seconds}}},
    }


def test_the_knee_is_where_throughput_over_latency_is_most() -> None:
    """A server of four slots: up to four at once, throughput grows and latency hardly; then latency alone."""
    sweep = [level(10, 1.0), level(20, 1.0), level(39, 1.05), level(40, 2.0), level(40, 4.0)]
    assert knee_of(sweep) == 2


@pytest.mark.parametrize(
    "sweep",
    [
        [level(10, 1.0), level(20, 1.0), level(40, 1.0)],  # it may lie beyond
        [level(40, 1.0), level(40, 2.0)],  # two levels show no bend
        [level(None, 1.0), level(None, 2.0), level(None, 4.0)],  # no tokens were counted
        [level(20, 1.0), level(20, 2.0, "partial"), level(20, 4.0)],
    ],
)
def test_no_knee_is_claimed_that_was_not_seen(sweep: list[dict[str, Any]]) -> None:
    assert knee_of(sweep) is None


@pytest.mark.parametrize(
    ("cpu_seconds", "lag_p99_seconds", "why"),
    [(1.0, 0.001, None), (9.5, 0.001, "95% of a processor"), (1.0, 0.05, "50 ms late")],
)
def test_a_generator_that_does_not_keep_up_says_so(cpu_seconds: float, lag_p99_seconds: float, why: str | None) -> None:
    found = GeneratorHealth(10.0, cpu_seconds, 0.0, lag_p99_seconds, 0.1).why_saturated
    assert found is None if why is None else found is not None and why in found


def strange(failure: Failure | None = None, *, open_loop: bool = False) -> dict[str, Any]:
    """A run of a model with a name that is markup."""
    return bench_document(NAME, failure=failure, open_loop=open_loop)


def test_strange_names_stay_text() -> None:
    page = benchmark_page(strange(), f"Benchmark of {NAME}")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    table = as_markdown(strange()).splitlines()[2]
    assert all(line.count(" | ") == table.count(" | ") for line in as_markdown(strange()).splitlines()[2:7])


def test_closed_and_open_loops_have_plots_of_their_own() -> None:
    document = strange()
    document["models"] += strange(open_loop=True)["models"]
    page = benchmark_page(document, "both")
    assert page.count("<svg") == 2 + 8  # bars of throughput and latency, and four plots of each kind of load
    assert "requests a second" in page
    assert "requests at once" in page


def test_levels_where_the_generator_was_late_are_named_once() -> None:
    (line,) = [line for line in notes(strange()) if "woke" in line]
    assert "at 4 at once" in line


def test_a_run_without_one_good_reply_is_still_a_report() -> None:
    document = strange(Failure("http_503", "busy"))
    assert document["models"][0]["status"] == "failed"
    assert all("0 of 30" in row for row in rows(document))
    assert "Nothing was measured" not in benchmark_page(document, "failed")
    assert len(as_csv(document).splitlines()) == 4
