"""A RandomKey is made once, and another one is made when its generation changes."""

from typing import Any

import pytest

from components.local.provider.protocol import UNKNOWN
from components.local.provider.random_key import RandomKeyType
from components.local.provider.resource import Session
from fleet_spec.keys import looks_like_key

pytestmark = pytest.mark.unit
KEY = RandomKeyType()
SESSION = Session()


def created(**given: Any) -> tuple[str, dict[str, Any]]:
    inputs, failures = KEY.check(given, {})
    assert failures == []
    return KEY.create(inputs, SESSION)


def test_its_whole_life() -> None:
    resource_id, state = created(generation=1)
    assert looks_like_key(state["key"])
    inputs = {"generation": 1}
    assert KEY.diff(state, inputs, inputs) == {}
    assert KEY.read(resource_id, state, SESSION) == state
    assert KEY.update(resource_id, state, inputs, SESSION) == state
    KEY.delete(resource_id, state, SESSION)


def test_two_keys_are_different_and_no_id_tells_them() -> None:
    (first_id, first), (second_id, second) = created(), created()
    assert first["key"] != second["key"]
    assert first_id == second_id


def test_another_generation_is_another_key() -> None:
    _, state = created(generation=1)
    changes = KEY.diff(state, {"generation": 1}, {"generation": 2})
    assert {name: change.kind for name, change in changes.items()} == {"generation": "replace"}


def test_a_preview_knows_only_a_key_that_there_is() -> None:
    assert KEY.preview({"generation": 1}, None)["key"] == UNKNOWN
    _, state = created()
    assert KEY.preview({"generation": 1}, state)["key"] == state["key"]


@pytest.mark.parametrize("given", [{"generation": 0}, {"generation": "1"}, {"length": 8}])
def test_what_is_wrong_is_told(given: dict[str, Any]) -> None:
    assert KEY.check(given, {})[1] != []
