"""Scores of two arms for the same prompts."""

from __future__ import annotations

import random

import pytest

from agent_runtime.experiments.paired import paired_difference

pytestmark = pytest.mark.unit

ALPHA = 0.05


def scored(seed: int, shift: float, count: int) -> list[float]:
    """Differences of scores in steps of a tenth, with a mean of ``shift``."""
    rng = random.Random(seed)
    return [min(1.0, max(-1.0, round(rng.choice([-0.3, -0.1, 0.0, 0.1, 0.3]) + shift, 1))) for _ in range(count)]


def test_arms_that_are_alike_are_seldom_told_apart_at_any_look() -> None:
    alarms = 0
    for seed in range(60):
        differences = scored(seed, 0.0, 60)
        found = [paired_difference(differences[:count], ALPHA) for count in range(10, 61, 10)]
        alarms += any(one is not None and one.p_value <= ALPHA for one in found)
    assert alarms <= 3


def test_a_difference_is_found_within_a_few_dozen_prompts() -> None:
    found = [paired_difference(scored(seed, 0.2, 60), ALPHA) for seed in range(30)]
    assert sum(one is not None and one.low > 0 for one in found) >= 28
    assert sum(one is not None and one.low <= 0.2 <= one.high for one in found) >= 28


def test_few_prompts_leave_the_interval_wide_and_a_few_right_answers_prove_nothing() -> None:
    found = paired_difference([1.0, 1.0], ALPHA)
    assert found is not None
    assert found.low < 0
    assert found.high == 1.0
    assert paired_difference([], ALPHA) is None


def test_the_worst_and_the_best_can_be_told() -> None:
    found = paired_difference([-1.0] * 50, ALPHA)
    assert found is not None
    assert (found.estimate, found.low) == (-1.0, -1.0)
    assert found.high < -0.5
    assert found.p_value < 1e-4
