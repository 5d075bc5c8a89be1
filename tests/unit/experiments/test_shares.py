"""Shares of requests: tests and guards that are exact from the first request on."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.experiments.shares import Share, beyond, share_difference
from tests.unit.experiments.simulated import Engine, Run

pytestmark = pytest.mark.unit

ALPHA = 0.05


@pytest.mark.parametrize("error_rate", [0.02, 0.5])
def test_arms_that_err_alike_are_seldom_told_apart_at_any_look(error_rate: float) -> None:
    engine = Engine(error_rate=error_rate)
    alarms = 0
    for seed in range(30):
        looks = Run(engine, engine, requests=500, batch=50).looks(seed)
        found = [share_difference(arm.errors, baseline.errors, ALPHA) for _, arm, baseline in looks]
        alarms += any(one is not None and (one.p_value <= ALPHA or not one.low <= 0 <= one.high) for one in found)
    assert alarms <= 2


def test_an_arm_that_errs_more_is_found_and_the_interval_holds_the_truth() -> None:
    found_in = covered = 0
    for seed in range(20):
        run = Run(Engine(error_rate=0.15), Engine(error_rate=0.02), requests=1000, batch=100)
        found = [share_difference(arm.errors, baseline.errors, ALPHA) for _, arm, baseline in run.looks(seed)]
        covered += all(one is not None and one.low <= 0.13 <= one.high for one in found)
        found_in += found[-1] is not None and found[-1].low > 0
    assert covered >= 19
    assert found_in >= 18


SHARES = st.tuples(st.integers(0, 300), st.integers(1, 300)).map(lambda pair: Share(min(pair), max(pair)))


@given(arm=SHARES, baseline=SHARES)
def test_an_interval_is_around_what_was_seen_and_agrees_with_its_p_value(arm: Share, baseline: Share) -> None:
    found = share_difference(arm, baseline, ALPHA)
    assert found is not None
    assert -1 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1
    if abs(found.p_value - ALPHA) > 1e-6:
        assert (found.p_value < ALPHA) == (found.low > 0 or found.high < 0)


@given(arm=SHARES, baseline=SHARES)
def test_turned_round_it_is_the_same_the_other_way(arm: Share, baseline: Share) -> None:
    one, other = share_difference(arm, baseline, ALPHA), share_difference(baseline, arm, ALPHA)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=1e-6), pytest.approx(-other.low, abs=1e-6))
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6)


def test_without_requests_nothing_is_known() -> None:
    assert share_difference(Share(0, 0), Share(1, 2), ALPHA) is None


def test_what_is_beyond_a_limit_is_found_soon_and_what_is_not_hardly_ever() -> None:
    def stopped_after(share: float, seed: int) -> int | None:
        rng = random.Random(seed)
        hits = 0
        for number in range(1, 1001):
            hits += rng.random() < share
            if number % 10 == 0 and beyond(Share(hits, number), 0.05) <= 0.01:
                return number
        return None

    assert sum(stopped_after(0.05, seed) is not None for seed in range(150)) <= 2
    assert sum(stopped_after(0.01, seed) is not None for seed in range(50)) == 0
    assert all((stopped_after(0.3, seed) or 1000) <= 100 for seed in range(50))


def test_an_arm_that_only_errs_is_beyond_its_limit_within_a_few_requests() -> None:
    p_values = [beyond(Share(count, count), 0.05) for count in range(1, 6)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] > 0.01 > p_values[2]
