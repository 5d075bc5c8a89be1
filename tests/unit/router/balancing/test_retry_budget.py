"""A sick fleet is not asked twice as much."""

from __future__ import annotations

import pytest

from agent_runtime.router.balancing.retry_budget import RetryBudget

pytestmark = pytest.mark.unit


def spent(budget: RetryBudget, now: float) -> int:
    count = 0
    while budget.may_retry(now):
        count += 1
    return count


def test_where_there_are_few_requests_some_may_always_be_tried_again() -> None:
    assert spent(RetryBudget(), now=1000.0) == 100


def test_a_fifth_of_many_may_be() -> None:
    budget = RetryBudget()
    assert budget.may_retry(1000.0)
    budget.requests += 10_000
    assert spent(budget, 1005.0) == 100 + 2000 - 1


def test_a_new_window_knows_how_busy_the_last_one_was() -> None:
    budget = RetryBudget()
    assert budget.may_retry(1000.0)
    budget.requests += 10_000
    assert spent(budget, 1011.0) == 2100
    assert spent(budget, 1040.0) == 100
