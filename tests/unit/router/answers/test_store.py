"""The table of answers: bounded in number, size and age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.answers.store import ENTRY_OVERHEAD_BYTES, Answer, Store

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store(clock: Clock, *, entries: int = 3, size_bytes: int = 1 << 20, ttl_seconds: float = 60) -> Store:
    return Store(entries=entries, size_bytes=size_bytes, ttl_seconds=ttl_seconds, clock=clock)


def answer(clock: Clock, body: bytes = b"{}") -> Answer:
    return Answer(b"", body, chunked=False, usage=None, reply_id=None, stored_at=clock())


def test_the_least_recently_used_goes_first() -> None:
    clock = Clock()
    kept = store(clock)
    for key in (b"a", b"b", b"c"):
        kept.put(key, answer(clock))
    assert kept.get(b"a") is not None
    kept.put(b"d", answer(clock))
    assert [key for key in (b"a", b"b", b"c", b"d") if kept.get(key)] == [b"a", b"c", b"d"]
    assert kept.evicted == 1


def test_an_answer_that_is_too_old_is_not_given() -> None:
    clock = Clock()
    kept = store(clock, ttl_seconds=60)
    kept.put(b"a", answer(clock))
    clock.now += 59.9
    assert kept.get(b"a") is not None
    clock.now += 0.1
    assert kept.get(b"a") is None
    assert (len(kept), kept.size_bytes, kept.expired) == (0, 0, 1)


def test_being_used_makes_no_answer_younger() -> None:
    clock = Clock()
    kept = store(clock, ttl_seconds=60)
    kept.put(b"a", answer(clock))
    for _ in range(5):
        clock.now += 10
        assert kept.get(b"a") is not None
    clock.now += 10
    assert kept.get(b"a") is None


def test_sweeping_frees_what_nobody_asks_for() -> None:
    clock = Clock()
    kept = store(clock, ttl_seconds=60)
    kept.put(b"old", answer(clock))
    clock.now += 30
    kept.put(b"young", answer(clock))
    clock.now += 30
    kept.sweep()
    assert len(kept) == 1
    assert kept.get(b"young") is not None


def test_an_answer_larger_than_all_the_room_takes_nothing_from_the_others() -> None:
    clock = Clock()
    kept = store(clock, size_bytes=4 * ENTRY_OVERHEAD_BYTES)
    kept.put(b"a", answer(clock))
    kept.put(b"b", answer(clock, bytes(4 * ENTRY_OVERHEAD_BYTES)))
    assert (kept.get(b"a") is not None, kept.get(b"b")) == (True, None)


def test_smaller_limits_hold_for_what_is_there_already() -> None:
    clock = Clock()
    kept = store(clock)
    for key in (b"a", b"b", b"c"):
        kept.put(key, answer(clock))
        clock.now += 10
    kept.resize(entries=2, ttl_seconds=15)
    assert [key for key in (b"a", b"b", b"c") if kept.get(key)] == [b"c"]


@given(
    puts=st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.integers(0, 5000))),
    entries=st.integers(1, 5),
    size_bytes=st.integers(1, 12_000),
)
def test_the_bounds_hold_and_the_size_is_what_is_there(
    puts: list[tuple[bytes, int]], entries: int, size_bytes: int
) -> None:
    clock = Clock()
    kept = store(clock, entries=entries, size_bytes=size_bytes)
    for key, size in puts:
        kept.put(key, answer(clock, bytes(size)))
        assert len(kept) <= entries
        assert kept.size_bytes <= size_bytes
    there = [kept.get(bytes([byte])) for byte in range(256)]
    assert kept.size_bytes == sum(one.size_bytes for one in there if one is not None)
