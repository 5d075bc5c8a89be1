"""Names, balance and health, without a network."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from agent_runtime.router.fleet_state import EndpointState, FleetState, ModelState
from agent_runtime.router.resolve import candidates
from fleet_spec.contract import FleetContract
from tests.unit.router.rig import contract

pytestmark = pytest.mark.unit


def fleet_of(data: dict[str, Any]) -> FleetState:
    fleet = FleetState()
    fleet.apply(FleetContract.from_mapping(data))
    return fleet


def endpoints(*ports: int) -> list[dict[str, str]]:
    return [{"url": f"http://127.0.0.1:{port}"} for port in ports]


FLEET = contract(
    {
        "assistant": {"model": "gemma3:270m", "endpoints": endpoints(1)},
        "coder": {"model": "codellama", "endpoints": endpoints(2)},
        "twin": {"model": "gemma3:270m", "endpoints": endpoints(3)},
    },
    {
        "default": {"assistant": 1},
        "coder": {"assistant": 1},
        "split": {"assistant": 9, "coder": 1},
        "off": {"coder": 0},
    },
)


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("default", ["assistant"]),
        ("default:latest", ["assistant"]),
        ("coder", ["assistant"]),  # an alias comes before a name of the fleet
        ("assistant", ["assistant"]),
        ("assistant:latest", ["assistant"]),
        ("gemma3:270m", ["assistant", "twin"]),
        ("codellama:latest", ["coder"]),
        ("split", ["assistant", "coder"]),
        ("off", []),
        ("gemma3", []),
        ("nothing", []),
    ],
)
def test_what_a_name_stands_for(name: str, models: list[str]) -> None:
    assert [model.name for model, _ in candidates(fleet_of(FLEET), name)] == models


def test_the_list_of_names_has_each_once_and_none_that_stands_for_nothing() -> None:
    assert fleet_of(FLEET).names() == ["default", "coder", "split", "assistant", "twin", "gemma3:270m", "codellama"]


def replicas(count: int) -> ModelState:
    fleet = fleet_of(contract({"m": {"endpoints": endpoints(*range(1, count + 1))}}))
    return fleet.models["m"]


def picked(model: ModelState, now: float = 0) -> EndpointState:
    replica = model.pick(now, frozenset())
    assert replica is not None
    return replica.endpoint


def test_the_replica_with_the_fewest_outstanding_requests_is_next() -> None:
    model = replicas(3)
    for endpoint, load in zip((replica.endpoint for replica in model.replicas), (4, 1, 2), strict=True):
        endpoint.outstanding = load
    assert picked(model).url.endswith(":2")


def test_equally_busy_replicas_take_turns() -> None:
    model = replicas(3)
    assert Counter(picked(model).url for _ in range(30)) == {replica.endpoint.url: 10 for replica in model.replicas}


def test_one_that_was_tried_is_not_tried_again() -> None:
    model = replicas(2)
    first = model.replicas[0].endpoint
    assert {model.pick(0, {first}) for _ in range(4)} == {model.replicas[1]}
    assert model.pick(0, {replica.endpoint for replica in model.replicas}) is None


def test_one_that_is_down_is_left_out_and_tried_gently_where_there_is_no_other() -> None:
    model = replicas(2)
    first, second = (replica.endpoint for replica in model.replicas)
    assert first.failed(10.0, "connection refused")
    assert {picked(model, 10.0) for _ in range(4)} == {second}
    second.failed(10.0, "connection refused")
    assert model.pick(10.1, frozenset()) is None
    assert picked(model, 11.0) in (first, second)
    first.outstanding = second.outstanding = 1
    assert model.pick(11.0, frozenset()) is None


def test_each_failure_doubles_the_pause_up_to_a_bound_and_an_answer_ends_it() -> None:
    endpoint = EndpointState("http://127.0.0.1:1", "llamacpp")
    pauses: list[float] = []
    for _ in range(2000):
        endpoint.failed(0.0, "refused")
        pauses.append(endpoint.next_try)
    assert pauses[:7] == [0.5, 1, 2, 4, 8, 15, 15]
    assert set(pauses[7:]) == {15}
    assert endpoint.succeeded(0.0, 10)
    assert endpoint.may_be_tried(0.0)
    assert not endpoint.succeeded(1.0, 10)


def test_a_new_contract_keeps_what_it_has_in_common_with_the_old_one() -> None:
    fleet = fleet_of(contract({"m": {"endpoints": endpoints(1, 2)}}))
    model = fleet.models["m"]
    kept, gone = (replica.endpoint for replica in model.replicas)
    kept.outstanding = 3
    model.active = 3
    change = fleet.apply(FleetContract.from_mapping(contract({"m": {"endpoints": endpoints(1, 3)}})))
    assert fleet.models["m"] is model
    assert model.replicas[0].endpoint is kept
    assert kept.outstanding == 3
    assert [endpoint.url for endpoint in change.added] == ["http://127.0.0.1:3"]
    assert change.removed == [gone]
    assert gone.removed
    assert not kept.removed


def tier_contract(name: str = "cloud", url: str = "https://api.example.com/base/", **entry: object) -> dict[str, Any]:
    model = {"model": "big", "engine": "openai", "tier": name, "contextLength": 8192, "endpoints": [{"url": url}]}
    return {
        **contract({"m": {"endpoints": endpoints(1)}}),
        "tiers": {name: {"secret": "key", "models": {"m": model | entry}}},
    }


def test_a_tiers_endpoint_has_its_own_path_name_and_key() -> None:
    fleet = FleetState({"key": "of-the-tier"}.get)
    fleet.apply(FleetContract.from_mapping(tier_contract()))
    endpoint = fleet.tiers["cloud"].models["m"].replicas[0].endpoint
    assert (endpoint.tls, endpoint.host, endpoint.port, endpoint.base_path) == (True, "api.example.com", 443, "/base")
    assert b"Authorization: Bearer of-the-tier\r\n" in endpoint.head_lines()
    assert b"Authorization" not in fleet.models["m"].replicas[0].endpoint.head_lines()
    assert fleet.names() == ["m", "tiny:1b"]


def test_the_same_address_in_two_tiers_is_two_endpoints() -> None:
    data = tier_contract(url="http://127.0.0.1:1", model="tiny:1b", engine="llamacpp")
    fleet = FleetState({"key": "of-the-tier"}.get)
    fleet.apply(FleetContract.from_mapping(data))
    local, cloud = fleet.models["m"].replicas[0].endpoint, fleet.tiers["cloud"].models["m"].replicas[0].endpoint
    assert local.url == cloud.url
    assert local is not cloud
    assert b"Authorization" not in local.head_lines()


def test_a_tier_that_leaves_the_contract_takes_its_endpoints_with_it() -> None:
    fleet = fleet_of(tier_contract())
    model = fleet.tiers["cloud"].models["m"]
    change = fleet.apply(FleetContract.from_mapping(contract({"m": {"endpoints": endpoints(1)}})))
    assert [endpoint.url for endpoint in change.removed] == ["https://api.example.com/base"]
    assert model.removed
    assert fleet.tiers == {}


def test_a_model_that_another_engine_answers_from_now_on_is_another_model() -> None:
    fleet = fleet_of(contract({"m": {"endpoints": endpoints(1)}}))
    old = fleet.models["m"]
    fleet.apply(FleetContract.from_mapping(contract({"m": {"engine": "ollama", "endpoints": endpoints(1)}})))
    assert fleet.models["m"] is not old
    assert old.removed


def test_models_of_one_ollama_share_its_endpoint() -> None:
    entry = {"engine": "ollama", "endpoints": endpoints(1)}
    fleet = fleet_of(contract({"a": {**entry, "model": "a:1b"}, "b": {**entry, "model": "b:1b"}}))
    assert fleet.models["a"].replicas[0].endpoint is fleet.models["b"].replicas[0].endpoint
