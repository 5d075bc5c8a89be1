"""Sums that add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.experiments.tally import BOUNDS, Outcome, Spread, Tally, quantile

pytestmark = pytest.mark.unit

OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from([200, 400, 499, 502]),
    duration_seconds=st.integers(0, 1000).map(lambda ms: ms / 1024),
    first_byte_seconds=st.none() | st.integers(0, 1000).map(lambda ms: ms / 1024),
    prompt_tokens=st.integers(0, 4096),
    completion_tokens=st.integers(0, 4096),
    usd=st.integers(0, 64).map(lambda cents: cents / 64),
    cached=st.booleans(),
)


@given(first=st.lists(OUTCOMES), second=st.lists(OUTCOMES))
def test_two_workers_together_are_one_that_did_it_all(first: list[Outcome], second: list[Outcome]) -> None:
    tallies, spreads = [Tally() for _ in range(3)], [Spread() for _ in range(3)]
    for place, outcomes in enumerate((first, second, first + second)):
        for outcome in outcomes:
            tallies[place].count(outcome, fallen_back=False)
            spreads[place].count(outcome)
    tallies[0].add(tallies[1])
    spreads[0].add(spreads[1])
    assert tallies[0].row() == pytest.approx(tallies[2].row())
    assert spreads[0] == spreads[2]
    whole = tallies[2]
    assert whole.requests == whole.answered + whole.cached + whole.errors + whole.left
    assert sum(spreads[2].duration) == whole.answered
    assert sum(spreads[2].first_byte) == whole.first_bytes


def test_only_what_a_model_answered_says_how_fast_it_is() -> None:
    tally, spread = Tally(), Spread()
    for outcome in (
        Outcome(200, 2.0, 0.5, 10, 20, 0.25),
        Outcome(502, 30.0),
        Outcome(499, 7.0, 1.0),
        Outcome(200, 0.001, 0.001, cached=True),
    ):
        tally.count(outcome, fallen_back=True)
        spread.count(outcome)
    assert (tally.requests, tally.errors, tally.left, tally.cached, tally.fallbacks) == (4, 1, 1, 1, 4)
    assert (tally.answered, tally.duration_seconds, tally.duration_seconds_squared) == (1, 2.0, 4.0)
    assert (tally.first_bytes, tally.first_byte_seconds) == (1, 0.5)
    assert (tally.completion_tokens, tally.completion_tokens_squared, tally.usd_squared) == (20, 400, 0.0625)
    assert sum(spread.duration) == 1


def spread_of(*seconds: float) -> list[int]:
    spread = Spread()
    for duration in seconds:
        spread.count(Outcome(200, duration))
    return spread.duration


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        (spread_of(), 0.5, None),
        (spread_of(0.75, 0.75), 0.5, 0.75),
        (spread_of(0.001), 1.0, 0.005),
        (spread_of(*[0.75] * 9, 20.0), 0.95, 20.0),
        (spread_of(10_000.0), 0.5, 600.0),
    ],
)
def test_quantiles_lie_between_the_bounds(counts: list[int], share: float, seconds: float | None) -> None:
    assert quantile(counts, share) == (None if seconds is None else pytest.approx(seconds))


def test_a_time_at_a_bound_is_under_it() -> None:
    assert spread_of(1.0)[BOUNDS.index(1.0)] == 1
