"""Differences of means: right at every look, and narrow enough to be of use."""

from __future__ import annotations

from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.experiments.means import LEAST, Sample, difference, log_ratio, ratio
from tests.unit.experiments.simulated import Engine, Run

pytestmark = pytest.mark.unit

ALPHA = 0.05


def sample(*values: float, times: int = 1) -> Sample:
    return Sample(len(values) * times, sum(values) * times, sum(value * value for value in values) * times)


def test_at_most_five_in_a_hundred_of_a_thousand_experiments_without_a_difference_find_one() -> None:
    """Each is looked at forty times. A test that is made for one look would be wrong in more than a quarter of them."""
    alarms = naive = 0
    for seed in range(1000):
        alarm = fooled = False
        for _, arm, baseline in Run().looks(seed):
            found = difference(arm.latency, baseline.latency, ALPHA)
            if found is None:
                continue
            alarm = alarm or found.p_value <= ALPHA or not found.low <= 0 <= found.high
            spread = arm.latency.squared_error + baseline.latency.squared_error
            fooled = fooled or found.estimate**2 > 1.96**2 * spread
        alarms += alarm
        naive += fooled
    assert alarms <= 50
    assert naive > 200


def test_arms_of_unequal_weight_are_no_cause_for_an_alarm() -> None:
    alarms = 0
    for seed in range(300):
        looks = Run(weight=0.1, batch=50).looks(seed)
        found = [difference(arm.latency, baseline.latency, ALPHA) for _, arm, baseline in looks]
        alarms += any(one is not None and one.p_value <= ALPHA for one in found)
    assert alarms <= 15


def test_an_arm_that_is_slower_by_a_fifth_is_found_and_the_interval_holds_the_truth_all_the_way() -> None:
    found_after: list[int] = []
    covered = 0
    for seed in range(100):
        always, first = True, None
        for number, arm, baseline in Run(arm=Engine(median_seconds=1.2), requests=3000, batch=50).looks(seed):
            found = log_ratio(arm.latency, baseline.latency, ALPHA)
            if found is None:
                continue
            always = always and found.low <= 0.2 <= found.high
            if first is None and found.low > 0:
                first = number
        covered += always
        if first is not None:
            found_after.append(first)
    assert covered >= 95
    assert len(found_after) >= 95
    assert sorted(found_after)[50] <= 1000


@given(
    mean=st.floats(-3, 3),
    shift=st.floats(-2, 2),
    count=st.integers(LEAST, 500),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_the_interval_leaves_zero_out_where_the_p_value_is_under_alpha(
    mean: float, shift: float, count: int, alpha: float
) -> None:
    arm, baseline = sample(mean + shift - 1, mean + shift + 1, times=count), sample(mean - 1, mean + 1, times=count)
    found = difference(arm, baseline, alpha)
    assert found is not None
    if abs(found.p_value - alpha) > 1e-9:
        assert (found.p_value < alpha) == (found.low > 0 or found.high < 0)


def test_too_few_requests_say_nothing() -> None:
    enough, few = sample(1.0, 2.0, times=LEAST), sample(1.0, 2.0, times=LEAST // 2 - 1)
    assert difference(enough, few, ALPHA) is None
    assert difference(few, enough, ALPHA) is None


def test_values_that_are_all_the_same_say_nothing_of_how_they_spread() -> None:
    """A cost that is the same for every answer, say, but for what rounding makes of it."""
    one, other = sample(1e-5, times=5000), sample(1e-5 * (1 + 1e-13), times=5000)
    assert difference(one, other, ALPHA) is None
    assert ratio(one, other, ALPHA) is None


def test_votes_that_are_all_the_same_are_told_apart_as_far_as_their_number_allows() -> None:
    up, down = sample(1.0, times=40), sample(0.0, times=40)
    found = difference(up, down, ALPHA, bound=2.0)
    assert found is not None
    assert 0 < found.low < 1 < found.high < 2


def test_a_ratio_is_a_share_of_the_baseline() -> None:
    found = ratio(sample(0.9, 1.1, times=4000), sample(1.8, 2.2, times=4000), ALPHA)
    assert found is not None
    assert found.estimate == pytest.approx(-0.5)
    assert -0.53 < found.low < -0.5 < found.high < -0.47


def test_a_ratio_to_what_may_be_nothing_has_no_end() -> None:
    found = ratio(sample(1.0, 2.0, times=40), sample(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, times=8), ALPHA)
    assert found is not None
    assert found.high == inf


def test_times_are_told_as_shares_of_the_baselines() -> None:
    found = log_ratio(sample(1.0, 3.0, times=400), sample(0.0, 2.0, times=400), ALPHA)
    assert found is not None
    assert found.estimate == pytest.approx(exp(1) - 1)
