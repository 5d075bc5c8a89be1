"""Keys find the same member again, and few of them move when members come and go."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.balancing.ring import Ring, position

pytestmark = pytest.mark.unit

KEYS = [position(f"conversation {number}") for number in range(4000)]


def ring_of(count: int) -> Ring[str]:
    names = [f"http://10.0.0.{number}:8080" for number in range(count)]
    return Ring((name, name) for name in names)


def first(ring: Ring[str], key: int) -> str:
    return next(ring.walk(key))


def test_the_same_key_finds_the_same_member_in_every_process() -> None:
    assert position("a conversation") == 11680877893337151643
    assert [first(ring_of(5), key) for key in KEYS[:50]] == [first(ring_of(5), key) for key in KEYS[:50]]


def test_members_have_about_equal_shares() -> None:
    ring = ring_of(10)
    shares = Counter(first(ring, key) for key in KEYS)
    assert len(shares) == 10
    assert max(shares.values()) < 1.6 * len(KEYS) / 10


def test_a_member_that_comes_takes_its_share_and_nobody_else_changes() -> None:
    before, after = ring_of(9), ring_of(10)
    moved = [key for key in KEYS if first(before, key) != first(after, key)]
    assert {first(after, key) for key in moved} == {"http://10.0.0.9:8080"}
    assert len(moved) < 1.6 * len(KEYS) / 10


@given(st.integers(0, 2**64 - 1), st.integers(0, 40))
def test_a_walk_meets_every_member_once(key: int, count: int) -> None:
    walked = list(ring_of(count).walk(key))
    assert len(walked) == len(set(walked)) == count
