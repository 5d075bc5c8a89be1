"""The fleet changes, and the router ends, without a request being lost."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.router.rig import (
    HELLO,
    QUICK,
    Script,
    Talk,
    contract,
    eventually,
    openai_chunk,
    openai_end,
    openai_whole,
    running,
    sse,
)

pytestmark = pytest.mark.unit


class Gate:
    """An engine that answers when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, talk: Talk) -> None:
        await self.open.wait()
        await talk.reply(openai_whole())


async def test_a_removed_endpoint_finishes_what_it_has_and_gets_nothing_new(tmp_path: Path) -> None:
    old, new = Gate(), Gate()
    new.open.set()
    async with running(tmp_path, old, new) as rig:
        first, second = ({"url": engine.url} for engine in rig.engines)
        rig.write_contract(contract({"m": {"endpoints": [first]}}))
        await eventually(lambda: len(rig.router.fleet.endpoints) == 1)
        slow = asyncio.ensure_future(rig.completion())
        await eventually(lambda: rig.engines[0].asked)
        rig.write_contract(contract({"m": {"endpoints": [second]}, "n": {"endpoints": [second]}}))
        await eventually(lambda: "n" in rig.router.fleet.models)
        for name in ("m", "n"):
            reply = await rig.completion(model=name)
            assert reply.headers["x-paddock-endpoint"] == rig.engines[1].url
        old.open.set()
        assert (await slow).headers["x-paddock-endpoint"] == rig.engines[0].url
        assert len(rig.engines[0].asked) == 1


@pytest.mark.parametrize("text", ['{"version": 2}', "{", "[]"])
async def test_a_contract_that_cannot_be_used_leaves_the_last_good_one_in_force(tmp_path: Path, text: str) -> None:
    gate = Gate()
    gate.open.set()
    async with running(tmp_path, gate) as rig:
        await eventually(lambda: rig.events("endpoint_up"))
        rig.write_contract(text)
        await eventually(lambda: rig.events("contract_unusable"))
        assert (await rig.completion()).status_code == 200
        ready = await rig.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["contract"]["ok"] is False
        assert str(rig.contract_path) in ready.json()["contract"]["problem"]
        assert await rig.metric("paddock_contract_last_reload_successful") == 0
        assert await rig.metric('paddock_contract_reloads_total{result="failed"}') == 1
        rig.write_contract(contract({"m": {"endpoints": [{"url": rig.engine.url}]}, "n": {}}))
        await eventually(lambda: "n" in rig.router.fleet.models)
        assert (await rig.client.get("/readyz")).json()["contract"] == {"ok": True}
        assert await rig.metric("paddock_contract_last_reload_successful") == 1


async def test_draining_takes_nothing_new_and_finishes_what_is_there(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as rig:
        idle_reader, idle_writer = await rig.connect()
        idle_writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle_reader.readuntil(b"}")
        slow = asyncio.ensure_future(rig.completion())
        await eventually(lambda: rig.engine.asked)
        drained = asyncio.ensure_future(rig.router.drain())
        assert await idle_reader.read() == b""  # nobody was asking on that one
        with pytest.raises(ConnectionRefusedError):
            await rig.connect()
        assert not drained.done()
        gate.open.set()
        assert (await slow).status_code == 200
        assert await drained
        idle_writer.close()


async def test_draining_has_an_end(tmp_path: Path) -> None:
    limits = replace(QUICK, drain_seconds=0.2)
    async with running(tmp_path, Gate(), limits=limits) as rig:
        reader, writer = await rig.connect()
        body = json.dumps({"model": "m", "messages": [HELLO]}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await eventually(lambda: rig.engine.asked)
        assert not await rig.router.drain()
        with suppress(ConnectionResetError):
            assert b"shutting_down" in await reader.read()
        assert rig.events("stopped")[0]["cut_off"] == 1
        writer.close()


async def test_a_fleet_under_load_is_swapped_without_losing_a_request(tmp_path: Path) -> None:
    async def quick(talk: Talk) -> None:
        await asyncio.sleep(0.005)
        await talk.reply(openai_whole())

    async with running(tmp_path, quick, quick) as rig:
        stop = asyncio.Event()
        found: list[int] = []

        async def load() -> None:
            while not stop.is_set():
                found.append((await rig.completion()).status_code)

        loads = [asyncio.ensure_future(load()) for _ in range(4)]
        for at in (0, 1, 0, 1):
            url = rig.engines[at].url
            rig.write_contract(contract({"m": {"endpoints": [{"url": url}]}}))
            await eventually(lambda url=url: {key[0] for key in rig.router.fleet.endpoints} == {url})
        stop.set()
        await asyncio.gather(*loads)
        assert set(found) == {200}


def named(name: str) -> Script:
    """An engine that says its name, as a stream or whole, and computes for a moment."""

    async def script(talk: Talk) -> None:
        assert talk.asked.json["model"] == name
        if talk.asked.json.get("stream") is not True:
            await asyncio.sleep(0.005)
            await talk.reply(openai_whole(name))
            return
        await talk.begin()
        for _ in range(5):
            await talk.chunk(sse(openai_chunk(content=f"{name} ")))
            await asyncio.sleep(0.002)
        await talk.chunk(sse(openai_end(), b"[DONE]"))
        await talk.end()

    return script


async def test_a_model_swapped_under_load_loses_no_request_and_mixes_none(tmp_path: Path) -> None:
    names = ("old:1b", "new:2b")
    async with running(tmp_path, *map(named, names), engine="vllm") as rig:
        stop = asyncio.Event()
        heard: list[str] = []

        def swapped_to(at: int) -> dict[str, object]:
            entry = {"model": names[at], "engine": "vllm", "endpoints": [{"url": rig.engines[at].url}]}
            queue = {"maxActivePerSlot": 3}
            return {**contract({"m": entry}), "routing": {"queue": queue}}

        async def streams() -> None:
            while not stop.is_set():
                reply = await rig.completion(stream=True)
                assert reply.status_code == 200
                assert reply.text.endswith("data: [DONE]\n\n")
                pieces = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
                heard.append("".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces).strip())

        async def wholes() -> None:
            while not stop.is_set():
                reply = await rig.chat(stream=False)
                assert reply.status_code == 200
                heard.append(" ".join([reply.json()["message"]["content"]] * 5))

        rig.write_contract(swapped_to(0))
        await eventually(lambda: rig.router.fleet.models["m"].entry.model == names[0])
        loads = [asyncio.ensure_future(load()) for load in [streams, wholes] * 4]
        for at in (1, 0, 1, 0, 1):
            done = len(heard)
            await eventually(lambda done=done: len(heard) > done + 10)
            rig.write_contract(swapped_to(at))
            await eventually(lambda at=at: rig.router.fleet.models["m"].entry.model == names[at])
        done = len(heard)
        await eventually(lambda: len(heard) > done + 10)
        stop.set()
        await asyncio.gather(*loads)
        assert set(heard) == {" ".join([name] * 5) for name in names}
        model = rig.router.fleet.models["m"]
        assert (model.active, model.sent, model.line.size) == (0, 0, 0)


async def test_replicas_that_are_killed_under_load_cost_only_what_they_had_begun(tmp_path: Path) -> None:
    async def quick(talk: Talk) -> None:
        await asyncio.sleep(0.005)
        await talk.reply(openai_whole())

    async with running(tmp_path, quick, quick, quick) as rig:
        stop = asyncio.Event()
        found: list[int] = []

        async def load() -> None:
            while not stop.is_set():
                found.append((await rig.completion()).status_code)

        loads = [asyncio.ensure_future(load()) for _ in range(6)]
        for at in (0, 1, 2, 0):
            engine = rig.engines[at]
            port = engine.port
            await engine.stop()
            done = len(found)
            await eventually(lambda done=done: len(found) > done + 20)
            await engine.start(port)
            await eventually(lambda at=at: rig.router.fleet.models["m"].replicas[at].endpoint.health == "up")
        stop.set()
        await asyncio.gather(*loads)
        assert set(found) == {200}
        assert all(
            replica.sent == replica.endpoint.outstanding == 0 for replica in rig.router.fleet.models["m"].replicas
        )
