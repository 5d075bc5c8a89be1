"""Which replica gets a request."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.router.balancing.ring import position
from agent_runtime.router.fleet_state import FleetState, ModelState, Replica
from fleet_spec.contract import FleetContract
from tests.unit.router.rig import Talk, contract, eventually, openai_whole, running

pytestmark = pytest.mark.unit


def contract_of(count: int, balancing: str = "leastOutstanding", **entry: Any) -> dict[str, Any]:
    endpoints = [{"url": f"http://10.0.{number // 250}.{number % 250}:80"} for number in range(count)]
    return {**contract({"m": {"endpoints": endpoints, **entry}}), "routing": {"balancing": balancing}}


def model_of(count: int, balancing: str = "leastOutstanding", **entry: Any) -> ModelState:
    fleet = FleetState()
    fleet.apply(FleetContract.from_mapping(contract_of(count, balancing, **entry)))
    return fleet.models["m"]


def send(replica: Replica | None) -> Replica:
    """Count a request in, as an exchange does."""
    assert replica is not None
    replica.sent += 1
    replica.model.sent += 1
    replica.endpoint.outstanding += 1
    return replica


def finish(replica: Replica) -> None:
    replica.sent -= 1
    replica.model.sent -= 1
    replica.endpoint.outstanding -= 1


def keys(count: int) -> list[int]:
    return [position(f"conversation {number}") for number in range(count)]


# What belongs together


def test_the_same_beginning_goes_to_the_same_replica() -> None:
    model = model_of(8, "prefix")
    for key in keys(50):
        first = send(model.admit(0, key))
        finish(first)
        again = send(model.admit(0, key))
        finish(again)
        assert again is first


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(1, 300), st.integers(1, 4))
def test_no_replica_gets_more_than_its_bound_however_popular_one_beginning_is(
    count: int, requests: int, parallel: int
) -> None:
    model = model_of(count, "prefix", parallel=parallel)
    for _ in range(requests):
        send(model.admit(0, 7))
        bound = max(parallel, -(-5 * model.sent // (4 * count)))
        assert max(replica.sent for replica in model.replicas) <= bound


def test_what_does_not_fit_goes_to_the_next_one_on_the_ring_and_comes_back() -> None:
    model = model_of(5, "prefix", parallel=2)
    home = send(model.admit(0, 7))
    assert send(model.admit(0, 7)) is home
    elsewhere = send(model.admit(0, 7))
    assert elsewhere is not home
    assert send(model.admit(0, 7)) is elsewhere
    finish(home)
    assert model.admit(0, 7) is home


def test_a_replica_that_comes_takes_only_its_share() -> None:
    fleet = FleetState()
    fleet.apply(FleetContract.from_mapping(contract_of(9, "prefix")))
    model = fleet.models["m"]
    before = {key: model.admit(0, key) for key in keys(1000)}
    fleet.apply(FleetContract.from_mapping(contract_of(10, "prefix")))
    after = {key: model.admit(0, key) for key in keys(1000)}
    moved = [key for key in before if before[key] is not after[key]]
    assert {after[key] for key in moved} == {model.replicas[9]}
    assert len(moved) < 200


def test_a_replica_that_is_down_loses_its_own_to_its_neighbours_and_gets_them_back() -> None:
    model = model_of(6, "prefix")
    before = {key: model.admit(0, key) for key in keys(200)}
    victim = model.replicas[2]
    victim.endpoint.failed(0, "connection refused")
    for key, replica in before.items():
        now_at = model.admit(0.1, key)
        assert now_at is not victim
        assert replica is victim or now_at is replica
    victim.endpoint.succeeded(1, 10)
    assert {key: model.admit(1, key) for key in before} == before


def test_a_session_is_kept_together_by_every_way_of_balancing() -> None:
    for balancing in ("leastOutstanding", "latency", "prefix"):
        model = model_of(8, balancing)
        key = model.affinity("alice", {"messages": []})
        assert len({model.admit(0, key) for _ in range(20)}) == 1
    assert model_of(8).affinity("", {"prompt": "Hello"}) is None
    assert model_of(8, "prefix").affinity("", {"prompt": "Hello"}) is not None
    assert model_of(1, "prefix").affinity("alice", {"prompt": "Hello"}) is None


# Time and load


def test_the_quicker_replica_gets_more_until_it_is_busier() -> None:
    model = model_of(2, "latency")
    quick, slow = model.replicas
    quick.times.observe(0.1, now=0)
    slow.times.observe(0.35, now=0)
    chosen = [send(model.admit(0)) for _ in range(8)]
    assert Counter(chosen) == {quick: 6, slow: 2}


def test_many_replicas_stay_in_balance() -> None:
    model = model_of(2000)
    for _ in range(20_000):
        send(model.admit(0))
    assert max(replica.sent for replica in model.replicas) <= 15


def test_an_endpoint_gets_no_more_than_its_slots_allow() -> None:
    data = contract_of(3, parallel=2)
    data["routing"]["queue"] = {"maxActivePerSlot": 3}
    fleet = FleetState()
    fleet.apply(FleetContract.from_mapping(data))
    model = fleet.models["m"]
    for _ in range(18):
        send(model.admit(0))
    assert {replica.sent for replica in model.replicas} == {6}
    assert model.admit(0) is None
    assert model.may_wait(0)


# Through the router


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole())


async def test_a_conversation_stays_where_its_beginning_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, *[whole] * 4) as rig:
        data = contract({"m": {"endpoints": [{"url": engine.url} for engine in rig.engines]}})
        rig.write_contract({**data, "routing": {"balancing": "prefix"}})
        await eventually(lambda: rig.router.fleet.models["m"].balancing == "prefix")
        homes: set[str] = set()
        for number in range(12):
            said = [{"role": "user", "content": f"Tell me about {number}."}]
            seen: set[str] = set()
            for turn in range(3):
                reply = await rig.completion(messages=said)
                seen.add(reply.headers["x-paddock-endpoint"])
                said += [{"role": "assistant", "content": "Well."}, {"role": "user", "content": f"And {turn}?"}]
            assert len(seen) == 1
            homes |= seen
        assert len(homes) > 1


@pytest.mark.parametrize("how", ["header", "user"])
async def test_a_session_stays_at_one_replica(tmp_path: Path, how: str) -> None:
    async with running(tmp_path, *[whole] * 4) as rig:
        homes: set[str] = set()
        for name in ("alice", "bob", "carol", "dave", "erin", "frank"):
            said: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
            headers = {"X-Paddock-Session": name} if how == "header" else {}
            said |= {"user": name} if how == "user" else {}
            replies = [await rig.client.post("/v1/chat/completions", json=said, headers=headers) for _ in range(4)]
            seen = {reply.headers["x-paddock-endpoint"] for reply in replies}
            assert len(seen) == 1
            homes |= seen
        assert len(homes) > 1


async def test_the_router_learns_which_replica_is_quick(tmp_path: Path) -> None:
    async def slow(talk: Talk) -> None:
        await asyncio.sleep(0.2)
        await whole(talk)

    async with running(tmp_path, whole, slow) as rig:
        data = contract({"m": {"endpoints": [{"url": engine.url} for engine in rig.engines]}})
        rig.write_contract({**data, "routing": {"balancing": "latency"}})
        await eventually(lambda: rig.router.fleet.models["m"].balancing == "latency")
        for _ in range(20):
            await rig.completion()
        assert len(rig.engines[1].asked) <= 3
