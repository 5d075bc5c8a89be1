"""A replica that answers badly is left alone, and gets its requests back little by little."""

from __future__ import annotations

import pytest

from agent_runtime.router.balancing.breaker import Breaker

pytestmark = pytest.mark.unit


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(now, "answered 500")
    assert breaker.state(now) == "open"
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    assert [breaker.failed(0, "answered 500") for _ in range(5)] == [False, False, False, False, True]
    assert not breaker.clear
    assert breaker.problem == "answered 500"
    assert not breaker.allows(0.9, in_flight=0)


def test_a_success_between_them_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(4):
        assert not breaker.failed(0, "answered 500")
    breaker.succeeded()
    for _ in range(4):
        assert not breaker.failed(0, "answered 500")
    assert breaker.clear


def test_half_of_many_opens_it_without_a_row() -> None:
    breaker = Breaker()
    opened_at = None
    for number in range(40):
        if breaker.failed(1.0, "broke off") and opened_at is None:
            opened_at = number
        breaker.succeeded()
    assert opened_at == 10


def test_few_failures_among_many_successes_do_not() -> None:
    breaker = Breaker()
    for second in range(100):
        assert not breaker.failed(second / 10, "broke off")
        for _ in range(9):
            breaker.succeeded()


def test_failures_of_long_ago_are_forgotten() -> None:
    breaker = Breaker()
    for minute in range(100):
        breaker.succeeded()
        assert not breaker.failed(60.0 * minute, "no first byte in time")


def test_it_reopens_gently() -> None:
    breaker = opened(0)
    assert breaker.state(1.0) == "half_open"
    assert breaker.allows(1.0, in_flight=0)
    assert not breaker.allows(1.0, in_flight=1)
    allowances: list[int] = []
    while breaker.state(1.0) == "half_open":
        allowances.append(breaker.allowance)
        breaker.succeeded()
    assert allowances == [1, 2, 2, *[4] * 4, *[8] * 8]
    assert breaker.clear
    assert breaker.problem == ""


def test_each_failed_trial_doubles_the_pause_up_to_a_minute() -> None:
    breaker = opened(0)
    now, pauses = 0.0, []
    for _ in range(2000):
        now = breaker.next_try()
        assert breaker.failed(now, "answered 500")
        pauses.append(breaker.next_try() - now)
    assert pauses[:7] == [2, 4, 8, 16, 32, 60, 60]
    assert set(pauses[7:]) == {60}


def test_what_was_sent_before_it_opened_says_nothing_new() -> None:
    breaker = opened(0)
    pause_ends = breaker.next_try()
    for _ in range(20):
        assert not breaker.failed(0.5, "answered 500")
    assert breaker.next_try() == pause_ends


def test_a_pause_that_the_server_asked_for_ends_by_itself() -> None:
    breaker = Breaker()
    breaker.pause(30.0, "answered 429")
    assert not breaker.allows(29.9, in_flight=0)
    assert breaker.state(29.9) == "open"
    assert breaker.allows(30.0, in_flight=50)
    assert (breaker.clear, breaker.state(30.0), breaker.problem) == (True, "closed", "")


def test_a_pause_does_not_close_an_open_breaker() -> None:
    breaker = opened(0)
    breaker.pause(30.0, "answered 429")
    assert not breaker.allows(5.0, in_flight=0)
    assert breaker.state(31.0) == "half_open"
    assert not breaker.allows(31.0, in_flight=1)
