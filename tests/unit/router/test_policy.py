"""Which tier answers, in which order, and why."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.errors import Dialect, RequestError
from agent_runtime.router.fleet_state import ModelState
from agent_runtime.router.policy import Asking, Order, Policy
from agent_runtime.router.wishes import Wishes
from fleet_spec.contract import FleetContract, ModelEndpoints
from fleet_spec.governance_spec import Priority, Tier

pytestmark = pytest.mark.unit


class Fixed:
    """A classifier that has its answer ready."""

    def __init__(self, *, private: bool = False, complex_: bool = False) -> None:
        self.seen = Classification(private, complex_, ("as told",))
        self.asked = 0

    slow = False

    def prepare(self) -> None:
        """It is always ready."""

    def classify(self, dialect: Dialect, body: Mapping[str, Any], *, declared_public: bool = False) -> Classification:
        self.asked += 1
        return self.seen


def model(tier: Tier, context_length: int = 100_000) -> ModelState:
    return ModelState(
        tier, ModelEndpoints(model=tier, engine="openai", tier=tier, context_length=context_length), tier=tier
    )


MODELS: dict[Tier, ModelState] = {tier: model(tier) for tier in ("local", "cloud", "commercial")}


def contract(**parts: Any) -> FleetContract:
    address = "http://127.0.0.1:1"
    router = {"url": address, "openai": address, "ollama": address, "metrics": address}
    return FleetContract.from_mapping(
        {"version": 1, "stack": "t", "target": "local", "router": router, "models": {}, **parts}
    )


def ordered(
    *,
    wishes: Wishes | None = None,
    classifier: Fixed | None = None,
    tiers: Mapping[Tier, ModelState] = MODELS,
    refused: Mapping[Tier, str] | None = None,
    down: tuple[Tier, ...] = (),
    key_private: bool = False,
    priority: Priority = "normal",
    size_bytes: int = 100,
    **parts: Any,
) -> Order:
    policy = Policy(
        contract(**parts), classifier or Fixed(), lambda tier, _key, _priority, _model: (refused or {}).get(tier)
    )
    asking = Asking("openai", {}, size_bytes, "team", key_private, priority, wishes or Wishes())
    return policy.order(asking, tiers, lambda one: one.name not in down)


def names(order: Order) -> list[str]:
    return [one.name for one in order.models]


def test_a_fleet_without_further_tiers_is_not_looked_at() -> None:
    classifier = Fixed(private=True)
    order = ordered(tiers={"local": MODELS["local"]}, classifier=classifier)
    assert (names(order), order.kind, classifier.asked) == (["local"], "only", 0)


def test_routine_work_stays_and_hard_work_goes_out() -> None:
    assert names(ordered()) == ["local", "cloud", "commercial"]
    assert names(ordered(classifier=Fixed(complex_=True))) == ["commercial", "cloud", "local"]


def test_the_config_sets_the_order() -> None:
    assert names(ordered(routing={"routine": ["cloud", "local"]})) == ["cloud", "local"]


@pytest.mark.parametrize("how", ["header", "key", "config", "detector"])
def test_what_is_private_stays_and_has_nowhere_else_to_go(how: str) -> None:
    order = ordered(
        wishes=Wishes(private=True) if how == "header" else None,
        key_private=how == "key",
        classifier=Fixed(private=how == "detector", complex_=True),
        privacy={"default": "private" if how == "config" else "detect"},
    )
    assert (names(order), order.kind, order.private) == (["local"], "private", True)


def test_a_client_s_word_that_it_is_public_does_not_outweigh_a_finding() -> None:
    order = ordered(wishes=Wishes(private=False, tier=None), classifier=Fixed(private=True))
    assert names(order) == ["local"]


def test_private_and_no_model_of_the_fleet_is_an_error_and_no_leak() -> None:
    with pytest.raises(RequestError) as refused:
        ordered(tiers={"cloud": MODELS["cloud"], "commercial": MODELS["commercial"]}, classifier=Fixed(private=True))
    assert (refused.value.status, refused.value.code) == (503, "private_prompt")


def test_private_and_the_fleet_down_is_still_only_the_fleet() -> None:
    assert names(ordered(classifier=Fixed(private=True), down=("local",))) == ["local"]


def test_a_pin_to_a_tier_does_not_outweigh_privacy() -> None:
    with pytest.raises(RequestError) as refused:
        ordered(wishes=Wishes(tier="commercial"), classifier=Fixed(private=True))
    assert (refused.value.status, refused.value.code) == (403, "private_prompt")


def test_a_pin_names_the_only_tier() -> None:
    assert names(ordered(wishes=Wishes(tier="cloud"), classifier=Fixed(complex_=True))) == ["cloud"]
    with pytest.raises(RequestError) as refused:
        ordered(wishes=Wishes(tier="cloud"), tiers={"local": MODELS["local"]})
    assert refused.value.status == 400


def test_money_closes_a_tier_and_the_reason_says_so() -> None:
    order = ordered(classifier=Fixed(complex_=True), refused={"commercial": "80 % of the budget is spent"})
    assert names(order) == ["cloud", "local"]
    assert "commercial: 80 % of the budget is spent" in order.reason


def test_where_only_money_is_missing_the_client_is_told_so() -> None:
    with pytest.raises(RequestError) as refused:
        ordered(tiers={"commercial": MODELS["commercial"]}, refused={"commercial": "spent"})
    assert (refused.value.status, refused.value.code) == (429, "budget_exceeded")


def test_a_tier_that_is_down_is_left_out() -> None:
    order = ordered(down=("local",))
    assert names(order) == ["cloud", "commercial"]
    assert "local: cannot be reached now" in order.reason


def test_all_tiers_down_is_an_error_with_every_reason() -> None:
    with pytest.raises(RequestError) as refused:
        ordered(down=("local", "cloud"), refused={"commercial": "spent"})
    assert refused.value.status == 503
    assert all(word in refused.value.message for word in ("local", "cloud", "spent"))


def test_a_client_may_say_how_hard_its_question_is() -> None:
    assert names(ordered(wishes=Wishes(complex=True)))[0] == "commercial"
    assert names(ordered(wishes=Wishes(complex=False), classifier=Fixed(complex_=True)))[0] == "local"


def test_a_prompt_that_may_be_too_long_goes_first_where_there_is_room() -> None:
    tiers: dict[Tier, ModelState] = {**MODELS, "local": model("local", context_length=1000)}
    assert names(ordered(tiers=tiers, size_bytes=3000))[0] == "local"
    assert names(ordered(tiers=tiers, size_bytes=30_000)) == ["cloud", "commercial", "local"]


FLAGS = st.booleans()
TIERS: list[Tier] = ["local", "cloud", "commercial"]


@given(
    st.sets(st.sampled_from(TIERS), min_size=1),
    st.sets(st.sampled_from(TIERS)),
    st.sets(st.sampled_from(TIERS)),
    st.sampled_from([None, *TIERS]),
    st.sampled_from(list(itertools.permutations(TIERS))),
    FLAGS,
)
def test_nothing_takes_a_private_prompt_out_of_the_fleet(
    there: set[Tier], down: set[Tier], broke: set[Tier], pin: Tier | None, rules: tuple[Tier, ...], is_complex: bool
) -> None:
    try:
        order = ordered(
            tiers={tier: MODELS[tier] for tier in there},
            down=tuple(down),
            refused=dict.fromkeys(broke, "spent"),
            wishes=Wishes(tier=pin),
            classifier=Fixed(private=True, complex_=is_complex),
            routing={"routine": list(rules), "complex": list(rules)},
        )
    except RequestError:
        return
    assert names(order) == ["local"]
