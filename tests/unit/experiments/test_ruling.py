"""Which arm is stopped, and which is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.experiments.compare import ArmRecord, comparisons, share_of_alpha, verdict
from agent_runtime.experiments.means import Finding, Sample
from agent_runtime.experiments.ruling import breaches, winner
from agent_runtime.experiments.shares import Share
from fleet_spec.experiment_spec import ExperimentSpec
from tests.unit.experiments.simulated import Engine, Run

pytestmark = pytest.mark.unit


def spec(**fields: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(fields)


FEW_ERRORS = Share(0, 500)


def arm(mean: float = 0.0, count: int = 500, errors: Share = FEW_ERRORS, **more: Any) -> ArmRecord:
    """Logarithms of times around a mean, as far apart as 1 on each side."""
    total = mean * count
    return ArmRecord(errors, Sample(count, total, (mean**2 + 1) * count), **more)


def test_the_arm_that_is_furthest_beyond_a_limit_comes_first() -> None:
    arms = {"good": arm(), "bad": arm(errors=Share(60, 500)), "worst": arm(errors=Share(400, 500))}
    found = list(breaches(spec(guards={"errorRate": 0.05}), arms))
    assert [name for name, _ in found] == ["worst", "bad"]
    assert "80.0% errors, limit 5.0% (400 of 500" in found[0][1]


def test_a_limit_on_a_percentile_is_one_on_the_share_beyond_it() -> None:
    guards = spec(guards={"latencyP95Ms": 2000})
    assert not list(breaches(guards, {"a": arm(slow_latency=Share(25, 500))}))
    ((name, why),) = breaches(guards, {"a": arm(slow_latency=Share(60, 500))})
    assert (name, why[:42]) == ("a", "12.0% answers after 2000 ms, limit 5% (60 ")


def test_the_better_arm_wins_and_the_baseline_can_be_it() -> None:
    arms = {"base": arm(0.0), "new": arm(-1.0)}
    assert winner(spec(), "base", arms, 2) is not None
    found = winner(spec(), "new", arms, 2)
    assert found is not None
    assert found[0] == "new"
    assert winner(spec(), "base", {"base": arm(0.0), "new": arm(-0.01)}, 2) is None


def test_what_is_better_by_too_little_does_not_win() -> None:
    arms = {"base": arm(0.0), "new": arm(-0.5)}
    assert winner(spec(minEffect=0.1), "base", arms, 2) is not None
    assert winner(spec(minEffect=0.39), "base", arms, 2) is None
    assert winner(spec(minEffect=0.39), "new", arms, 2) is None


def test_of_several_only_one_that_is_better_than_each_wins() -> None:
    arms = {"base": arm(0.0), "x": arm(-1.0), "y": arm(-1.05)}
    assert winner(spec(), "base", arms, 3) is None
    found = winner(spec(), "base", {**arms, "y": arm(-2.0)}, 3)
    assert found is not None
    assert found[0] == "y"


def test_what_errs_more_does_not_win_by_being_fast() -> None:
    arms = {"base": arm(0.0, errors=Share(2, 500)), "new": arm(-1.0, errors=Share(80, 500))}
    assert winner(spec(), "base", arms, 2) is None


def test_one_arm_that_is_left_has_nobody_to_win_against() -> None:
    assert winner(spec(), "base", {"base": arm()}, 2) is None


@pytest.mark.parametrize(
    ("metric", "low", "high", "least", "said"),
    [
        ("latency", -0.3, -0.1, 0.0, "better"),
        ("latency", -0.3, -0.1, 0.2, "undecided"),
        ("latency", 0.1, 0.3, 0.0, "worse"),
        ("score", 0.1, 0.3, 0.0, "better"),
        ("score", 0.1, 0.3, 0.2, "undecided"),
        ("feedback", -0.3, -0.1, 0.0, "worse"),
        ("errors", -0.1, 0.1, 0.0, "undecided"),
    ],
)
def test_what_counts_as_better(metric: Any, low: float, high: float, least: float, said: str) -> None:
    assert verdict(metric, Finding((low + high) / 2, low, high, 0.01), least) == said


def test_several_comparisons_share_the_chance_of_being_wrong() -> None:
    assert share_of_alpha(0.05, 2) == 0.05
    assert share_of_alpha(0.06, 4) == pytest.approx(0.02)
    two, three = (
        comparisons({"base": arm(), "x": arm(0.1), **more}, "base", 0.05)["x"]["latency"] for more in ({}, {"y": arm()})
    )
    assert three["high"] - three["low"] > two["high"] - two["low"]


def test_hardly_ever_is_an_arm_promoted_that_is_no_better() -> None:
    declared = spec(promote=True)
    promoted = 0
    for seed in range(100):
        looks = Run(Engine(), Engine(), requests=500, batch=50).looks(seed)
        promoted += any(winner(declared, "base", {"base": base, "new": new}, 2) for _, new, base in looks)
    assert promoted <= 5


def test_nothing_is_said_where_too_little_is_known() -> None:
    found = comparisons({"base": ArmRecord(), "x": ArmRecord()}, "base", 0.05)
    assert set(found["x"].values()) == {None}
