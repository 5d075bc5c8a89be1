"""Keys, money, privacy, the cache and A/B tests, all at once, as a client of the router sees them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router.settings import Settings
from fleet_spec.errors import BadInputError
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import (
    HELLO,
    Rig,
    ScriptedEngine,
    Talk,
    contract,
    eventually,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    running,
    sse,
)

pytestmark = pytest.mark.unit

# Put together here: it is nobody's.
TIER_SECRET = "-".join(("a", "tier", "key", "for", "tests"))
CARD = " ".join(("4111", "1111", "1111", "1111"))
PRIVATE = f"Please check whether my card {CARD} was charged twice."
PROOF = (
    "Prove rigorously that there are infinitely many primes congruent to 3 modulo 4, discuss why the same argument "
    "fails for 1 modulo 4, and design step by step a proof that does work, weighing at least two alternatives."
)
PRICE = {"inputUsdPerMillion": 1_000_000.0, "outputUsdPerMillion": 2_000_000.0}
"""One dollar for a token of the prompt, two for one of the answer."""


async def answers(talk: Talk) -> None:
    if talk.asked.json.get("stream"):
        await talk.stream(sse(openai_chunk(content="Hi"), openai_end(), openai_usage(), b"[DONE]"))
    else:
        await talk.reply(openai_whole())


@asynccontextmanager
async def governed(
    tmp_path: Path,
    *,
    keys: Mapping[str, dict[str, Any]] | None = None,
    commercial: bool = False,
    price: Mapping[str, float] | None = None,
    models: int = 1,
    **parts: Any,
) -> AsyncIterator[tuple[Rig, dict[str, ScriptedEngine], dict[str, str]]]:
    """A governed router. Gives its engines by name, and the keys in plain text by theirs."""
    names = [f"m{number}" if number else "m" for number in range(models)] + (["commercial"] if commercial else [])
    engines = {name: ScriptedEngine(answers) for name in names}
    for engine in engines.values():
        await engine.start()
    plain = {name: new_key() for name in keys or {}}
    entries = {
        name: {"endpoints": [{"url": engine.url}], "price": PRICE if price is None else price}
        for name, engine in engines.items()
        if name != "commercial"
    }
    data = {**contract(entries), **parts}
    data["keys"] = {name: {"hash": hash_of(plain[name]), **said} for name, said in (keys or {}).items()}
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    if commercial:
        (secrets / "tier-commercial").write_text(TIER_SECRET)
        (secrets / "tier-commercial").chmod(0o600)
        entry = {
            "model": "big-one",
            "engine": "openai",
            "tier": "commercial",
            "contextLength": 100_000,
            "endpoints": [{"url": engines["commercial"].url}],
            "price": PRICE,
        }
        data["tiers"] = {"commercial": {"secret": "tier-commercial", "models": {"m": entry}}}
    settings = Settings(tmp_path / "fleet.json", secrets=secrets, data=tmp_path / "data")
    (tmp_path / "data").mkdir()
    try:
        async with running(tmp_path, data=data, settings=settings) as rig:
            yield rig, engines, plain
    finally:
        for engine in engines.values():
            await engine.stop()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def asked(
    rig: Rig, text: str = "Hello", *, headers: Mapping[str, str] | None = None, **fields: Any
) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 10, **fields}
    return await rig.client.post("/v1/chat/completions", json=body, headers=dict(headers or {}))


def without_id(text: str) -> str:
    return re.sub(r'"id": ?"[^"]*"', "", text)


# Keys


async def test_configured_keys_are_asked_for_and_let_in(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"web": {}}) as (rig, engines, plain):
        refused = await asked(rig)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_api_key")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await asked(rig, headers=bearer(new_key()))).status_code == 401
        assert (await asked(rig, headers=bearer(plain["web"]))).status_code == 200
        assert len(engines["m"].asked) == 1
        assert b"uthorization" not in engines["m"].asked[0].head


async def test_what_needs_no_key_says_nothing_of_the_fleet(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"web": {}, "watch": {"scopes": ["metrics"]}}) as (rig, _, plain):
        for path, status in (("/", 200), ("/healthz", 200), ("/readyz", 200), ("/api/tags", 401), ("/metrics", 401)):
            assert (await rig.client.get(path)).status_code == status, path
        for path in ("/metrics", "/api/paddock/costs", "/api/paddock/status", "/api/paddock/experiments"):
            assert (await rig.client.get(path, headers=bearer(plain["web"]))).status_code == 403, path
            assert (await rig.client.get(path, headers=bearer(plain["watch"]))).status_code == 200, path
        assert (await asked(rig, headers=bearer(plain["watch"]))).status_code == 403


async def test_a_key_may_ask_for_some_models_only(tmp_path: Path) -> None:
    async with governed(tmp_path, models=2, keys={"web": {"models": ["m1"]}}) as (rig, _, plain):
        assert (await asked(rig, headers=bearer(plain["web"]), model="m1")).status_code == 200
        refused = await asked(rig, headers=bearer(plain["web"]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")


async def test_a_key_s_requests_a_minute_are_counted(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"web": {"requestsPerMinute": 2}}) as (rig, _, plain):
        replies = [await asked(rig, headers=bearer(plain["web"])) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0", "0"]
        assert int(replies[2].headers["retry-after"]) > 0


async def test_a_key_s_tokens_a_minute_are_the_engine_s_own_counts(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"web": {"tokensPerMinute": 100}}) as (rig, _, plain):
        first = await asked(rig, headers=bearer(plain["web"]))
        second = await asked(rig, headers=bearer(plain["web"]))
        left = [int(reply.headers["x-ratelimit-remaining-tokens"]) for reply in (first, second)]
        estimate = 100 - left[0]
        # The first one's nine tokens are fewer than its estimate, and nothing is given back.
        assert left[1] == 100 - 2 * estimate


async def test_a_revoked_key_is_refused_from_the_next_request_on(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"web": {}, "other": {}}) as (rig, _, plain):
        assert (await asked(rig, headers=bearer(plain["web"]))).status_code == 200
        data = contract({"m": {"endpoints": []}})
        rig.write_contract({**data, "keys": {"other": {"hash": hash_of(plain["other"])}}})
        await eventually(lambda: rig.router.governance.access.names == ["other"])
        assert (await asked(rig, headers=bearer(plain["web"]))).status_code == 401


def test_a_tier_without_its_key_does_not_start(tmp_path: Path) -> None:
    from agent_runtime.discovery import ContractFile
    from agent_runtime.router.governance import Governance

    data = contract({"m": {"endpoints": []}})
    data["tiers"] = {"commercial": {"secret": "tier-commercial", "models": {}}}
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BadInputError, match="tier-commercial"):
        Governance.check(Settings(path), ContractFile(path).load())


# Tiers, privacy and money


async def test_routine_work_stays_and_hard_work_goes_out_and_costs(tmp_path: Path) -> None:
    async with governed(tmp_path, commercial=True) as (rig, engines, _):
        easy = await asked(rig)
        assert (easy.headers["x-paddock-model"], len(engines["commercial"].asked)) == ("m", 0)
        assert easy.headers["x-paddock-reason"].startswith("routine")
        hard = await asked(rig, PROOF)
        assert hard.headers["x-paddock-reason"].startswith("complex")
        assert engines["commercial"].asked[0].json["model"] == "big-one"
        assert TIER_SECRET.encode() in engines["commercial"].asked[0].head
        # Seven tokens of the prompt and two of the answer.
        assert float(hard.headers["x-paddock-cost-usd"]) == 11.0
        report = (await rig.client.get("/api/paddock/costs")).json()
        spent = {entry["tier"]: entry["usd"] for entry in report["byTier"]}
        assert spent["commercial"] == 11.0
        assert await rig.metric('paddock_month_spend_usd{tier="commercial",key="anonymous"}') == 11.0
        logged = rig.events("request")
        assert [line["usd"] for line in logged if line["tier"] == "commercial"] == [11.0]
        assert "primes" not in "".join(rig.log_lines)


@pytest.mark.parametrize("local_up", [True, False])
async def test_a_private_prompt_stays_even_where_it_cannot_be_answered(tmp_path: Path, local_up: bool) -> None:
    async with governed(tmp_path, commercial=True) as (rig, engines, _):
        if not local_up:
            await engines["m"].stop()
        reply = await asked(rig, f"{PRIVATE} {PROOF}")
        assert reply.status_code == (200 if local_up else 503)
        assert engines["commercial"].asked == []
        assert CARD not in "".join(rig.log_lines) + str(reply.headers)


async def test_a_prompt_too_long_for_the_event_loop_is_looked_at_all_the_same(tmp_path: Path) -> None:
    async with governed(tmp_path, commercial=True) as (rig, engines, _):
        reply = await asked(rig, f"{'A word and another. ' * 5000}{PRIVATE}")
        assert reply.headers["x-paddock-reason"].startswith("private")
        assert engines["commercial"].asked == []


async def test_a_budget_that_is_spent_closes_the_tier(tmp_path: Path) -> None:
    budget = {"monthlyUsd": 100.0, "softLimit": 1.0}
    async with governed(tmp_path, commercial=True, budget=budget) as (rig, engines, _):
        # What a request may cost at most has to fit, so that what it does cost never goes beyond.
        reply = await asked(rig, PROOF, max_tokens=10)
        assert reply.status_code == 200
        assert engines["commercial"].asked == []
        assert "budget" in rig.events("request")[-1]["reason"] or reply.headers["x-paddock-model"] == "m"


async def test_past_the_soft_limit_only_high_priority_is_paid_for(tmp_path: Path) -> None:
    budget = {"monthlyUsd": 5000.0, "softLimit": 0.0}
    async with governed(tmp_path, commercial=True, budget=budget) as (rig, engines, _):
        await asked(rig, PROOF)
        assert engines["commercial"].asked == []
        await asked(rig, PROOF, headers={"X-Paddock-Priority": "high"})
        assert len(engines["commercial"].asked) == 1


async def test_a_key_s_budget_holds_on_the_fleet_itself_too(tmp_path: Path) -> None:
    keys = {"web": {"monthlyUsd": 500.0}, "other": {}}
    async with governed(tmp_path, keys=keys) as (rig, engines, plain):
        statuses = [(await asked(rig, headers=bearer(plain["web"]))).status_code for _ in range(60)]
        assert set(statuses) == {200, 429}
        assert statuses == sorted(statuses)
        spent = statuses.count(200) * 11.0
        assert 0 < spent <= 500.0
        assert (await asked(rig, headers=bearer(plain["other"]))).status_code == 200
        assert len(engines["m"].asked) == statuses.count(200) + 1


async def test_a_client_that_leaves_pays_for_what_was_made(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def endless(talk: Talk) -> None:
        await talk.begin()
        for _ in range(40):
            await talk.chunk(sse(openai_chunk(content="word ")))
        started.set()
        await talk.client_left.wait()

    async with governed(tmp_path, commercial=True) as (rig, engines, _):
        engines["commercial"].script = endless
        body = {"model": "m", "messages": [{"role": "user", "content": PROOF}], "stream": True, "max_tokens": 100}
        async with rig.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.status_code == 200
            await asyncio.wait_for(started.wait(), 5)
        await eventually(lambda: any(line["status"] == 499 for line in rig.events("request")))
        ended = next(line for line in rig.events("request") if line["status"] == 499)
        # Some forty tokens at two dollars, and the prompt.
        assert 60.0 < ended["usd"] < 1000.0


# The cache


@pytest.mark.parametrize("stream", [True, False])
async def test_the_same_deterministic_request_is_answered_once(tmp_path: Path, stream: bool) -> None:
    async with governed(tmp_path) as (rig, engines, _):
        first = await asked(rig, temperature=0, stream=stream)
        again = await asked(rig, temperature=0, stream=stream)
        assert (first.headers["x-paddock-cache"], again.headers["x-paddock-cache"]) == ("miss", "hit")
        assert len(engines["m"].asked) == 1
        assert without_id(again.text) == without_id(first.text)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert first.headers["x-paddock-request-id"] != again.headers["x-paddock-request-id"]
        assert "x-paddock-cache" not in (await asked(rig, temperature=0.5)).headers


async def test_nobody_gets_another_key_s_answer(tmp_path: Path) -> None:
    async with governed(tmp_path, keys={"a": {}, "b": {}}) as (rig, engines, plain):
        for name in ("a", "b"):
            reply = await asked(rig, temperature=0, headers=bearer(plain[name]))
            assert reply.headers["x-paddock-cache"] == "miss"
        assert len(engines["m"].asked) == 2


async def test_a_client_may_insist_on_a_fresh_answer(tmp_path: Path) -> None:
    async with governed(tmp_path) as (rig, engines, _):
        for _ in range(2):
            await asked(rig, temperature=0, headers={"Cache-Control": "no-cache"})
        assert len(engines["m"].asked) == 2


# A/B tests


async def test_a_session_stays_with_its_arm_and_votes_find_it(tmp_path: Path) -> None:
    aliases = {"best": {"m": 1.0, "m1": 1.0}}
    async with governed(tmp_path, models=2, aliases=aliases) as (rig, _, _plain):
        arms: dict[str, set[str]] = {}
        votes = Counter[str]()
        for number in range(40):
            session = f"s{number % 10}"
            reply = await asked(rig, model="best", headers={"X-Paddock-Session": session})
            arm = reply.headers["x-paddock-model"]
            arms.setdefault(session, set()).add(arm)
            vote = {"requestId": reply.headers["x-paddock-request-id"], "score": 1}
            told = await rig.client.post("/api/paddock/feedback", json=vote)
            assert (told.status_code, told.json()["arm"]) == (200, arm)
            votes[arm] += 1
        assert all(len(found) == 1 for found in arms.values())
        assert len(set.union(*arms.values())) == 2
        report = (await rig.client.get("/api/paddock/experiments?minutes=5")).json()
        counted = {name: arm["requests"] for name, arm in report["experiments"]["best"]["arms"].items()}
        assert counted == dict(votes)


async def test_a_vote_on_nothing_is_refused(tmp_path: Path) -> None:
    async with governed(tmp_path) as (rig, _, _plain):
        reply = await asked(rig)
        vote = {"requestId": reply.headers["x-paddock-request-id"], "score": 1}
        assert (await rig.client.post("/api/paddock/feedback", json=vote)).status_code == 404


@pytest.mark.parametrize("query", ["?from=yesterday", "?from=2026-02-01&to=2026-01-01"])
async def test_days_that_are_none_are_told(tmp_path: Path, query: str) -> None:
    async with governed(tmp_path) as (rig, _, _plain):
        assert (await rig.client.get(f"/api/paddock/costs{query}")).status_code == 400


async def test_nothing_but_hello_needs_the_classifier(tmp_path: Path) -> None:
    async with governed(tmp_path) as (rig, _, _plain):
        assert rig.router.governance.policy is None
        assert (await asked(rig, HELLO["content"])).status_code == 200
