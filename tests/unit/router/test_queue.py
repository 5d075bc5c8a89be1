"""Requests wait for room, or for a model that sleeps, and no longer than they may."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router import endpoint_state
from tests.unit.router.rig import (
    HELLO,
    QUICK,
    Rig,
    ScriptedEngine,
    Talk,
    contract,
    eventually,
    openai_chunk,
    openai_whole,
    running,
    sse,
)
from tests.unit.router.tiers import tiered

pytestmark = pytest.mark.unit


class Gate:
    """An engine that answers one request each time it is let."""

    def __init__(self) -> None:
        self.tickets = asyncio.Semaphore(0)
        self.now = self.most = 0

    async def __call__(self, talk: Talk) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.tickets.acquire()
        finally:
            self.now -= 1
        await talk.reply(openai_whole(talk.asked.json["messages"][0]["content"]))


def limited(rig_urls: list[str], **queue: Any) -> dict[str, Any]:
    """A contract for one request at a time at each endpoint."""
    data = contract({"m": {"endpoints": [{"url": url} for url in rig_urls], "parallel": 1}})
    return {**data, "routing": {"queue": {"maxActivePerSlot": 1, **queue}}}


async def limit(rig: Rig, **queue: Any) -> None:
    rig.write_contract(limited([engine.url for engine in rig.engines], **queue))
    await eventually(lambda: rig.router.fleet.models["m"].limit == 1)


def ask(rig: Rig, text: str, **headers: str) -> asyncio.Task[httpx.Response]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=body, headers=headers))


async def waiting(rig: Rig, count: int) -> None:
    await eventually(lambda: rig.router.fleet.models["m"].line.size == count)


async def test_an_endpoint_gets_no_more_than_it_may_have_and_all_are_answered(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        await limit(rig)
        tasks = [ask(rig, str(number)) for number in range(5)]
        await waiting(rig, 4)
        assert await rig.metric('ollama_active_requests{model="m"}') == 5
        for _ in tasks:
            gate.tickets.release()
        replies = await asyncio.gather(*tasks)
        assert [reply.json()["choices"][0]["message"]["content"] for reply in replies] == list("01234")
        assert gate.most == 1
        assert await rig.metric('ollama_active_requests{model="m"}') == 0


async def test_a_place_is_taken_while_money_is_set_aside_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        await limit(rig)

        async def reserve(asked: object, replica: object) -> None:
            await asyncio.sleep(0.01)

        monkeypatch.setattr(rig.router.account, "must_reserve", lambda asked, replica: True)
        monkeypatch.setattr(rig.router.account, "reserve", reserve)
        tasks = [ask(rig, str(number)) for number in range(4)]
        await waiting(rig, 3)
        for _ in tasks:
            gate.tickets.release()
        assert {(await task).status_code for task in tasks} == {200}
        assert gate.most == 1


async def test_the_urgent_go_first_and_the_others_in_their_order(tmp_path: Path) -> None:
    gate, order = Gate(), []
    async with running(tmp_path, gate) as rig:
        await limit(rig)
        tasks = [ask(rig, "first")]
        await eventually(lambda: rig.engine.asked)
        for text, priority in (("a", "low"), ("b", "normal"), ("c", "low"), ("d", "normal")):
            tasks.append(ask(rig, text, **{"X-Paddock-Priority": priority}))
            await waiting(rig, len(tasks) - 1)
        for place in range(len(tasks)):
            await eventually(lambda place=place: len(rig.engine.asked) == place + 1)
            order.append(rig.engine.asked[-1].json["messages"][0]["content"])
            gate.tickets.release()
        await asyncio.gather(*tasks)
        assert order == ["first", "b", "d", "a", "c"]


async def test_a_full_line_takes_no_more(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        await limit(rig, maxWaiting=1)
        tasks = [ask(rig, "a"), ask(rig, "b")]
        await waiting(rig, 1)
        reply = await ask(rig, "c")
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "overloaded"
        assert int(reply.headers["retry-after"]) >= 1
        for _ in tasks:
            gate.tickets.release()
        assert {(await task).status_code for task in tasks} == {200}


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        task = ask(rig, "a")
        await eventually(lambda: rig.engine.asked)
        # From here on: how long it takes until the first has its place does not matter.
        await limit(rig, waitSeconds=0.2)
        reply = await ask(rig, "b")
        assert reply.status_code == 503
        assert reply.json()["error"]["message"] == "model 'm' had no room in time"
        assert rig.router.fleet.models["m"].line.size == 0
        gate.tickets.release()
        assert (await task).status_code == 200


async def test_a_client_that_leaves_gives_its_place_up(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        await limit(rig)
        first = ask(rig, "a")
        await eventually(lambda: rig.engine.asked)
        _, writer = await rig.connect()
        body = json.dumps({"model": "m", "messages": [HELLO]}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await waiting(rig, 1)
        writer.close()
        await waiting(rig, 0)
        assert await rig.metric('ollama_active_requests{model="m"}') == 1
        gate.tickets.release()
        assert (await first).status_code == 200
        assert len(rig.engine.asked) == 1


async def test_a_request_waits_until_a_replica_is_well_again_where_the_others_are_full(tmp_path: Path) -> None:
    gate = Gate()

    async def hangs_up(talk: Talk) -> None:
        await talk.hang_up()

    async with running(tmp_path, gate, hangs_up) as rig:
        await limit(rig)
        tasks = [ask(rig, str(number)) for number in range(3)]
        await waiting(rig, 2)
        for _ in tasks:
            gate.tickets.release()
        assert [(await task).status_code for task in tasks] == [200] * 3


async def test_where_the_line_is_full_the_next_tier_answers(tmp_path: Path) -> None:
    gate = Gate()

    async def cloud(talk: Talk) -> None:
        await talk.reply(openai_whole("from the cloud"))

    routing = {"queue": {"maxActivePerSlot": 1, "maxWaiting": 1}}
    async with tiered(tmp_path, local=gate, routing=routing, cloud=cloud) as (rig, engines):
        tasks = [ask(rig, "a"), ask(rig, "b")]
        await waiting(rig, 1)
        assert "from the cloud" in (await ask(rig, "c")).text
        for _ in tasks:
            gate.tickets.release()
        await asyncio.gather(*tasks)
        assert len(engines["local"].asked) == 2


async def test_a_fallback_goes_where_there_is_room_and_waits_only_where_there_is_none(tmp_path: Path) -> None:
    gate = Gate()

    async def breaks_down(talk: Talk) -> None:
        await talk.reply({"error": {"message": "no"}}, status="500 Internal Server Error")

    routing = {"routine": ["cloud", "local", "commercial"], "queue": {"maxActivePerSlot": 1}}
    async with tiered(tmp_path, local=gate, routing=routing, cloud=breaks_down, commercial=whole) as (rig, engines):
        busy = ask(rig, "a", **{"X-Paddock-Tier": "local"})
        await eventually(lambda: engines["local"].asked)
        # The next in the order is busy, and the one after it is not.
        assert (await ask(rig, "b")).headers["x-paddock-tier"] == "commercial"
        engines["commercial"].script = breaks_down
        # Now nobody else answers: it is worth waiting for.
        waits = ask(rig, "c")
        await waiting(rig, 1)
        gate.tickets.release()
        gate.tickets.release()
        assert (await waits).headers["x-paddock-tier"] == "local"
        assert (await busy).status_code == 200


# The end


async def raw_ask(rig: Rig, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = json.dumps({"model": "m", "messages": [HELLO]}).encode()
    reader, writer = await rig.connect()
    writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body)
    return reader, writer


async def test_who_waits_when_the_router_is_to_end_is_told_so_in_its_own_words(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        await limit(rig)
        busy = ask(rig, "a")
        await eventually(lambda: rig.engine.asked)
        asked = [await raw_ask(rig, path) for path in ("/v1/chat/completions", "/api/chat")]
        await waiting(rig, 2)
        drained = asyncio.ensure_future(rig.router.drain())
        openai, ollama = [await asyncio.wait_for(reader.read(), 5) for reader, _ in asked]
        for said in (openai, ollama):
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1\r\n" in said
            assert b"Connection: close\r\n" in said
        assert json.loads(openai.partition(b"\r\n\r\n")[2])["error"]["code"] == "shutting_down"
        assert json.loads(ollama.partition(b"\r\n\r\n")[2])["error"] == "the router is shutting down; ask again"
        gate.tickets.release()
        reply = await busy
        assert reply.status_code == 200
        assert reply.headers["connection"] == "close"
        assert await drained
        for _, writer in asked:
            writer.close()


async def test_who_has_no_answer_when_time_is_up_is_told_so_too(tmp_path: Path) -> None:
    async def hesitates(talk: Talk) -> None:
        if talk.asked.json.get("stream"):
            await talk.begin()
            await talk.chunk(sse(openai_chunk(content="Hi")))
        await talk.client_left.wait()

    async with running(tmp_path, hesitates, limits=replace(QUICK, drain_seconds=0.1)) as rig:
        silent = ask(rig, "a")
        async with rig.client.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "messages": [HELLO], "stream": True}
        ) as talks:
            pieces = talks.aiter_raw()
            assert b"Hi" in await anext(pieces)
            await eventually(lambda: len(rig.engine.asked) == 2)
            assert not await rig.router.drain()
            assert b"the router is shutting down" in b"".join([piece async for piece in pieces])
        assert (await silent).status_code == 503


# Sleeping models


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole("Good morning"))


def sleeping(*engines: ScriptedEngine, **queue: Any) -> dict[str, Any]:
    data = contract({"m": {"endpoints": [{"url": engine.url} for engine in engines], "sleeps": True}})
    return {**data, "routing": {"queue": queue}}


async def test_a_request_wakes_a_sleeping_model_and_waits_for_it(tmp_path: Path) -> None:
    engine = ScriptedEngine(whole)
    await engine.start()
    async with running(tmp_path, data=sleeping()) as rig:
        tasks = [ask(rig, "a"), asyncio.ensure_future(rig.chat(stream=False))]
        await waiting(rig, 2)
        assert await rig.metric('ollama_active_requests{model="m"}') == 2
        rig.write_contract(sleeping(engine))
        for task in tasks:
            reply = await task
            assert reply.status_code == 200
            assert "Good morning" in reply.text
    await engine.stop()


async def test_an_endpoint_that_is_not_ready_yet_is_waited_for_too(tmp_path: Path) -> None:
    loaded = False

    async def loading(talk: Talk) -> None:
        if loaded:
            await whole(talk)
        else:
            await talk.reply({"error": "Loading model"}, status="503 Service Unavailable")

    engine = ScriptedEngine(loading)
    engine.healthy = False
    await engine.start()
    async with running(tmp_path, data=sleeping()) as rig:
        task = ask(rig, "a")
        await waiting(rig, 1)
        rig.write_contract(sleeping(engine))
        await eventually(lambda: rig.events("endpoint_down"))
        await waiting(rig, 1)
        engine.healthy = loaded = True
        assert (await task).status_code == 200
    await engine.stop()


async def test_an_endpoint_that_refuses_connections_while_it_starts_is_waited_for(tmp_path: Path) -> None:
    engine = ScriptedEngine(whole)
    await engine.start()
    port = engine.port
    await engine.stop()
    async with running(tmp_path, data=sleeping(engine)) as rig:
        task = ask(rig, "a")
        await eventually(lambda: rig.events("endpoint_down"))
        await waiting(rig, 1)
        await engine.start(port)
        assert (await task).status_code == 200
    await engine.stop()


async def test_a_model_is_waited_for_however_often_it_refuses_while_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_state, "_FIRST_BACK_OFF_SECONDS", 0.001)
    monkeypatch.setattr(endpoint_state, "_LONGEST_BACK_OFF_SECONDS", 0.001)
    engine = ScriptedEngine(whole)
    await engine.start()
    port = engine.port
    await engine.stop()
    async with running(tmp_path, data=sleeping(engine)) as rig:
        task = ask(rig, "a")
        await eventually(lambda: len(rig.events("attempt_ended")) > 12)
        await engine.start(port)
        assert (await task).status_code == 200
    await engine.stop()


async def test_a_model_that_does_not_wake_up_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, data=sleeping(wakeSeconds=0.2)) as rig:
        reply = await ask(rig, "a")
        assert reply.status_code == 503
        assert reply.json()["error"]["message"] == "model 'm' did not wake up in time"
        assert int(reply.headers["retry-after"]) >= 1
        assert await rig.metric('ollama_active_requests{model="m"}') == 0


async def test_a_client_that_does_not_wait_for_a_sleeping_model_leaves_no_trace(tmp_path: Path) -> None:
    async with running(tmp_path, data=sleeping()) as rig:
        with pytest.raises(httpx.ReadTimeout):
            await rig.client.post("/v1/chat/completions", json={"model": "m", "messages": [HELLO]}, timeout=0.2)
        await waiting(rig, 0)
        assert await rig.metric('ollama_active_requests{model="m"}') == 0
        assert await rig.metric('paddock_requests_total{model="m",status="499",dialect="openai"}') == 1


async def test_while_a_model_sleeps_the_next_tier_answers_and_the_autoscaler_is_told(tmp_path: Path) -> None:
    async with tiered(tmp_path, local=None, cloud=whole) as (rig, _):
        assert "Good morning" in (await ask(rig, "a")).text
        assert await rig.metric('ollama_active_requests{model="m"}') == 1


async def test_a_model_that_does_not_sleep_and_has_no_endpoint_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with running(tmp_path, data=contract({"m": {"endpoints": []}})) as rig:
        assert (await ask(rig, "a")).status_code == 503


# The contract changes meanwhile


async def test_who_waits_for_a_model_that_is_swapped_gets_the_new_one(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate, whole) as rig:
        await limit(rig)
        data = limited([rig.engines[0].url])
        rig.write_contract(data)
        await eventually(lambda: len(rig.router.fleet.endpoints) == 1)
        first, second = ask(rig, "a"), ask(rig, "b")
        await waiting(rig, 1)
        data["models"]["m"] |= {"model": "other:2b", "endpoints": [{"url": rig.engines[1].url}]}
        rig.write_contract(data)
        assert "Good morning" in (await second).text
        assert rig.engines[1].asked[0].json["model"] == "other:2b"
        gate.tickets.release()
        assert (await first).json()["choices"][0]["message"]["content"] in "ab"
        assert rig.router.fleet.models["m"].active == 0


async def test_who_waits_for_a_model_that_is_no_more_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path, data=sleeping()) as rig:
        task = ask(rig, "a")
        await waiting(rig, 1)
        rig.write_contract(contract({"other": {"endpoints": []}}))
        reply = await task
        assert reply.status_code == 404
        assert "other" in reply.json()["error"]["message"]
