"""Crashes in a row wait longer and longer; a run that lasted starts anew."""

import pytest

from components.local.backoff import Backoff

pytestmark = pytest.mark.unit


def test_delays_double_up_to_the_maximum():
    backoff = Backoff(initial_seconds=0.5, maximum_seconds=30, reset_after_seconds=60)

    delays = [backoff.delay_seconds(ran_seconds=1) for _ in range(9)]

    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_run_that_lasted_begins_anew():
    backoff = Backoff(initial_seconds=0.5, maximum_seconds=30, reset_after_seconds=60)
    for _ in range(5):
        backoff.delay_seconds(ran_seconds=1)

    assert backoff.delay_seconds(ran_seconds=60) == 0.5
    assert backoff.delay_seconds(ran_seconds=59) == 1
