"""The contract: written by a stack, read by everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet_spec.contract import FleetContract, RouterAddresses
from fleet_spec.errors import ContractError

pytestmark = pytest.mark.unit


def document(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "stack": "dev",
        "target": "local",
        "router": RouterAddresses.at("http://127.0.0.1:8080").model_dump(exclude_none=True),
        "models": {
            "assistant": {
                "model": "gemma3:270m",
                "engine": "llamacpp",
                "tier": "local",
                "contextLength": 2048,
                "parallel": 2,
                "capabilities": ["chat"],
                "endpoints": [{"url": "http://127.0.0.1:18101"}],
                "usdPerHour": 0.5,
            }
        },
        "aliases": {"default": {"assistant": 1.0}},
        "tiers": {},
        "budget": {"monthlyUsd": 1000.0, "softLimit": 0.8},
        "privacy": {},
        **changes,
    }


def within(part: Any, whole: Any) -> bool:
    """Whether everything that a document says is said by another, which may say more."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and within(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return len(part) == len(whole) and all(within(*pair) for pair in zip(part, whole, strict=True))
    return part == whole


def test_what_is_written_is_what_was_read() -> None:
    contract = FleetContract.parse(json.dumps(document()))
    written = json.loads(contract.to_json())
    assert FleetContract.from_mapping(written) == contract
    assert within(document(), written)
    assert written["privacy"]["default"] == "detect"


def test_a_newer_release_may_say_more_in_what_the_config_shares_with_the_contract() -> None:
    contract = FleetContract.from_mapping(document(routing={"queue": {"maxWaiting": 3, "jumps": True}}))
    assert contract.routing.queue.max_waiting == 3


def test_fields_of_a_newer_release_are_accepted_and_kept() -> None:
    newer = document(region="eu")
    newer["models"]["assistant"]["colour"] = "blue"
    contract = FleetContract.from_mapping(newer)
    assert contract.to_mapping()["region"] == "eu"
    assert contract.to_mapping()["models"]["assistant"]["colour"] == "blue"


@pytest.mark.parametrize("version", [2, 0, "1", 1.0, True, None])
def test_another_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(ContractError, match="version") as caught:
        FleetContract.from_mapping(document(version=version))
    assert repr(version) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "null"])
def test_what_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match=r"fleet\.json"):
        FleetContract.parse(text, source="fleet.json")


def test_missing_fields_are_all_named() -> None:
    broken = document()
    del broken["router"]
    broken["models"]["assistant"]["contextLength"] = 0
    with pytest.raises(ContractError) as caught:
        FleetContract.from_mapping(broken)
    assert "router" in str(caught.value)
    assert "contextLength" in str(caught.value)


def test_an_alias_of_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ContractError, match=r"aliases\.default\.gone"):
        FleetContract.from_mapping(document(aliases={"default": {"gone": 1}}))
