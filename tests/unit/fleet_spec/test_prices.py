"""What GPUs cost: the table, the stack's own word, own hardware, and what is wrong with a price."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_spec.errors import Problem, SpecError
from fleet_spec.gpus import GPUS
from fleet_spec.loading import load_spec
from fleet_spec.price_spec import OwnHardware, PricesSpec
from fleet_spec.prices.advice import cheapest_holding
from fleet_spec.prices.hourly import (
    cheapest_offer,
    decided_prices,
    gpu_price,
    own_hardware_usd_per_hour,
)
from fleet_spec.prices.table import load_price_table
from fleet_spec.prices.unit_prices import unit_price
from fleet_spec.sizing.estimate import MIB, MemoryEstimate

pytestmark = pytest.mark.unit


def prices(**raw: Any) -> PricesSpec:
    return PricesSpec.model_validate(raw)


def problems(**raw: Any) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        load_spec({"models": {"a": "gemma3:270m"}, **raw})
    return caught.value.problems


def test_every_figure_of_the_table_has_a_day_and_a_source() -> None:
    table = load_price_table()
    for provider in table.providers.values():
        assert provider.source.startswith("https://")
        assert provider.storage.source.startswith("https://")
        assert provider.date.year >= 2026
        for offer in provider.offers:
            assert (offer.source or provider.source).startswith("https://")
            assert offer.spot_usd_per_hour is None or offer.spot_usd_per_hour <= offer.usd_per_hour
    assert set(table.watts) == set(GPUS)


def test_commercial_prices_are_those_of_genai_prices() -> None:
    genai_prices = pytest.importorskip("genai_prices")
    for name, price in load_price_table().commercial.models.items():
        for kind in ("input", "output"):
            usage = genai_prices.Usage(**{f"{kind}_tokens": 1_000_000})
            found = genai_prices.calc_price(usage, name, provider_id=price.provider)
            assert float(found.total_price) == pytest.approx(getattr(price, f"{kind}_usd_per_million")), name


def test_a_replica_pays_for_its_share_of_a_machine() -> None:
    one = gpu_price(prices(provider="aws"), "nvidia-h100-80gb", gpus=1)
    four = gpu_price(prices(provider="aws"), "nvidia-h100-80gb", gpus=4)
    assert one is not None
    assert four is not None
    assert one.usd == pytest.approx(55.04 / 8)
    assert four.usd == pytest.approx(4 * one.usd)
    assert "p5.48xlarge at aws" in four.source
    assert "p5.4xlarge at aws" in one.source, "among equals the smaller machine"
    assert one.confirmed
    doubtful = gpu_price(prices(provider="azure"), "nvidia-h100-80gb")
    assert doubtful is not None
    assert not doubtful.confirmed


def test_spare_capacity_costs_less_where_it_was_seen() -> None:
    assert cheapest_offer("nvidia-l4", gpus=1, provider="aws", spot=True, table=load_price_table()) is not None
    usual = gpu_price(prices(provider="aws"), "nvidia-l4")
    spare = gpu_price(prices(provider="aws"), "nvidia-l4", spot=True)
    assert usual is not None
    assert spare is not None
    assert spare.usd < usual.usd
    assert gpu_price(prices(provider="aws", spot=False), "nvidia-l4", spot=True) == usual


def test_nobodys_price_is_not_zero() -> None:
    assert gpu_price(prices(provider="azure"), "amd-mi300x") is None
    assert gpu_price(prices(provider="aws"), "nvidia-t4", gpus=16) is None


def test_the_stacks_own_word_comes_first() -> None:
    said = gpu_price(prices(gpuHours={"nvidia-t4": 0.2}), "nvidia-t4", gpus=2)
    assert said is not None
    assert said.usd == pytest.approx(0.4)


def test_own_hardware_costs_depreciation_and_power() -> None:
    hardware = OwnHardware.model_validate({"usdPerGpu": 35_040, "years": 4, "usdPerKilowattHour": 0.2})
    assert own_hardware_usd_per_hour(hardware, watts=500) == pytest.approx(1.0 + 0.5 * 0.2)
    priced = gpu_price(prices(ownHardware={"nvidia-l4": {"usdPerGpu": 0, "usdPerKilowattHour": 1}}), "nvidia-l4")
    assert priced is not None
    assert priced.usd == pytest.approx(0.072), "the maker's board power where nothing is said"


@pytest.mark.parametrize(
    ("pool", "provider"),
    [
        ({"provisioner": "gkeComputeClass"}, "gcp"),
        ({"provisioner": "karpenter", "instanceTypes": ["x"], "azure": {}}, "azure"),
        ({}, "aws"),
    ],
)
def test_the_provider_is_whose_nodes_the_pools_are(pool: dict[str, Any], provider: str) -> None:
    spec = load_spec(
        {
            "target": "kubernetes",
            "models": {"a": "mistral:7b"},
            "gpuPools": {"p": {"gpuType": "nvidia-l4", **pool}},
            "router": {"image": "r.example.com/p:1.0"},
        }
    )
    assert decided_prices(spec).provider == provider
    assert unit_price(decided_prices(spec), "storage") is not None


def test_the_cheapest_gpus_that_hold_come_first_with_the_fewest_of_each() -> None:
    def needed(gpus: int) -> MemoryEstimate:
        return MemoryEstimate(30_000 * MIB, 0, gpus * 500 * MIB)

    found = cheapest_holding(needed, engine="ollama", prices=PricesSpec())
    assert [one.price.usd for one in found] == sorted(one.price.usd for one in found)
    by_gpu = {one.gpu: one.gpus for one in found}
    assert by_gpu["nvidia-l4"] == 2
    assert by_gpu["nvidia-l40s"] == 1


def test_every_wrong_price_is_found_at_once_with_the_nearest_name() -> None:
    found = problems(
        prices={
            "provider": "awz",
            "gpuHours": {"nvidia-l5": 1.0, "nvidia-l4": -1},
            "ownHardware": {"nvidia-l4": {"usdPerGpu": 1}},
            "compareWith": "gpt-4o-mni",
        }
    )
    fixes = {problem.key: f"{problem.message} {problem.fix}" for problem in found}
    assert "aws" in fixes["prices.provider"]
    assert "nvidia-l4" in fixes["prices.gpuHours.nvidia-l5"]
    assert any("-1 is no price" in str(problem) for problem in found)
    assert any("ownHardware as well" in str(problem) for problem in found)
    assert "gpt-4o-mini" in fixes["prices.compareWith"]


def test_a_load_of_a_model_that_is_not_there_is_found() -> None:
    (problem,) = problems(load={"models": {"b": {"requestsPerHour": 1}}})
    assert problem.key == "load.models.b"


def test_a_day_has_24_hours() -> None:
    (problem,) = problems(load={"requestsPerHour": [1, 2, 3]})
    assert "24" in problem.fix
