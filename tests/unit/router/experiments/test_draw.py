"""Which arm a request gets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.router.experiments import assign, unit_of
from agent_runtime.router.experiments.draw import ranking

pytestmark = pytest.mark.unit

UNITS = [f"session\0key\0{number}" for number in range(4000)]


def everything(arm: str) -> bool:
    return True


def shares(arms: dict[str, float]) -> dict[str, str]:
    """The arm of every unit."""
    return {unit: ranking("alias", list(arms.items()), unit)[0] for unit in UNITS}


def test_a_unit_keeps_its_arm_in_every_process() -> None:
    arms = [("a", 0.5), ("b", 0.5)]
    # Written down once: another router, another release and another day must draw the same.
    assert [ranking("assistant", arms, f"session\0key\0{number}")[0] for number in range(12)] == list("baabbabbabab")
    assert ranking("assistant", arms[::-1], UNITS[0]) == ranking("assistant", arms, UNITS[0])


@pytest.mark.parametrize("weights", [{"a": 0.5, "b": 0.5}, {"a": 9, "b": 1}, {"a": 0.7, "b": 0.2, "c": 0.1}])
def test_arms_get_their_shares(weights: dict[str, float]) -> None:
    found = Counter(shares(weights).values())
    for arm, weight in weights.items():
        # Four standard deviations of a binomial draw of 4,000, at the most.
        assert found[arm] / len(UNITS) == pytest.approx(weight / sum(weights.values()), abs=4 * 0.5 / len(UNITS) ** 0.5)


def test_chance_gives_the_same_shares() -> None:
    arms = [("a", 3.0), ("b", 1.0)]
    drawn = [assign("alias", arms, None, everything) for _ in range(4000)]
    found = Counter(one.arm for one in drawn if one is not None)
    # Seven standard deviations: once in 10**11 runs it is further away.
    assert found["a"] / 4000 == pytest.approx(0.75, abs=7 * 0.43 / 4000**0.5)


WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100), min_size=2, max_size=4)


@settings(max_examples=30)
@given(before=WEIGHTS, after=WEIGHTS)
def test_a_unit_moves_only_to_an_arm_that_gained_on_its_own(before: dict[str, float], after: dict[str, float]) -> None:
    for unit in UNITS[:300]:
        old = ranking("alias", list(before.items()), unit)[0]
        new = ranking("alias", list(after.items()), unit)[0]
        if old != new and old in after and new in before:
            assert after[new] / after[old] > before[new] / before[old]


@settings(max_examples=30)
@given(before=WEIGHTS, weight=st.floats(0.01, 100))
def test_a_new_arm_takes_its_share_and_moves_nothing_else(before: dict[str, float], weight: float) -> None:
    after = [*before.items(), ("new", weight)]
    for unit in UNITS[:300]:
        new = ranking("alias", after, unit)[0]
        assert new in ("new", ranking("alias", list(before.items()), unit)[0])


def test_from_half_to_a_tenth_moves_four_tenths() -> None:
    before, after = shares({"a": 0.5, "b": 0.5}), shares({"a": 0.1, "b": 0.9})
    moved = [unit for unit in UNITS if before[unit] != after[unit]]
    assert len(moved) / len(UNITS) == pytest.approx(0.4, abs=0.04)
    assert {after[unit] for unit in moved} == {"b"}


def test_experiments_draw_for_themselves() -> None:
    arms = [("a", 0.5), ("b", 0.5)]
    same = sum(ranking("one", arms, unit) == ranking("other", arms, unit) for unit in UNITS)
    assert same / len(UNITS) == pytest.approx(0.5, abs=0.04)


def test_another_arm_stands_in_for_one_that_is_out_of_order_and_says_so() -> None:
    arms = [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    stood_in: Counter[str] = Counter()
    for unit in UNITS:
        usual = assign("alias", arms, unit, everything)
        found = assign("alias", arms, unit, lambda arm: arm != "a")
        assert usual is not None
        assert found is not None
        assert not usual.fallen_back
        assert found.intended == usual.arm
        assert found.fallen_back == (usual.arm == "a")
        if usual.arm == "a":
            stood_in[found.arm] += 1
        else:
            assert found.arm == usual.arm
    # The units of the missing arm spread over the others.
    assert stood_in["b"] / stood_in.total() == pytest.approx(0.5, abs=0.06)


def test_nothing_usable_is_no_arm() -> None:
    assert assign("alias", [("a", 1.0)], "unit", lambda _: False) is None


def test_whose_requests_stay_together() -> None:
    user = {"user": "u"}
    assert unit_of("s", "openai", user, owner="key") == unit_of("s", "ollama", {}, owner="key")
    assert unit_of("", "openai", user, owner="key") == unit_of("", "openai", {**user, "x": 1}, owner="key")
    assert unit_of("", "ollama", user, owner="key") is None
    assert unit_of("", "openai", {"user": ""}, owner="key") is None
    assert unit_of("", "openai", {}, owner="key", by_owner=True) is not None
    told_apart = {
        unit_of("u", "openai", {}, owner="key"),
        unit_of("", "openai", user, owner="key"),
        unit_of("", "openai", user, owner="other"),
        unit_of("", "openai", {}, owner="key", by_owner=True),
    }
    assert len(told_apart) == 4


def test_half_a_character_is_a_unit_too() -> None:
    unit = unit_of("", "openai", {"user": "\ud800"}, owner="key")
    assert assign("alias", [("a", 1.0), ("b", 1.0)], unit, everything) is not None
