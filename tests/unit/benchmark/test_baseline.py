"""Runs beside earlier runs: what is called a difference, and what is not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.benchmark.baseline import compare, read_baseline
from agent_runtime.benchmark.http_stream import Failure
from agent_runtime.benchmark.runner import ModelResult, Results
from agent_runtime.benchmark.sample import Level, Sample
from agent_runtime.benchmark.settings import Load, Settings
from agent_runtime.benchmark.target import Target
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit


def sample(began_at: float, ttft: float, failure: Failure | None = None) -> Sample:
    return Sample(began_at, began_at + ttft + 0.63, 0.0, ttft, ttft + 0.63, 80, 64, 64, 0.02, None, None, None, failure)


def run(
    *, seed: int, mean: float = 0.3, count: int = 200, errors: int = 0, settings: Settings | None = None
) -> dict[str, Any]:
    """The document of a run of one model at two loads, with times to the first token around ``mean`` seconds."""
    chance = random.Random(seed)
    result = ModelResult(Target("m", "m", "http://simulated", "openai"), done=True)
    for load in (Load("closed", 1), Load("closed", 4)):
        level = Level(load, whole=True)
        for number in range(count):
            failure = Failure("http_503", "busy") if number < errors else None
            level.samples.append(sample(float(number), chance.gauss(mean, 0.05), failure))
        result.levels.append(level)
    results = Results(settings or Settings())
    results.models.append(result)
    return results.document()


def significant(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[float, str]]:
    return [(row["load"]["value"], row["measure"]) for row in compare(before, after)["rows"] if row["significant"]]


def test_two_runs_of_the_same_do_not_differ() -> None:
    found = compare(run(seed=1), run(seed=2))
    assert found["comparisons"] == 12  # three measures, two percentiles, two loads
    assert not any(row["significant"] for row in found["rows"])


def test_a_slower_server_is_found_and_by_how_much() -> None:
    found = compare(run(seed=1), run(seed=2, mean=0.36))
    row = next(row for row in found["rows"] if row["measure"] == "ttftSeconds p50")
    assert row["significant"]
    assert row["change"] == pytest.approx(0.2, abs=0.03)
    assert row["correctedPValue"] >= row["pValue"]
    # What did not change is not called changed.
    assert (1.0, "itlSeconds p50") not in significant(run(seed=1), run(seed=2, mean=0.36))


def test_many_comparisons_raise_few_false_alarms() -> None:
    alarms = sum(bool(significant(run(seed=2 * number), run(seed=2 * number + 1))) for number in range(60))
    assert alarms <= 7  # of 60 runs with 12 comparisons each: 5 % are 3


def test_more_errors_are_a_difference() -> None:
    assert (1.0, "errors") in significant(run(seed=1), run(seed=2, errors=20))
    assert (1.0, "errors") not in significant(run(seed=1, errors=2), run(seed=2, errors=3))


def test_too_few_requests_are_not_compared_and_it_is_said() -> None:
    found = compare(run(seed=1, count=15), run(seed=2, count=15))
    assert found["rows"] == []
    assert "enough to compare" in found["warnings"][0]


def test_runs_that_asked_for_different_work_are_told_apart() -> None:
    found = compare(run(seed=1), run(seed=2, settings=Settings(max_tokens=128)))
    assert found["warnings"] == ["maxTokens was 64 and is 128: the runs asked for different work"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "holds no benchmark"),
        ('{"kind": "paddock-benchmark", "version": 99}', "holds no benchmark"),
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "earlier.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInputError, match=why):
        read_baseline(path)


def test_a_saved_run_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(run(seed=1)))
    assert compare(read_baseline(path), run(seed=1))["comparisons"] == 12
