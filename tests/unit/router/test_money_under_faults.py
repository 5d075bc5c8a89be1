"""Money is right whatever fails: never above the budget, never twice, and nothing stays set aside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router.money.ledger import OUTER
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.settings import Settings
from tests.programs import REPOSITORY
from tests.unit.router.rig import (
    QUICK,
    Rig,
    Talk,
    contract,
    demand_quiet,
    eventually,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    running,
    sse,
)
from tests.unit.router.tiers import TierEngine

pytestmark = pytest.mark.unit

PRICE = {"inputUsdPerMillion": 1_000_000.0, "outputUsdPerMillion": 2_000_000.0}
"""One dollar for a token of the prompt, two for one of the answer."""
MOST_TOKENS = 20
BUDGET_USD = 3000.0
PATIENT = replace(QUICK, drain_seconds=0.1)
HASTY = replace(PATIENT, first_byte_seconds=0.6, idle_gap_seconds=0.6)
HARMLESS = ("whole", "stream", "500", "429")
"""What an API does that charges for what it counts, and for nothing else."""
FAULTS = (*HARMLESS, "hangs up", "cut off", "half", "silent", "endless")


@dataclass
class Meter:
    """What paid APIs charge for."""

    rng: random.Random
    ways: tuple[str, ...] = HARMLESS
    counted_usd: float = 0.0
    """By the counts that they gave."""
    uncounted: int = 0
    """Requests that they began and of which they gave no counts."""
    told_usd: list[float] = field(default_factory=list[float])

    def count(self) -> dict[str, int]:
        tokens = {"prompt": self.rng.randrange(1, 30), "completion": self.rng.randrange(1, MOST_TOKENS)}
        self.counted_usd += tokens["prompt"] + 2.0 * tokens["completion"]
        return tokens

    async def __call__(self, talk: Talk) -> None:
        way = self.rng.choice(self.ways)
        await asyncio.sleep(self.rng.random() * 0.01)
        if way in ("500", "429"):
            await talk.reply({"error": {"message": "no"}}, status=f"{way} No")
        elif way in ("whole", "stream"):
            await self._answer(talk)
        else:
            self.uncounted += 1
            await self._fail(talk, way)

    async def _answer(self, talk: Talk) -> None:
        if talk.asked.json.get("stream"):
            pieces = [openai_chunk(content="word ") for _ in range(3)]
            await talk.stream(sse(*pieces, openai_end(), openai_usage(**self.count()), b"[DONE]"))
        else:
            await talk.reply(openai_whole("Hi", **self.count()))

    async def _fail(self, talk: Talk, way: str) -> None:
        if way == "half":
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
        elif way in ("cut off", "endless"):
            await talk.begin()
            await talk.chunk(sse(openai_chunk(content="word ")))
        if way in ("silent", "endless"):
            await talk.client_left.wait()
        else:
            await talk.hang_up()


@dataclass
class Shop:
    """A router before paid tiers."""

    rig: Rig
    meters: dict[str, Meter]

    async def spent_usd(self) -> dict[str, float]:
        """By tier, as the ledger has it, when everything has ended."""
        await demand_quiet(self.rig)
        report = (await self.rig.client.get("/api/paddock/costs")).json()
        return {entry["tier"]: entry["usd"] for entry in report["byTier"]}

    async def ask(self, rng: random.Random, patience_seconds: float | None = None) -> int:
        """Ask something, and give the status; 0 where it was left, or broke off."""
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": "x" * rng.randrange(200)}],
            "max_tokens": MOST_TOKENS,
            "stream": rng.random() < 0.5,
        }
        headers = {"X-Paddock-Complexity": "complex"}
        try:
            async with asyncio.timeout(patience_seconds):
                reply = await self.rig.client.post("/v1/chat/completions", json=body, headers=headers)
                return reply.status_code
        except (TimeoutError, httpx.HTTPError):
            return 0


def shop_contract(engines: dict[str, TierEngine], budget_usd: float = BUDGET_USD) -> dict[str, Any]:
    entry = {"capabilities": ["chat"], "contextLength": 4096}
    data = contract({"m": {**entry, "endpoints": [{"url": engines["local"].url}]}})
    data["budget"] = {"monthlyUsd": budget_usd, "softLimit": 1.0}
    data["tiers"] = {
        tier: {
            "models": {
                "m": {
                    **entry,
                    "model": tier,
                    "engine": "openai",
                    "tier": tier,
                    "endpoints": [{"url": engines[tier].url}],
                    "price": PRICE,
                }
            }
        }
        for tier in ("cloud", "commercial")
    }
    return data


@asynccontextmanager
async def scripted(seed: int, ways: tuple[str, ...]) -> AsyncIterator[tuple[dict[str, TierEngine], dict[str, Meter]]]:
    meters = {name: Meter(random.Random(f"{seed} {name}"), ways) for name in ("local", "cloud", "commercial")}
    engines = {name: TierEngine(meter) for name, meter in meters.items()}
    for engine in engines.values():
        await engine.start()
    try:
        yield engines, meters
    finally:
        for engine in engines.values():
            await engine.stop()


@asynccontextmanager
async def shop(tmp_path: Path, seed: int, ways: tuple[str, ...], budget_usd: float = BUDGET_USD) -> AsyncIterator[Shop]:
    (tmp_path / "data").mkdir(exist_ok=True)
    settings = Settings(tmp_path / "fleet.json", data=tmp_path / "data")
    async with scripted(seed, ways) as (engines, meters):
        data = shop_contract(engines, budget_usd)
        async with running(tmp_path, data=data, settings=settings, limits=HASTY if ways is FAULTS else PATIENT) as rig:
            yield Shop(rig, meters)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("concurrency", [1, 5, 20])
async def test_what_is_spent_is_what_was_counted(tmp_path: Path, seed: int, concurrency: int) -> None:
    rng = random.Random(seed)
    async with shop(tmp_path, seed, HARMLESS, budget_usd=1e6) as here:
        for _ in range(40 // concurrency):
            statuses = await asyncio.gather(*(here.ask(rng) for _ in range(concurrency)))
            assert set(statuses) <= {200, 429, 500, 503}
        spent = await here.spent_usd()
        for tier in ("cloud", "commercial"):
            assert spent.get(tier, 0.0) == pytest.approx(here.meters[tier].counted_usd)


@pytest.mark.parametrize("seed", range(4))
async def test_no_more_is_spent_than_there_is_whatever_fails_and_whoever_leaves(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with shop(tmp_path, seed, FAULTS) as here:
        for _ in range(6):
            count = rng.randrange(1, 21)
            await asyncio.gather(*(here.ask(rng, rng.choice((None, 0.005, 0.02, 0.1))) for _ in range(count)))
        spent = await here.spent_usd()
        outside = spent.get("cloud", 0.0) + spent.get("commercial", 0.0)
        assert 0 < outside <= BUDGET_USD
        books = here.rig.router.governance.purse._books
        assert books.totals.spent[OUTER] == pytest.approx(outside * 1e9)


@pytest.mark.parametrize("seed", range(3))
async def test_a_budget_is_used_up_and_not_overdrawn_by_many_at_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with shop(tmp_path, seed, ("whole", "stream"), budget_usd=900.0) as here:
        for _ in range(6):
            assert set(await asyncio.gather(*(here.ask(rng) for _ in range(20)))) == {200}
        spent = await here.spent_usd()
        counted = sum(here.meters[tier].counted_usd for tier in ("cloud", "commercial"))
        assert spent["cloud"] + spent["commercial"] == pytest.approx(counted)
        # The rest is less than what one request may cost at most.
        assert 900.0 - 420.0 < counted <= 900.0


async def test_what_is_cut_off_when_the_router_ends_is_paid_for_and_known_to_the_next_one(tmp_path: Path) -> None:
    rng = random.Random(1)
    async with shop(tmp_path, 1, ("endless",)) as here:
        asked = [asyncio.ensure_future(here.ask(rng)) for _ in range(5)]
        await eventually(lambda: sum(meter.uncounted for meter in here.meters.values()) >= 5)
        assert not await here.rig.router.drain()
        await asyncio.gather(*asked)
        begun = here.meters["commercial"].uncounted
    heir = make_purse(tmp_path / "data")
    await heir.open()
    spent, reserved = heir._books.totals.spent, heir._books.totals.reserved
    rows = await heir._books.ledger.rows("2000-01-01", "2999-12-31")
    await heir.close()
    assert not any(reserved.values())
    assert begun == sum(row.measures[0] for row in rows if row.series.tier == "commercial")
    # Estimates of what was made, and not the most that it could have been.
    assert 0 < spent[OUTER] < begun * 2 * 120 * 1e9


async def test_a_router_killed_in_the_middle_loses_no_charge_and_sets_nothing_aside_for_ever(tmp_path: Path) -> None:
    received: list[float] = []
    data = tmp_path / "data"
    async with scripted(7, ("whole", "stream", "500")) as (engines, meters):
        fleet = tmp_path / "fleet.json"
        fleet.write_text(json.dumps(shop_contract(engines, 1e6)))
        for round_number in range(2):
            await _killed_router(fleet, data, random.Random(round_number), received)
    heir = make_purse(data)
    await heir.open()
    spent, reserved = heir._books.totals.spent, heir._books.totals.reserved
    rows = await heir._books.ledger.rows("2000-01-01", "2999-12-31")
    await heir.close()
    assert not any(reserved.values())
    assert len(received) > 10
    assert spent[OUTER] / 1e9 >= sum(received) - 1e-6
    attempts = sum(len(engines[tier].asked) for tier in ("cloud", "commercial"))
    counted = sum(meters[tier].counted_usd for tier in ("cloud", "commercial"))
    booked = sum(row.measures[0] for row in rows if row.series.tier != "local")
    # In the middle were a few at most: they are charged at the most that they can have cost, once.
    assert abs(booked - attempts) <= 2 * 8
    assert spent[OUTER] / 1e9 <= counted + 2 * 8 * 700


async def _killed_router(fleet: Path, data: Path, rng: random.Random, received: list[float]) -> None:
    """Run a router as a process, ask it all sorts of things, and kill it in the middle."""
    command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(fleet), "--data", str(data), "--port", "0"]
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        port = 0
        while not port:
            line = json.loads(await process.stderr.readline())
            port = line["port"] if line["event"] == "listening" else 0
        reading = asyncio.ensure_future(process.stderr.read())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            asking = [asyncio.ensure_future(_ask_and_note(client, rng, received)) for _ in range(8)]
            enough = len(received) + 15
            await eventually(lambda: len(received) >= enough, seconds=15)
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.gather(*asking)
        await reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ask_and_note(client: httpx.AsyncClient, rng: random.Random, received: list[float]) -> None:
    """Ask until the router is gone, and note what each answer that came whole has cost."""
    while True:
        messages = [{"role": "user", "content": "x" * rng.randrange(200)}]
        body = {"model": "m", "messages": messages, "max_tokens": MOST_TOKENS}
        try:
            reply = await client.post("/v1/chat/completions", json=body, headers={"X-Paddock-Complexity": "complex"})
        except httpx.HTTPError:
            return
        if reply.status_code == 200 and reply.headers["x-paddock-tier"] != "local":
            usage = reply.json()["usage"]
            usd = usage["prompt_tokens"] + 2.0 * usage["completion_tokens"]
            assert float(reply.headers["x-paddock-cost-usd"]) == pytest.approx(usd)
            received.append(usd)


async def test_a_request_that_was_never_sent_has_taken_no_time_of_anybodys(tmp_path: Path) -> None:
    """Its duration would be that of the machine's, and make the fleet look slow and dear."""
    async with shop(tmp_path, 3, HARMLESS) as here:
        data = json.loads(here.rig.contract_path.read_text())
        data["models"]["m"]["endpoints"] = [{"url": "http://127.0.0.1:1"}]
        here.rig.write_contract({**data, "tiers": {}})
        await eventually(lambda: not here.rig.router.fleet.tiers)
        assert await here.ask(random.Random(1)) == 503
        await demand_quiet(here.rig)
        report = (await here.rig.client.get("/api/paddock/costs")).json()
        assert report["total"]["meanSeconds"] is None or report["total"]["meanSeconds"] < 5


async def test_a_refusal_of_the_last_tier_that_was_left_costs_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, 3, ("500",)) as here:
        data = json.loads(here.rig.contract_path.read_text())
        here.rig.write_contract({**data, "stack": "other", "routing": {"complex": ["commercial"]}})
        await eventually(lambda: here.rig.router.fleet.stack == "other")
        assert await here.ask(random.Random(1)) == 502
        assert (await here.spent_usd())["commercial"] == 0.0
