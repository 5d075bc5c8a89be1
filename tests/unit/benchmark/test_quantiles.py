"""Percentiles, their intervals, and the tests of a difference, beside brute force and beside the truth."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent_runtime.benchmark.quantiles import (
    difference_p_value,
    errors_p_value,
    holm,
    interval,
    is_supported,
    quantile,
)

pytestmark = pytest.mark.unit


def drawn(count: int, seed: int, mean: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.expovariate(1 / mean) for _ in range(count)]


def test_quantiles_lie_on_straight_lines_between_neighbours() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile([1, 2, 3, 4, 5], 0.9) == pytest.approx(4.6)
    assert quantile([7], 0.99) == 7


@given(some.lists(some.floats(0, 1e6), min_size=1, max_size=300), some.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_value_lies_in_its_interval_and_both_in_the_sample(values: list[float], share: float) -> None:
    found = interval(values, share)
    assert min(values) <= found.value <= max(values)
    if found.low is not None and found.high is not None:
        assert min(values) <= found.low <= found.value <= found.high <= max(values)
    else:
        assert not is_supported(len(values), share)


def test_the_interval_is_that_of_resampling() -> None:
    values = drawn(120, seed=3)
    chance = random.Random(4)
    rank = math.ceil(0.9 * len(values))
    resampled = sorted(sorted(chance.choices(values, k=len(values)))[rank - 1] for _ in range(4000))
    found = interval(values, 0.9)
    # Of a bootstrap with 4,000 draws the ends are known to a neighbour or two.
    assert found.low == pytest.approx(resampled[100], rel=0.06)
    assert found.high == pytest.approx(resampled[3900], rel=0.06)


@pytest.mark.parametrize(("count", "share"), [(40, 0.5), (200, 0.5), (200, 0.95)])
def test_nineteen_of_twenty_intervals_hold_the_truth(count: int, share: float) -> None:
    truth = -math.log(1 - share)
    intervals = [interval(drawn(count, seed), share) for seed in range(500)]
    held = sum((one.low or 0) <= truth <= (one.high or 0) for one in intervals)
    assert 0.90 <= held / 500 <= 0.99


@pytest.mark.parametrize(("count", "share"), [(40, 0.5), (200, 0.95)])
def test_at_most_one_in_twenty_differences_is_seen_where_there_is_none(count: int, share: float) -> None:
    pairs = 600
    alarms = sum(
        difference_p_value(drawn(count, seed), drawn(count, seed + pairs), share) < 0.05 for seed in range(pairs)
    )
    assert alarms / pairs <= 0.06


def test_a_difference_is_seen_from_both_sides_alike() -> None:
    slow, quick = drawn(200, 1, mean=2.0), drawn(200, 2)
    assert difference_p_value(quick, slow, 0.5) < 0.001
    assert difference_p_value(slow, quick, 0.5) == pytest.approx(difference_p_value(quick, slow, 0.5), abs=1e-9)


def test_two_runs_that_always_took_the_same_do_not_differ() -> None:
    assert difference_p_value([1.0] * 40, [1.0] * 40, 0.5) == 1
    assert difference_p_value([1.0] * 40, [1.1] * 40, 0.5) == 0


def test_holm_corrects_for_how_many_there_are() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def _fisher_by_counting(table: Sequence[int]) -> float:
    """The sum over all tables with the same margins that are no likelier than this one."""
    a, n1, b, n2 = table
    chances = {
        first: math.comb(n1, first) * math.comb(n2, a + b - first) / math.comb(n1 + n2, a + b)
        for first in range(max(0, a + b - n2), min(a + b, n1) + 1)
    }
    return sum(chance for chance in chances.values() if chance <= chances[a] * (1 + 1e-9))


@pytest.mark.parametrize("table", [(0, 40, 6, 40), (3, 50, 4, 60), (1, 10, 9, 10), (0, 5, 0, 5), (5, 5, 0, 5)])
def test_error_rates_are_compared_by_fishers_exact_test(table: tuple[int, int, int, int]) -> None:
    assert errors_p_value(*table) == pytest.approx(_fisher_by_counting(table))
