"""What a model costs in a month, and what its tokens cost beside a commercial API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_spec.catalogue import load_catalogue
from fleet_spec.cost import Commercial, Occupation, monthly_cost, token_cost, total
from fleet_spec.fleet_cost import FleetCosts
from fleet_spec.governance_spec import TokenPrice
from fleet_spec.gpus import GPUS
from fleet_spec.load import Capacity, replicas_over_a_day, throughput_bound
from fleet_spec.loading import load_spec
from fleet_spec.price_spec import LoadProfile, LoadSpec
from fleet_spec.prices.hourly import HourlyPrice
from fleet_spec.sizing.weights import gguf_bytes

pytestmark = pytest.mark.unit


def profile(**raw: Any) -> LoadProfile:
    return LoadProfile.model_validate(raw)


def occupation(**changes: Any) -> Occupation:
    fields: dict[str, Any] = {"least_replicas": 1, "most_replicas": 4, "price": HourlyPrice(1.0, "said"), **changes}
    return Occupation(**fields)


COMMERCIAL = Commercial("api", TokenPrice.model_validate({"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 4.0}))


def test_a_month_has_730_hours_of_every_replica_and_its_storage() -> None:
    cost = monthly_cost(occupation(storage_gib_per_replica=100.0, usd_per_gib_month=0.1))
    assert (cost.least_usd, cost.most_usd) == (pytest.approx(740), pytest.approx(2960))
    assert (cost.storage_least_usd, cost.storage_most_usd) == (pytest.approx(10), pytest.approx(40))
    assert cost.expected_usd is None, "nobody said what is asked"


def test_what_nobody_knows_is_not_zero() -> None:
    assert monthly_cost(occupation(price=None)).most_usd is None
    assert monthly_cost(occupation(storage_gib_shared=1.0)).least_usd is None
    assert monthly_cost(occupation(price=None, least_replicas=0)).least_usd == 0
    assert total([1.0, None]) is None


def test_the_expected_month_follows_the_hours_of_the_day() -> None:
    # 100 tokens/s and 100 tokens an answer: 3,600 requests an hour and replica.
    hours = [0.0] * 12 + [3600.0 * 3] * 12
    capacity = Capacity(100.0, profile(requestsPerHour=hours, outputTokens=100))
    cost = monthly_cost(occupation(capacity=capacity))
    assert cost.expected_usd == pytest.approx(730 * (1 * 12 + 3 * 12) / 24)


def test_more_than_there_may_be_is_told() -> None:
    capacity = Capacity(100.0, profile(requestsPerHour=3600 * 9, outputTokens=100))
    day = replicas_over_a_day(capacity, 1, 4)
    assert day is not None
    assert (day.mean, day.overloaded_hours) == (4, 24)


def test_break_even_is_where_the_replica_costs_what_the_api_asks() -> None:
    capacity = Capacity(100.0, profile(requestsPerHour=100, inputTokens=500, outputTokens=100))
    tokens = token_cost(occupation(capacity=capacity, least_replicas=2), COMMERCIAL)
    assert tokens is not None
    asked = (500 * 1.0 + 100 * 4.0) / 1e6
    assert tokens.break_even_requests_per_hour == pytest.approx(2 * 1.0 / asked)
    assert tokens.usd_per_million_when_busy == pytest.approx(1.0 / (3600 * 600) * 1e6)
    assert tokens.commercial_usd_per_million == pytest.approx(asked / 600 * 1e6)
    assert tokens.usd_per_million_expected == pytest.approx(2 * 730 / (100 * 730 * 600) * 1e6)


def test_where_even_a_busy_replica_costs_more_there_is_no_break_even() -> None:
    capacity = Capacity(1.0, profile(inputTokens=500, outputTokens=100))
    tokens = token_cost(occupation(capacity=capacity), COMMERCIAL)
    assert tokens is not None
    assert tokens.break_even_requests_per_hour is None
    assert tokens.usd_per_million_when_busy > tokens.commercial_usd_per_million


@given(
    least=st.integers(0, 5),
    more=st.integers(0, 5),
    usd=st.floats(0, 100),
    requests=st.floats(0, 1e6),
    speed=st.floats(0.1, 1e5),
)
def test_the_expected_month_lies_between_the_least_and_the_most(
    least: int, more: int, usd: float, requests: float, speed: float
) -> None:
    capacity = Capacity(speed, profile(requestsPerHour=requests))
    taken = occupation(
        least_replicas=least,
        most_replicas=least + more,
        price=HourlyPrice(usd, "said"),
        capacity=capacity,
        storage_gib_per_replica=10.0,
        usd_per_gib_month=0.1,
    )
    cost = monthly_cost(taken)
    assert cost.least_usd is not None
    assert cost.expected_usd is not None
    assert cost.most_usd is not None
    assert cost.least_usd <= cost.expected_usd + 1e-6
    assert cost.expected_usd <= cost.most_usd + 1e-6


def test_a_model_takes_what_it_leaves_out_from_the_fleets_load() -> None:
    load = LoadSpec.model_validate(
        {"requestsPerHour": 10, "outputTokens": 50, "models": {"a": {"outputTokens": 5, "requestsPerHour": [1] * 24}}}
    )
    assert (load.of("a").output_tokens, load.of("a").hours) == (5, (1.0,) * 24)
    assert (load.of("b").output_tokens, load.of("b").hours) == (50, (10.0,) * 24)
    assert load.of("a").input_tokens == load.input_tokens


@given(parallel=st.integers(1, 64), context=st.integers(0, 8192), more=st.integers(1, 64))
def test_more_at_a_time_is_never_less_in_all_and_never_more_for_each(parallel: int, context: int, more: int) -> None:
    model = load_catalogue().get("llama3.1:8b")
    read = gguf_bytes(model, "Q4_K_M")

    def bound(requests: int) -> float:
        return throughput_bound(
            model.architecture, read, gpu=GPUS["nvidia-l4"], gpus=1, parallel=requests, context_tokens=context
        )

    assert bound(parallel + more) >= bound(parallel)
    assert bound(parallel + more) / (parallel + more) <= bound(parallel) / parallel + 1e-9


def fleet(**changes: Any) -> FleetCosts:
    raw = {
        "target": "kubernetes",
        "models": {"a": {"model": "mistral:7b", "gpu": "nvidia-l4"}},
        "gpuPools": {"p": {"gpuType": "nvidia-l4"}},
        "router": {"image": "r.example.com/p:1.0"},
        "valkey": {"mode": "none"},
        "prices": {
            "gpuHours": {"nvidia-l4": 1.0},
            "storageUsdPerGibMonth": 0.1,
            "cpuCoreUsdPerHour": 0,
            "memoryUsdPerGibHour": 0,
        },
        **changes,
    }
    return FleetCosts(load_spec(raw))


@pytest.mark.parametrize(
    ("storage", "gib"),
    [
        ({"mode": "perReplica", "size": "100Gi"}, (100.0, 0.0)),
        ({"mode": "ephemeral", "size": "50Gi"}, (50.0, 0.0)),
        ({"mode": "shared", "size": "1Ti", "storageClass": "nfs"}, (0.0, 1024.0)),
    ],
)
def test_storage_is_counted_as_it_is_kept(storage: dict[str, Any], gib: tuple[float, float]) -> None:
    taken = fleet(storage=storage).occupation("a")
    assert (taken.storage_gib_per_replica, taken.storage_gib_shared) == gib


def test_a_slice_of_a_gpu_costs_its_share() -> None:
    model = {"model": "mistral:7b", "gpu": {"type": "nvidia-l4", "migProfile": "2g.10gb"}}
    price = fleet(models={"a": model}).occupation("a").price
    assert price is not None
    assert price.usd == pytest.approx(2 / 7)


def test_the_models_own_price_wins() -> None:
    model = {"model": "mistral:7b", "gpu": "nvidia-l4", "usdPerHour": 7}
    assert fleet(models={"a": model}).occupation("a").price == HourlyPrice(7.0, "the model's usdPerHour")


def test_the_fleets_own_parts_count_too() -> None:
    costs = fleet(valkey={"size": "10Gi"}, webUi={"enabled": True, "size": "30Gi"})
    assert {one.part.name: one.cost.most_usd for one in costs.parts()} == {"router": 0, "web UI": 3.0, "Valkey": 1.0}
    assert costs.most_monthly_usd() == pytest.approx(730 + 10 + 4)


def test_a_cluster_without_gpus_has_no_known_cost_until_somebody_says() -> None:
    models = {"a": "mistral:7b"}
    assert fleet(models=models, gpuPools={}, prices={}).most_monthly_usd() is None
    assert fleet(models=models, gpuPools={}, prices={"cpuUsdPerHour": 0.1}).most_monthly_usd() is not None


def test_this_machine_adds_no_bill() -> None:
    assert FleetCosts(load_spec({"models": {"a": "gemma3:270m"}})).most_monthly_usd() == 0
