"""Ids that only the router can make and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.experiments.request_ids import KEY_BYTES, Origin, make_id, read_id, tag_of

pytestmark = pytest.mark.unit

KEY = bytes(range(KEY_BYTES))
TAG = tag_of("assistant", "a")


@given(now=st.integers(0, 2**32 - 1))
def test_an_id_tells_where_it_comes_from(now: int) -> None:
    assert read_id(KEY, make_id(KEY, TAG, now + 0.5)) == Origin(TAG, now)


def test_there_is_one_way_to_write_an_id() -> None:
    for _ in range(100):
        made = make_id(KEY, TAG, 1e9)
        body = made.removeprefix("pdx-")
        for other in (
            body.replace("-", "+"),
            body.replace("_", "/"),
            body + "=",
            body + "\n",
            body[:8] + " " + body[8:],
        ):
            assert (read_id(KEY, f"pdx-{other}") is not None) == (other == body)


def test_ids_do_not_repeat() -> None:
    assert len({make_id(KEY, TAG, 1e9) for _ in range(1000)}) == 1000


@given(at=st.integers(0, 39), to=st.sampled_from("ABCDwxyz0189-_=+/ \n\u00e9"))
def test_a_changed_id_is_none_of_ours(at: int, to: str) -> None:
    made = make_id(KEY, TAG, 1e9)
    changed = made[:at] + to + made[at + 1 :]
    assert (read_id(KEY, changed) is not None) == (changed == made)


@given(text=st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    assert read_id(KEY, text) is None
    assert read_id(KEY, f"pdx-{text}") is None


def test_the_id_of_another_router_is_none_of_ours() -> None:
    assert read_id(bytes(KEY_BYTES), make_id(KEY, TAG, 1e9)) is None


def test_arms_have_tags_of_their_own() -> None:
    assert len({tag_of("x", "a"), tag_of("x", "b"), tag_of("y", "a"), tag_of("xa", "")}) == 4
