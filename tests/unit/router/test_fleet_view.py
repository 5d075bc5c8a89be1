"""What the router shows of its fleet."""

from __future__ import annotations

import pytest

from agent_runtime.router.exposition import exposed
from agent_runtime.router.fleet_state import FleetState
from agent_runtime.router.fleet_view import families, status
from fleet_spec.contract import FleetContract
from tests.unit.router.rig import contract

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:1"


class Somebody:
    def displaced(self) -> None:
        """Not in this test."""

    def place_found(self, replica: object) -> None:
        """Not in this test."""

    def reconsider(self) -> None:
        """Not in this test."""


@pytest.fixture
def fleet() -> FleetState:
    made = FleetState()
    data = contract({"m": {"endpoints": [{"url": URL}]}, "n": {"endpoints": [{"url": "http://x:2", "discover": True}]}})
    entry = {**data["models"]["m"], "engine": "openai", "tier": "cloud"}
    made.apply(FleetContract.from_mapping({**data, "tiers": {"cloud": {"models": {"m": entry}}}}))
    return made


def test_metrics_tell_queues_and_breakers_of_every_tier(fleet: FleetState) -> None:
    model = fleet.models["m"]
    model.active = 3
    model.line.join(Somebody(), "normal", places=5)
    for _ in range(5):
        model.replicas[0].breaker.failed(10.0, "answered 500")
    lines = exposed(families(fleet, 10.0)).splitlines()
    assert 'paddock_queue_waiting_requests{model="m",tier="local"} 1' in lines
    assert 'paddock_model_active_requests{model="m",tier="local"} 3' in lines
    assert f'paddock_breaker_state{{model="m",tier="local",endpoint="{URL}",state="open"}} 1' in lines
    assert f'paddock_breaker_state{{model="m",tier="cloud",endpoint="{URL}",state="closed"}} 1' in lines
    assert 'paddock_name_lookup_failed{host="x",port="2"} 0' in lines


def test_the_status_says_why_an_endpoint_gets_nothing(fleet: FleetState) -> None:
    fleet.models["m"].replicas[0].endpoint.failed(0, "connection refused")
    fleet.tiers["cloud"].models["m"].replicas[0].breaker.pause(60, "answered 429")
    said = status(fleet, 1.0)
    local, nameless, cloud = said["models"]
    assert local["endpoints"][0]["problem"] == "connection refused"
    assert local["endpoints"][0]["health"] == "down"
    assert nameless["endpoints"] == []
    assert cloud["endpoints"][0]["breaker"] == "open"
    assert cloud["endpoints"][0]["problem"] == "answered 429"
    assert said["names"] == [{"host": "x", "port": 2, "addresses": None, "problem": None}]
