"""Under constant load everything about a fleet changes, again and again, and every request gets its own answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.programs import REPOSITORY
from tests.unit.router.rig import (
    Talk,
    contract,
    demand_quiet,
    eventually,
    openai_chunk,
    openai_end,
    openai_whole,
    running,
    sse,
)
from tests.unit.router.tiers import TierEngine

pytestmark = pytest.mark.unit

CHANGES = 20
CLIENTS = 6


async def echoes(talk: Talk) -> None:
    """Says what it was asked, with the name of the model that it was asked for, in pieces or whole."""
    body = talk.asked.json
    said = f"{body['messages'][0]['content']} by {body['model']}"
    await asyncio.sleep(0.003)
    if not body.get("stream"):
        await talk.reply(openai_whole(said))
        return
    await talk.begin()
    for piece in said.split(" "):
        await talk.chunk(sse(openai_chunk(content=f"{piece} ")))
        await asyncio.sleep(0.002)
    await talk.chunk(sse(openai_end(), b"[DONE]"))
    await talk.end()


@asynccontextmanager
async def engines(count: int) -> AsyncIterator[list[TierEngine]]:
    running_now = [TierEngine(echoes) for _ in range(count)]
    for engine in running_now:
        await engine.start()
    try:
        yield running_now
    finally:
        for engine in running_now:
            await engine.stop()


def contract_number(number: int, at: list[TierEngine]) -> dict[str, Any]:
    """The fleet after so many changes: other endpoints, models, weights and tiers each time."""
    rng = random.Random(number)
    urls = [{"url": engine.url} for engine in at]
    fleet = {
        name: {
            "model": f"{name}-{rng.randrange(3)}",
            "engine": "vllm",
            "endpoints": rng.sample(urls[:3], rng.randrange(1, 4)),
            "parallel": 2,
        }
        for name in ("m", "n")
    }
    data = contract(fleet, {"best": {"m": rng.random() + 0.1, "n": rng.random()}})
    data["stack"] = f"number {number}"
    queue = {"maxActivePerSlot": rng.choice((0, 2))}
    data["routing"] = {"routine": ["cloud", "local"], "complex": ["cloud", "local"], "queue": queue}
    if number % 3:
        entry = {"model": "m-cloud", "engine": "openai", "tier": "cloud", "contextLength": 4096}
        price = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0}
        cloud = {**entry, "endpoints": [urls[3 + number % 2]], "price": price}
        data["tiers"] = {"cloud": {"models": {rng.choice(("m", "best")): cloud}}}
    return data


class Load:
    """Clients that ask all the time and look at what they get."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.answered = 0
        self.wrong: list[str] = []
        self._stop = asyncio.Event()
        self._clients = [asyncio.ensure_future(self._go_on(number)) for number in range(CLIENTS)]

    async def _go_on(self, number: int) -> None:
        rng = random.Random(number)
        while not self._stop.is_set():
            told = f"question-{number}-{rng.randrange(10**9)}"
            path = rng.choice(("/v1/chat/completions", "/api/chat"))
            stream = rng.random() < 0.5
            name = rng.choice(("m", "n", "best"))
            body = {"model": name, "messages": [{"role": "user", "content": told}], "stream": stream}
            try:
                reply = await self.client.post(path, json=body)
            except httpx.HTTPError as error:
                self.wrong.append(repr(error))
                continue
            said = text_of(reply, path, stream) if reply.status_code == 200 else reply.text
            question, _, model = said.strip().partition(" by ")
            expected = {"m": "m-", "n": "n-", "best": ("m-", "n-")}[name]
            if (reply.status_code, question) != (200, told) or not model.startswith(expected):
                self.wrong.append(f"{reply.status_code} to {told} for {name}: {said[:200]}")
            self.answered += 1

    async def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answered + count
        await eventually(lambda: self.answered >= wanted, seconds=15)

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)


def text_of(reply: httpx.Response, path: str, stream: bool) -> str:
    """What an answer says, if it is whole."""
    if path == "/api/chat":
        lines = [json.loads(line) for line in reply.text.splitlines()]
        return "".join(line["message"]["content"] for line in lines) if lines[-1]["done"] else "cut off"
    if not stream:
        return str(reply.json()["choices"][0]["message"]["content"])
    if not reply.text.endswith("data: [DONE]\n\n"):
        return "cut off"
    pieces = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for piece in pieces for choice in piece["choices"])


async def test_one_router_loses_and_mixes_nothing(tmp_path: Path) -> None:
    async with engines(5) as at, running(tmp_path, data=contract_number(0, at)) as rig:
        load = Load(rig.client)
        for number in range(1, CHANGES + 1):
            await load.more(8)
            rig.write_contract(contract_number(number, at))
            await eventually(lambda number=number: rig.router.fleet.stack == f"number {number}")
        await load.more(8)
        await load.end()
        assert load.wrong == []
        assert all(engine.asked for engine in at)
        await demand_quiet(rig)


async def test_two_workers_lose_and_mix_nothing(tmp_path: Path) -> None:
    fleet, log = tmp_path / "fleet.json", tmp_path / "router.log"
    async with engines(5) as at:
        fleet.write_text(json.dumps(contract_number(0, at)))
        async with workers(fleet, log, 2) as port:
            # Connections are shared out by the kernel: new ones see to it that both workers have some.
            limits = httpx.Limits(max_keepalive_connections=0)
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False, limits=limits
            ) as client:
                load = Load(client)
                for number in range(1, CHANGES + 1):
                    await load.more(4)
                    fresh = fleet.with_suffix(".new")
                    fresh.write_text(json.dumps(contract_number(number, at)))
                    fresh.replace(fleet)
                    taken = taken_by(log, f"number {number}")
                    await eventually(lambda taken=taken: taken() == 2, seconds=15)
                await load.more(8)
                await load.end()
        assert load.wrong == []
        assert all(engine.asked for engine in at)


def taken_by(log: Path, stack: str) -> Callable[[], int]:
    """How many workers have taken in a contract."""
    return lambda: sum(event.get("stack") == stack for event in events(log) if event["event"] == "contract")


def events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


@asynccontextmanager
async def workers(fleet: Path, log: Path, count: int) -> AsyncIterator[int]:
    """A router of several processes. Gives its port."""
    command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(fleet), "--port", "0"]
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(*command, "--workers", str(count), cwd=REPOSITORY, stderr=file)
    try:
        await eventually(lambda: sum(one["event"] == "listening" for one in events(log)) == count, seconds=15)
        yield next(one["port"] for one in events(log) if one["event"] == "listening")
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert sum(one["event"] == "stopped" and one["cut_off"] == 0 for one in events(log)) == count
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
