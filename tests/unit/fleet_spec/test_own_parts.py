"""The fleet's own parts ask for what their manifests say, so that what they cost is what they take."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_spec.loading import load_spec
from fleet_spec.own_parts import own_parts
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.unit_prices import UNITS, unit_price
from fleet_spec.quantities import amount
from tests.unit.policies.fleet import CONFIG, container, good_fleet, one_of

pytestmark = pytest.mark.unit
WORKLOADS = {
    "router": ("Deployment", "router"),
    "web UI": ("Deployment", "web-ui"),
    "Valkey": ("StatefulSet", "valkey"),
}


def test_they_request_what_is_reckoned() -> None:
    manifests, _ = good_fleet()
    parts = {part.name: part for part in own_parts(load_spec(CONFIG))}
    assert set(parts) == {*WORKLOADS, "ingress"}
    for name, (kind, begins) in WORKLOADS.items():
        asked: dict[str, Any] = container(one_of(manifests, kind, begins))["resources"]["requests"]
        assert (parts[name].cpus, parts[name].memory_gib) == (amount(asked["cpu"]), amount(asked["memory"]) / 2**30)
    scaler = next(
        one for one in manifests if one["kind"] == "HorizontalPodAutoscaler" and "router" in one["metadata"]["name"]
    )
    router = parts["router"]
    assert (router.least_replicas, router.most_replicas) == (
        scaler["spec"]["minReplicas"],
        scaler["spec"]["maxReplicas"],
    )


def test_a_machine_that_is_there_anyway_pays_for_none() -> None:
    assert own_parts(load_spec({"models": {"a": "gemma3:270m"}})) == ()


@pytest.mark.parametrize("unit", UNITS)
def test_a_stacks_own_price_wins_over_the_table_and_no_provider_gives_none(unit: Any) -> None:
    own = PricesSpec.model_validate(
        {
            "provider": "aws",
            "cpuCoreUsdPerHour": 7,
            "memoryUsdPerGibHour": 7,
            "storageUsdPerGibMonth": 7,
            "loadBalancerUsdPerHour": 7,
        }
    )
    said, listed = unit_price(own, unit), unit_price(PricesSpec(provider="aws"), unit)
    assert said is not None
    assert (said.usd, said.confirmed) == (7, True)
    assert listed is not None
    assert 0 < listed.usd < 1
    assert unit_price(PricesSpec(), unit) is None
