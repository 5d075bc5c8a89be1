"""The cheapest of few, the better of two of many, and times that believe bad news first."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from agent_runtime.router.balancing.choice import DEAR, PeakEwma, choose

pytestmark = pytest.mark.unit


def anything(_item: object) -> bool:
    return True


def test_the_cheapest_of_few_is_chosen() -> None:
    costs = {"a": 4.0, "b": 1.0, "c": 2.0}
    assert choose(list(costs), 0, anything, costs.__getitem__) == "b"
    assert choose(list(costs), 0, lambda item: item != "b", costs.__getitem__) == "c"
    assert choose(list(costs), 0, lambda _item: False, costs.__getitem__) is None
    assert choose([], 0, anything, costs.__getitem__) is None


def test_equally_cheap_ones_take_turns() -> None:
    assert Counter(choose("abc", turn, anything, lambda _item: 0) for turn in range(30)) == dict.fromkeys("abc", 10)


def test_many_are_kept_in_balance_by_a_look_at_two() -> None:
    random.seed(1)
    loads = [0] * 2000
    looks = 0

    def cost(item: int) -> float:
        nonlocal looks
        looks += 1
        return loads[item]

    for turn in range(20_000):
        chosen = choose(range(2000), turn, anything, cost)
        assert chosen is not None
        loads[chosen] += 1
    assert max(loads) <= 15  # 10 is the mean; drawn blindly, the longest would be about 23
    assert looks == 40_000


def test_one_that_can_be_had_is_found_among_many_that_cannot() -> None:
    assert choose(range(2000), 7, lambda item: item == 1234, lambda _item: 0) == 1234
    assert choose(range(2000), 7, anything, lambda item: DEAR + item) == 0


def test_a_slow_answer_counts_at_once_and_fades() -> None:
    times = PeakEwma()
    times.observe(0.1, now=0)
    times.observe(5.0, now=1)
    assert times.seconds == 5.0
    times.observe(0.1, now=2)
    assert 4 < times.seconds < 5
    for second in range(3, 60):
        times.observe(0.1, now=second)
    assert times.seconds == pytest.approx(0.1, abs=0.02)


def test_load_makes_dear_and_time_forgives() -> None:
    quick, slow = PeakEwma(), PeakEwma()
    quick.observe(0.1, now=0)
    slow.observe(1.0, now=0)
    assert quick.cost(0, 0) < slow.cost(0, 0) < quick.cost(10, 0)
    assert slow.cost(0, now=60) < quick.cost(0, now=0)


def test_one_without_a_past_gets_a_request_but_not_all_of_them() -> None:
    new, known = PeakEwma(), PeakEwma()
    known.observe(0.5, now=0)
    assert new.cost(0, 0) < known.cost(0, 0) < new.cost(1, 0)
