"""What one tier cannot answer another does, and the client sees nothing of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.router.balancing.retry_budget import RetryBudget
from agent_runtime.router.fleet_state import Replica
from tests.unit.router.rig import QUICK, Script, Talk, contract, eventually, openai_chunk, openai_whole, running, sse
from tests.unit.router.tiers import SECRET, tiered

pytestmark = pytest.mark.unit

CLOUD_FIRST = {"routine": ["cloud", "commercial", "local"]}


def says(text: str) -> Script:
    async def script(talk: Talk) -> None:
        await talk.reply(openai_whole(text))

    return script


def refuses(status: str, headers: str = "") -> Script:
    async def script(talk: Talk) -> None:
        await talk.reply({"error": {"message": "not with this key of yours: sk-abc"}}, status=status, headers=headers)

    return script


async def hangs_up(talk: Talk) -> None:
    await talk.hang_up()


async def breaks_off(talk: Talk) -> None:
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await talk.hang_up()


def stays_open(replica: Replica) -> None:
    """The breaker is open, and does not half-open by itself as long as the test lasts."""
    assert replica.breaker.open_until is not None
    replica.breaker.open_until += 3600


async def test_a_tier_is_asked_by_its_own_name_path_and_key(tmp_path: Path) -> None:
    async with tiered(tmp_path, local=hangs_up, routing=CLOUD_FIRST, path="/base", cloud=says("Hi")) as (rig, engines):
        reply = await rig.completion()
        assert reply.status_code == 200
        asked = engines["cloud"].asked[0]
        assert asked.path == "/base/v1/chat/completions"
        assert asked.json["model"] == "cloud-model"
        assert f"Authorization: Bearer {SECRET}-cloud\r\n".encode() in asked.head
        assert f"Host: 127.0.0.1:{engines['cloud'].port}\r\n".encode() in asked.head
        assert b"User-Agent: paddock\r\n" in asked.head


async def test_a_tiers_key_is_nowhere_to_be_seen_and_a_new_one_is_used_at_once(tmp_path: Path) -> None:
    async with tiered(tmp_path, local=says("Hi"), routing=CLOUD_FIRST, cloud=says("Hi")) as (rig, engines):
        first = await rig.completion()
        rig.router.fleet.secrets = {"tier-cloud": "another"}.get
        await rig.completion()
        assert b"Authorization: Bearer another\r\n" in engines["cloud"].asked[1].head
        rig.router.fleet.secrets = {"tier-cloud": "smuggled\r\nX-Evil: 1"}.get
        await rig.completion()
        assert b"Authorization" not in engines["cloud"].asked[2].head
        assert b"Evil" not in engines["cloud"].asked[2].head
        await rig.completion()
        everything = json.dumps(rig.log()) + (await rig.client.get("/metrics")).text + str(first.headers)
        assert SECRET not in everything
        endpoint = rig.router.fleet.tiers["cloud"].models["m"].replicas[0].endpoint
        assert SECRET not in repr(endpoint)


@pytest.mark.parametrize(
    "broken",
    [
        hangs_up,
        breaks_off,
        refuses("401 Unauthorized"),
        refuses("402 Payment Required"),
        refuses("403 Forbidden"),
        refuses("404 Not Found"),
        refuses("429 Too Many Requests"),
        refuses("500 Internal Server Error"),
        refuses("503 Service Unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_a_tier_cannot_answer_the_next_one_does(tmp_path: Path, broken: Script, stream: bool) -> None:
    async with tiered(tmp_path, local=says("local"), routing=CLOUD_FIRST, cloud=broken, commercial=broken) as (rig, _):
        reply = await (rig.completion() if not stream else rig.chat(stream=False))
        assert reply.status_code == 200
        assert "local" in reply.text
        assert "sk-abc" not in str(reply.headers) + reply.text
        assert reply.headers["x-paddock-attempts"] == "3"
        assert len(rig.events("attempt_ended")) == 2


@pytest.mark.parametrize(("status", "told"), [("401 Unauthorized", 502), ("429 Too Many Requests", 503)])
async def test_the_last_tiers_refusal_is_told_in_our_words(tmp_path: Path, status: str, told: int) -> None:
    rules = {"routine": ["commercial"]}
    async with tiered(tmp_path, local=says("Hi"), routing=rules, commercial=refuses(status)) as (rig, _):
        reply = await rig.completion()
        assert reply.status_code == told
        assert reply.json()["error"]["message"] == f"the commercial tier answered {status[:3]}"
        assert reply.json()["error"]["code"] == "tier_unavailable"
        assert int(reply.headers["retry-after"]) >= 1


async def test_what_the_client_did_wrong_is_not_tried_elsewhere(tmp_path: Path) -> None:
    async with tiered(
        tmp_path, local=says("Hi"), routing=CLOUD_FIRST, cloud=refuses("400 Bad Request"), commercial=says("Hi")
    ) as (rig, engines):
        assert (await rig.completion()).status_code == 400
        assert engines["commercial"].asked == []


async def test_a_tier_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    busy = refuses("429 Too Many Requests", "Retry-After: 60\r\n")
    async with tiered(tmp_path, local=says("local"), routing=CLOUD_FIRST, cloud=busy) as (rig, engines):
        for _ in range(4):
            assert "local" in (await rig.completion()).text
        assert len(engines["cloud"].asked) == 1
        assert rig.events("endpoint_down") == []


async def test_a_tier_that_fails_again_and_again_is_left_alone_and_comes_back(tmp_path: Path) -> None:
    well = False

    async def sick(talk: Talk) -> None:
        await (says("cloud") if well else refuses("500 Internal Server Error"))(talk)

    async with tiered(tmp_path, local=says("local"), routing=CLOUD_FIRST, cloud=sick) as (rig, engines):
        replica = rig.router.fleet.tiers["cloud"].models["m"].replicas[0]
        for _ in range(5):
            assert "local" in (await rig.completion()).text
        stays_open(replica)
        for _ in range(3):
            assert "local" in (await rig.completion()).text
        assert len(engines["cloud"].asked) == 5
        assert rig.events("breaker_open")[0]["problem"].endswith("answered 500")
        well = True
        now = rig.router.loop.time()
        assert replica.breaker.open_until is not None
        replica.breaker.open_until = now
        assert replica.breaker.state(now) == "half_open"
        assert "cloud" in (await rig.completion()).text


async def test_an_api_that_is_paid_for_is_not_asked_for_its_health(tmp_path: Path) -> None:
    async with tiered(tmp_path, local=says("Hi"), cloud=says("Hi"), commercial=says("Hi")) as (rig, engines):
        local, commercial = rig.router.fleet.models["m"], rig.router.fleet.tiers["commercial"].models["m"]
        await eventually(lambda: local.replicas[0].endpoint.health == "up")
        await eventually(lambda: engines["cloud"].probes)
        assert engines["commercial"].connections == 0
        assert commercial.replicas[0].endpoint.health == "unknown"


async def test_nothing_of_a_tiers_head_but_the_type_of_its_answer_is_passed_on(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.reply(openai_whole(), headers="Set-Cookie: a=b\r\nOpenAI-Organization: us\r\nX-Request-Id: 7\r\n")

    async with tiered(tmp_path, local=says("Hi"), routing=CLOUD_FIRST, cloud=script) as (rig, _):
        headers = (await rig.completion()).headers
        assert headers["content-type"] == "application/json"
        assert not {"set-cookie", "openai-organization", "x-request-id"} & set(headers)


async def test_what_the_client_has_seen_a_part_of_is_not_begun_again(tmp_path: Path) -> None:
    async def half(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(openai_chunk(content="Hi")))
        await talk.hang_up()

    async with tiered(tmp_path, local=says("local"), routing=CLOUD_FIRST, cloud=half) as (rig, engines):
        text = (await rig.completion(stream=True)).text
        assert "upstream_error" in text
        assert engines["local"].asked == []


async def test_a_sick_fleet_is_not_asked_twice_as_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, refuses("503 Service Unavailable"), says("Hi")) as rig:
        model, now = rig.router.fleet.models["m"], rig.router.loop.time()
        may_retry = RetryBudget.may_retry
        # With time, more retries come: here none passes, however long the requests take.
        monkeypatch.setattr(RetryBudget, "may_retry", lambda budget, _now: may_retry(budget, now))
        while model.retries.may_retry(now):
            pass
        statuses = [(await rig.completion()).status_code for _ in range(8)]
        # Every fifth of these requests may be tried again.
        assert statuses.count(503) >= 2
        assert len(rig.engines[0].asked) + len(rig.engines[1].asked) <= len(statuses) + 2


async def test_requests_in_flight_are_counted_where_they_are(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await gate.wait()
        await talk.reply(openai_whole())

    async with tiered(tmp_path, local=slow, routing=CLOUD_FIRST, cloud=refuses("500 Oh")) as (rig, engines):
        local, cloud = rig.router.fleet.models["m"], rig.router.fleet.tiers["cloud"].models["m"]
        task = asyncio.ensure_future(rig.completion())
        await eventually(lambda: engines["local"].asked)
        assert (local.active, local.sent, cloud.active, cloud.sent) == (1, 1, 0, 0)
        gate.set()
        assert (await task).status_code == 200
        assert (local.active, local.sent, cloud.active, cloud.sent) == (0, 0, 0, 0)


async def test_an_answer_of_one_of_several_replicas_that_always_fails_is_not_asked_for_any_more(tmp_path: Path) -> None:
    async with running(tmp_path, refuses("500 Oh"), says("Hi")) as rig:
        sick = rig.router.fleet.models["m"].replicas[0]
        statuses: list[int] = []
        while statuses.count(500) < 5:
            statuses.append((await rig.completion()).status_code)
        stays_open(sick)
        statuses += [(await rig.completion()).status_code for _ in range(8)]
        assert statuses.count(500) == 5
        assert len(rig.engines[0].asked) == 5


async def test_the_only_replicas_own_errors_are_told_to_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, refuses("500 Oh")) as rig:
        assert [(await rig.completion()).status_code for _ in range(8)] == [500] * 8


async def test_silence_again_and_again_opens_the_breaker_although_slow_is_not_dead(tmp_path: Path) -> None:
    async def silent(talk: Talk) -> None:
        await talk.client_left.wait()

    limits = replace(QUICK, first_byte_seconds=0.1)
    async with running(tmp_path, silent, limits=limits) as rig:
        assert [(await rig.completion()).status_code for _ in range(5)] == [504] * 5
        stays_open(rig.router.fleet.models["m"].replicas[0])
        assert (await rig.completion()).status_code == 503
        assert rig.events("endpoint_down") == []


async def test_a_dead_replica_among_many_costs_no_client_anything(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": [{"url": f"http://127.0.0.1:{port}"} for port in (1, 2, 3)]}})
    async with running(tmp_path, says("Hi")) as rig:
        data["models"]["m"]["endpoints"].append({"url": rig.engine.url})
        rig.write_contract(data)
        await eventually(lambda: len(rig.router.fleet.endpoints) == 4)
        assert (await rig.completion()).status_code == 200
