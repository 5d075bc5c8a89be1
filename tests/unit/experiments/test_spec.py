"""What a stack's config may say of A/B tests."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_spec.errors import SpecError
from fleet_spec.experiment_spec import ExperimentSpec, weight_problems
from fleet_spec.loading import load_spec

pytestmark = pytest.mark.unit

MODELS = {"old": "gemma3:270m", "new": "gemma3:270m"}
HALVES = {"old": 0.5, "new": 0.5}


def problems(aliases: dict[str, Any], experiments: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SpecError) as refused:
        load_spec({"models": MODELS, "aliases": aliases, "experiments": experiments})
    return {problem.key: f"{problem.message}; {problem.fix}" for problem in refused.value.problems}


def test_a_test_with_everything() -> None:
    told = {
        "baseline": "old",
        "metric": "cost",
        "guards": {"errorRate": 0.05, "ttftP95Ms": 800, "latencyP95Ms": 9000},
        "promote": True,
        "minEffect": 0.05,
        "alpha": 0.01,
        "started": "2026-11-23T12:00:00Z",
    }
    spec = load_spec({"models": MODELS, "aliases": {"x": HALVES}, "experiments": {"x": told}})
    assert spec.experiments["x"].model_dump(by_alias=True) == told
    assert spec.experiments["x"].name("x") == "x@2026-11-23T12:00:00Z"


@pytest.mark.parametrize(
    ("aliases", "experiments", "key", "said"),
    [
        ({"x": HALVES}, {"y": {}}, "experiments.y", "'y' is not an alias of this fleet; write one of the aliases: x"),
        ({"chat": HALVES}, {"chta": {}}, "experiments.chta", "did you mean 'chat'?"),
        ({"x": HALVES}, {"x": {"baseline": "nwe"}}, "experiments.x.baseline", "did you mean 'new'?"),
        ({"x": "old"}, {"x": {}}, "aliases.x", "one arm cannot be compared"),
        ({"x": {"old": 1, "new": 0}}, {"x": {}}, "aliases.x", "arm 'new' has the weight 0"),
        ({"x": {"old": 0.5, "new": 0.4}}, {"x": {}}, "aliases.x", "such as old=0.5556, new=0.4444"),
        ({"x": HALVES}, {"x": {"metric": "speed"}}, "experiments.x.metric", "'speed' is not one of the choices"),
        ({"x": HALVES}, {"x": {"guards": {"errors": 0.1}}}, "experiments.x.guards.errors", "does not know"),
        ({"x": HALVES}, {"x": {"guards": {"errorRate": 1}}}, "experiments.x.guards.errorRate", "less than 1"),
        ({"x": HALVES}, {"x": {"started": "2026-13-01T00:00:00Z"}}, "experiments.x", "month must be in 1..12"),
    ],
)
def test_what_cannot_be_names_its_key(
    aliases: dict[str, Any], experiments: dict[str, Any], key: str, said: str
) -> None:
    assert said in problems(aliases, experiments)[key]


def test_weights_without_a_test_over_them_need_not_sum_to_anything() -> None:
    spec = load_spec({"models": MODELS, "aliases": {"x": {"old": 3, "new": 4}}})
    assert spec.aliases["x"] == {"old": 3, "new": 4}


@pytest.mark.parametrize("arms", [HALVES, {"a": 90, "b": 10}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}])
def test_weights_that_sum_to_a_whole(arms: dict[str, float]) -> None:
    assert not list(weight_problems(arms))


def test_without_a_baseline_the_arm_with_most_weight_is_it() -> None:
    assert ExperimentSpec().baseline_of({"a": 0.1, "b": 0.9}) == "b"
    assert ExperimentSpec().baseline_of({"b": 0.5, "a": 0.5}) == "a"
    assert ExperimentSpec(baseline="a").baseline_of({"a": 0.1, "b": 0.9}) == "a"
