"""What clients may say in headers."""

from __future__ import annotations

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.wishes import Wishes, wishes_of

pytestmark = pytest.mark.unit


def test_what_nobody_says_costs_no_object() -> None:
    assert wishes_of([(b"host", b"x"), (b"accept", b"*/*")]) is wishes_of([])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ((b"x-paddock-privacy", b" Private "), Wishes(private=True)),
        ((b"x-paddock-privacy", b"public"), Wishes(private=False)),
        ((b"x-paddock-complexity", b"complex"), Wishes(complex=True)),
        ((b"x-paddock-complexity", b"routine"), Wishes(complex=False)),
        ((b"x-paddock-tier", b"cloud"), Wishes(tier="cloud")),
        ((b"x-paddock-priority", b"high"), Wishes(priority="high")),
        ((b"x-paddock-session", b"chat 7"), Wishes(session="chat 7")),
        ((b"cache-control", b"max-age=0, no-cache"), Wishes(fresh=True)),
        ((b"cache-control", b"No-Store"), Wishes(fresh=True, unkept=True)),
        ((b"traceparent", b"00-1-2-3"), Wishes(trace_parent=b"00-1-2-3")),
    ],
)
def test_each_wish(header: tuple[bytes, bytes], expected: Wishes) -> None:
    assert wishes_of([(b"host", b"x"), header]) == expected


@pytest.mark.parametrize("order", [(b"private", b"public"), (b"public", b"private")])
def test_said_twice_the_stricter_word_on_privacy_holds(order: tuple[bytes, bytes]) -> None:
    assert wishes_of([(b"x-paddock-privacy", word) for word in order]).private is True


@pytest.mark.parametrize(
    "header",
    [
        (b"x-paddock-privacy", b"yes"),
        (b"x-paddock-privacy", b""),
        (b"x-paddock-tier", b"moon"),
        (b"x-paddock-private", b"true"),
        (b"x-paddock-session", b"x" * 300),
    ],
)
def test_a_wish_that_cannot_be_understood_is_never_taken_for_none(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(RequestError) as refused:
        wishes_of([header])
    assert refused.value.status == 400
    assert "X-Paddock" in refused.value.message
