"""What tokens cost: said, published, by the hour, flat, and never nothing for want of knowledge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.money.prices import Price, flat_price, hourly_price, price_of, said_price
from agent_runtime.router.money.throughput import Throughput
from agent_runtime.router.money.tokens import estimated_usage, most_completion_tokens, most_prompt_tokens
from fleet_spec.contract import FleetContract, ModelEndpoints
from fleet_spec.governance_spec import TokenPrice
from tests.unit.router.money.fleet import contract


def commercial(found: FleetContract) -> ModelEndpoints:
    return found.tiers["commercial"].models["assistant"]


def test_the_contract_comes_before_the_price_table() -> None:
    entry = commercial(contract(commercial_url="https://api.openai.com", commercial_model="gpt-4o-mini"))
    price = price_of(entry)
    assert price is not None
    assert (price.input_usd_per_million, price.source) == (1.0, "the contract")


@pytest.mark.parametrize("url", ["https://api.openai.com", "https://api.openai.com/v1", "https://api.openai.com/"])
def test_the_price_table_knows_a_model_by_its_address_and_name(url: str) -> None:
    price = price_of(commercial(contract(price={}, commercial_url=url, commercial_model="gpt-4o-mini")))
    assert price is not None
    assert 0 < price.cached_input_usd_per_million < price.input_usd_per_million < price.output_usd_per_million
    assert "gpt-4o-mini" in price.source


def test_a_price_of_long_prompts_holds_for_all_of_the_request() -> None:
    entry = commercial(
        contract(
            price={}, commercial_url="https://generativelanguage.googleapis.com", commercial_model="gemini-2.5-pro"
        )
    )
    price = price_of(entry)
    assert price is not None
    ((start, above),) = price.above
    assert above.input_usd_per_million > price.input_usd_per_million
    below_usd = price.cost_nano_usd(start, 0) / 1e9
    beyond_usd = price.cost_nano_usd(start + 1, 0) / 1e9
    assert below_usd == pytest.approx(start * price.input_usd_per_million / 1e6)
    assert beyond_usd == pytest.approx((start + 1) * above.input_usd_per_million / 1e6)
    assert price.highest().input_usd_per_million == above.input_usd_per_million


def test_the_flat_price_is_the_last_resort_and_without_it_a_price_is_unknown() -> None:
    unknown = commercial(contract(price={}))
    assert price_of(unknown) is None
    flat = price_of(unknown, flat_usd_per_thousand_tokens=0.03)
    assert flat is not None
    assert flat.cost_nano_usd(600, 400) == 30_000_000


def test_hours_become_tokens_at_the_throughput_that_was_measured_then_said_then_taken_for_granted() -> None:
    found = contract(usd_per_hour=0.5)
    own = price_of(found.models["assistant"])
    said = price_of(found.tiers["cloud"].models["assistant"].model_copy(update={"tokens_per_second": 200.0}))
    measured = price_of(found.tiers["cloud"].models["assistant"], tokens_per_second=50.0)
    assert own is not None
    assert said is not None
    assert measured is not None
    # The reference: 0.50 USD an hour at about 100 tokens/s; 0.80 USD in the cloud.
    assert own.output_usd_per_million == pytest.approx(0.5 / 3600 / 100 * 1e6)
    assert said.output_usd_per_million == pytest.approx(0.8 / 3600 / 200 * 1e6)
    assert measured.output_usd_per_million == pytest.approx(0.8 / 3600 / 50 * 1e6)


def test_a_replica_that_is_never_idle_charges_its_hours() -> None:
    an_hour_of_tokens = 3600 * 80
    assert hourly_price(0.5, 80.0).cost_nano_usd(0, an_hour_of_tokens) == 500_000_000


def test_own_hours_that_nobody_priced_cost_nothing() -> None:
    price = price_of(contract(usd_per_hour=None).models["assistant"])
    assert price is not None
    assert price.cost_nano_usd(1000, 1000) == 0


def test_cached_prompt_tokens_have_their_own_price() -> None:
    price = said_price(
        TokenPrice.model_validate(
            {"inputUsdPerMillion": 2.0, "outputUsdPerMillion": 8.0, "cachedInputUsdPerMillion": 0.5}
        )
    )
    assert price.cost_nano_usd(1000, 100, cached_tokens=400) == (600 * 2 + 400 * 0.5 + 100 * 8) * 1000


COUNT = st.integers(0, 2_000_000)
DOLLARS = st.floats(0, 500, allow_nan=False)


@given(DOLLARS, DOLLARS, DOLLARS, DOLLARS, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_a_reservation_of_as_many_tokens_always_covers_the_request(
    asked: float,
    written: float,
    cached: float,
    dearer: float,
    prompt: int,
    more: int,
    answer: int,
    longer: int,
    hit: int,
) -> None:
    price = Price(asked, written, cached, "", above=((200_000, Price(dearer, written + dearer, cached, "")),))
    reserved = price.highest().cost_nano_usd(prompt + more, answer + longer)
    assert reserved >= price.cost_nano_usd(prompt, answer, min(hit, prompt))


@given(COUNT)
def test_a_whole_price_has_no_fraction_of_its_own(tokens: int) -> None:
    assert flat_price(0.03).cost_nano_usd(tokens, 0) == tokens * 30_000


def test_bounds_before_a_request() -> None:
    assert most_prompt_tokens(400, 8192) == 464
    assert most_prompt_tokens(1_000_000, 8192) == 8192
    assert most_completion_tokens(None, 8192) == 8192
    assert most_completion_tokens(-1, 8192) == 8192, "Ollama's num_predict for no limit"
    assert most_completion_tokens(100, 8192, choices=3) == 300


def test_estimates_after_one_that_nobody_counted() -> None:
    whole = estimated_usage(401, 400, streamed=False)
    assert (whole.prompt_tokens, whole.completion_tokens) == (101, 100)
    streamed = estimated_usage(0, 1201, streamed=True)
    assert streamed.completion_tokens == 11


def test_throughput_says_nothing_before_it_has_seen_enough_and_follows_what_changes() -> None:
    throughput = Throughput()
    throughput.add(100, 1.0)
    assert throughput.tokens_per_second() is None
    throughput.add(0, 5.0)
    throughput.add(900, 9.0)
    assert throughput.tokens_per_second() == pytest.approx(100, rel=0.01)
    for _ in range(1000):
        throughput.add(50, 5.0)
    assert throughput.tokens_per_second() == pytest.approx(10, rel=0.01)
