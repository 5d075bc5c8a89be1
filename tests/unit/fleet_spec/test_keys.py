"""Keys are long, their own kind, and known again."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.governance_spec import KEY_HASH_PATTERN
from fleet_spec.keys import KEY_PATTERN, hash_of, looks_like_key, new_key

pytestmark = pytest.mark.unit


def test_a_new_key_is_one_of_its_kind() -> None:
    made = {new_key() for _ in range(200)}
    assert len(made) == 200
    for key in made:
        assert looks_like_key(key)
        assert re.fullmatch(KEY_PATTERN, key)


def test_every_random_bit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [0, 1, 2**255, 2**256 - 1]
    bits = iter(numbers)
    monkeypatch.setattr("fleet_spec.keys.secrets.randbits", lambda count: next(bits) if count == 256 else None)
    keys = [new_key() for _ in numbers]
    assert len(set(keys)) == len(numbers)
    assert all(looks_like_key(key) for key in keys)


@given(position=st.integers(min_value=4, max_value=52), letter=st.sampled_from("0aZ_-"))
def test_a_slip_of_the_pen_is_no_key(position: int, letter: str) -> None:
    key = new_key()
    changed = key[:position] + letter + key[position + 1 :]
    assert looks_like_key(changed) is (changed == key)


@given(st.text())
def test_other_texts_are_no_keys(text: str) -> None:
    assert not looks_like_key(text)
    assert not looks_like_key(f"pdk_{text}")


def test_what_is_kept_is_the_hash_of_the_whole_key() -> None:
    key = new_key()
    assert hash_of(key) == "sha256:" + hashlib.sha256(key.encode()).hexdigest()
    assert re.fullmatch(KEY_HASH_PATTERN, hash_of(key))
