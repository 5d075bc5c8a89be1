"""A private prompt never leaves the fleet: hundreds of them, by every way in, while everything goes wrong."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router import endpoint_state
from agent_runtime.router.prompts.classifier import Classifier
from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.private_prompts import generated, labelled
from tests.unit.router.rig import (
    OLLAMA_DONE,
    QUICK,
    Rig,
    Script,
    Talk,
    contract,
    demand_quiet,
    eventually,
    ndjson,
    ollama_line,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    running,
    sse,
)
from tests.unit.router.tiers import TierEngine

pytestmark = pytest.mark.unit

MARK = "qzx"
"""In every prompt that must stay; nothing else has it."""
PUBLIC = "Which river flows through Vienna, and where does it end?"
OUTSIDE_FIRST = ["commercial", "cloud", "local"]
EVERYTHING = ["chat", "completion", "embedding", "vision", "tools"]
LIMITS = replace(QUICK, connect_seconds=1.0, first_byte_seconds=0.25, idle_gap_seconds=0.25, probe_seconds=0.1)

PATHS = {
    "/v1/chat/completions": "messages",
    "/api/chat": "messages",
    "/v1/completions": "prompt",
    "/api/generate": "prompt",
    "/v1/embeddings": "input",
    "/api/embed": "input",
    "/api/embeddings": "prompt",
    "/v1/responses": "input",
}


async def answers(talk: Talk) -> None:
    """Says something in whatever shape it is asked for."""
    path, body = talk.asked.path, talk.asked.json
    if "embed" in path:
        await talk.reply({"data": [{"index": 0, "embedding": [0.5]}], "embeddings": [[0.5]], "embedding": [0.5]})
    elif path.startswith("/api/"):
        text = {"response": "Hi"} if path == "/api/generate" else {}
        lines = [ollama_line("Hi", **text), ollama_line("", **text, **OLLAMA_DONE)]
        if body.get("stream", True):
            await talk.stream(ndjson(*lines), content_type="application/x-ndjson")
        else:
            await talk.reply({**lines[0], **OLLAMA_DONE})
    elif body.get("stream"):
        await talk.stream(sse(openai_chunk(content="Hi"), openai_end(), openai_usage(), b"[DONE]"))
    else:
        await talk.reply(openai_whole())


def refuses(status: str) -> Script:
    async def script(talk: Talk) -> None:
        await talk.reply({"error": {"message": "no"}}, status=status)

    return script


async def hangs_up(talk: Talk) -> None:
    await talk.hang_up()


async def cut_off(talk: Talk) -> None:
    await talk.begin()
    await talk.chunk(sse(openai_chunk(content="Hi")))
    await talk.hang_up()


async def half(talk: Talk) -> None:
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await talk.hang_up()


async def nonsense(talk: Talk) -> None:
    await talk.send(b"\x00\x01 what is this\r\n\r\n")
    await talk.hang_up()


async def silent(talk: Talk) -> None:
    await talk.client_left.wait()


async def slow(talk: Talk) -> None:
    await asyncio.sleep(0.02)
    await answers(talk)


async def error_within(talk: Talk) -> None:
    """Quotes what it was asked, as engines do."""
    said = json.dumps(talk.asked.json)[:3000]
    await talk.stream(sse({"error": {"message": f"cannot read: {said}", "code": 500}}))


Chaos = Callable[["Fort"], Awaitable[None]]


async def calm(_fort: Fort) -> None:
    """Nothing happens beside the requests."""


@dataclass(frozen=True)
class Mode:
    """A way for things to go wrong."""

    name: str
    local: Script = answers
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the contract."""
    key: str = "web"
    chaos: Chaos = calm
    public: bool = False
    """Whether it is not the prompt that makes the request private."""
    padding: int = 0
    clients: int = 6
    stopped: bool = False
    """Whether the fleet's engines are not even there."""
    break_classifier: bool = False


@dataclass
class Fort:
    """The router, and who is around it."""

    rig: Rig
    local: list[TierEngine]
    outside: dict[str, TierEngine]
    data: dict[str, Any]
    keys: dict[str, str]
    secrets: Path
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def seen_outside(self) -> list[bytes]:
        return [one.head + one.body for engine in self.outside.values() for one in engine.asked]


@asynccontextmanager
async def fort(tmp_path: Path, mode: Mode) -> AsyncIterator[Fort]:
    local = [TierEngine(mode.local) for _ in range(2)]
    outside = {"cloud": TierEngine(answers), "commercial": TierEngine(answers)}
    for engine in [*local, *outside.values()]:
        await engine.start()
    entry = {"capabilities": EVERYTHING, "contextLength": 100_000}
    models = {name: {**entry, "endpoints": [{"url": engine.url}]} for name, engine in zip("mn", local, strict=True)}
    data = {**contract(models, {"best": {"m": 1.0, "n": 1.0}}), "budget": {"monthlyUsd": 1e9}}
    data["routing"] = {"routine": OUTSIDE_FIRST, "complex": OUTSIDE_FIRST, "queue": {"waitSeconds": 0.2}}
    price = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0}
    data["tiers"] = {
        tier: {
            "secret": f"tier-{tier}",
            "models": {
                name: {
                    **entry,
                    "model": name if name == "n" else f"{tier}-model",
                    "engine": "ollama" if tier == "cloud" else "openai",
                    "tier": tier,
                    "endpoints": [{"url": engine.url}],
                    "price": price,
                }
                for name in ("m", "n", "best")
            },
        }
        for tier, engine in outside.items()
    }
    plain = {name: new_key() for name in ("web", "own")}
    data["keys"] = {
        "web": {"hash": hash_of(plain["web"]), "priority": "high"},
        "own": {"hash": hash_of(plain["own"]), "private": True},
    }
    for name, part in mode.parts.items():
        data[name] = {**data.get(name, {}), **part}
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for tier in outside:
        (secrets / f"tier-{tier}").write_text("-".join(("not", "a", "real", tier)))
        (secrets / f"tier-{tier}").chmod(0o600)
    if mode.stopped:
        for engine in local:
            await engine.stop()
    settings = Settings(tmp_path / "fleet.json", secrets=secrets)
    try:
        async with running(tmp_path, data=data, settings=settings, limits=LIMITS) as rig:
            yield Fort(rig, local, outside, data, plain, secrets)
            await demand_quiet(rig)
    finally:
        for engine in [*local, *outside.values()]:
            await engine.stop()


# What happens meanwhile


async def contract_changes(fort: Fort) -> None:
    """Tiers go and come, models move and go, rules and aliases change."""
    rng = random.Random(5)
    for number in range(1_000_000):
        data = deepcopy(fort.data)
        if rng.random() < 0.3:
            data["tiers"] = {}
        elif rng.random() < 0.3:
            del data["tiers"]["commercial"]
        if rng.random() < 0.4:
            del data["models"]["m"]
            data["aliases"] = {"best": {"n": 1.0}}
        if rng.random() < 0.5:
            data["models"]["n"]["endpoints"] = [{"url": rng.choice(fort.local).url}]
        if rng.random() < 0.5:
            data["privacy"] = {"patterns": {f"p{number}": f"nothing{number}"}}
        elif rng.random() < 0.3:
            data["privacy"] = {"patterns": {"bad": "(?=bad)"}}
        fort.rig.write_contract(data)
        await asyncio.sleep(0.03)
        if fort.done.is_set():
            return


async def model_goes(fort: Fort) -> None:
    """The models leave the fleet while requests wait for them."""
    while not fort.done.is_set():
        for models in ({}, fort.data["models"]):
            fort.rig.write_contract({**fort.data, "models": models, "aliases": {}})
            await asyncio.sleep(0.1)


async def secrets_change(fort: Fort) -> None:
    while not fort.done.is_set():
        for tier in fort.outside:
            path = fort.secrets / f"tier-{tier}"
            path.unlink()
            await asyncio.sleep(0.06)
            path.write_text("-".join(("another", tier)))
            path.chmod(0o600)
            await asyncio.sleep(0.06)


async def engines_come_and_go(fort: Fort) -> None:
    while not fort.done.is_set():
        for engine in fort.local:
            port = engine.port
            await engine.stop()
            await asyncio.sleep(0.03)
            await engine.start(port)


async def retries_are_spent(fort: Fort) -> None:
    while not fort.done.is_set():
        for model in fort.rig.router.fleet.all_models():
            while model.retries.may_retry(fort.rig.router.loop.time()):
                pass
        await asyncio.sleep(0.02)


SLEEPING = {name: {"model": "tiny:1b", "engine": "llamacpp", "contextLength": 9999, "sleeps": True} for name in "mn"}
FULL = {"queue": {"maxActivePerSlot": 1, "maxWaiting": 1, "waitSeconds": 0.05}}
ASLEEP = {"queue": {"wakeSeconds": 0.1}}

MODES = [
    Mode("all is well"),
    Mode("the fleet is down", stopped=True),
    Mode("500", local=refuses("500 Internal Server Error")),
    Mode("503", local=refuses("503 Service Unavailable")),
    Mode("429", local=refuses("429 Too Many Requests")),
    Mode("404", local=refuses("404 Not Found")),
    Mode("hangs up", local=hangs_up),
    Mode("cut off", local=cut_off),
    Mode("half an answer", local=half),
    Mode("nonsense", local=nonsense),
    Mode("an error within", local=error_within),
    Mode("silent", local=silent, clients=24),
    Mode("full", local=slow, parts={"routing": FULL}, clients=16),
    Mode("asleep", parts={"models": SLEEPING, "routing": ASLEEP}, clients=16),
    Mode("engines come and go", chaos=engines_come_and_go),
    Mode("another contract again and again", local=slow, chaos=contract_changes),
    Mode("the model goes", local=silent, chaos=model_goes, clients=16),
    Mode("asleep, and the model goes", parts={"models": SLEEPING}, chaos=model_goes, clients=16),
    Mode("retries are spent", local=hangs_up, chaos=retries_are_spent),
    Mode("secrets change", local=hangs_up, chaos=secrets_change),
    Mode("cached", fields={"temperature": 0, "options": {"temperature": 0}}),
    Mode("pinned to the cloud", headers={"X-Paddock-Tier": "cloud"}),
    Mode("pinned to the commercial tier", local=hangs_up, headers={"X-Paddock-Tier": "commercial"}),
    Mode(
        "urgent and complex", local=hangs_up, headers={"X-Paddock-Priority": "high", "X-Paddock-Complexity": "complex"}
    ),
    Mode("said to be public", local=hangs_up, headers={"X-Paddock-Privacy": "public"}),
    Mode("too long for the event loop", local=hangs_up, padding=40_000),
    Mode("too long, and another contract", local=hangs_up, padding=40_000, chaos=contract_changes),
    Mode("a private key", local=hangs_up, key="own", public=True),
    Mode("said to be private", local=hangs_up, headers={"X-Paddock-Privacy": "private"}, public=True),
    Mode("private by default", local=hangs_up, parts={"privacy": {"default": "private"}}, public=True),
    Mode("a pattern of one's own", local=hangs_up, parts={"privacy": {"patterns": {"ours": MARK}}}, public=True),
    Mode("no classifier", local=hangs_up, break_classifier=True, public=True),
]


def texts_for(mode: Mode, count: int = 24) -> list[str]:
    """Each mode gets prompts of its own: together they are hundreds."""
    if mode.public:
        return [PUBLIC] * count
    at = MODES.index(mode)
    known = labelled()
    return generated(count // 2, seed=at) + [known[(at * 11 + number) % len(known)] for number in range(count // 2)]


def asking(rng: random.Random, text: str, mode: Mode) -> tuple[str, dict[str, Any]]:
    """A way to ask it: path and body."""
    path, place = rng.choice(list(PATHS.items()))
    padding = "A word and another one. " * (mode.padding // 24)
    body: dict[str, Any] = {"model": rng.choice(("m", "n", "best")), **mode.fields}
    if "embed" not in path:
        body["stream"] = rng.random() < 0.5
    told = f"{padding}{text}\n{MARK}"
    if place != "messages":
        return path, {**body, place: told}
    user: dict[str, Any] = {"role": "user", "content": "Go on"}
    other = {"role": rng.choice(("system", "user", "assistant")), "content": told}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": {}}}
    if path.startswith("/v1"):
        call["function"] = {"name": "look", "arguments": "{}"}
    ways: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": told}]},
        {"messages": [other, user]},
        {
            "messages": [
                {"role": "user", "content": "Look it up"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": told},
            ]
        },
    ]
    if path.startswith("/v1"):
        ways.append({"messages": [{"role": "user", "content": [{"type": "text", "text": told}]}]})
    return path, {**body, **rng.choice(ways)}


async def ask_all(fort: Fort, mode: Mode) -> list[int]:
    """Ask everything there is to ask, and give the statuses."""
    rng = random.Random(mode.name)
    asked = [asking(rng, text, mode) for text in texts_for(mode)]
    if mode.name == "cached":
        asked += asked
    headers = {"Authorization": f"Bearer {fort.keys[mode.key]}", **mode.headers}
    room = asyncio.Semaphore(mode.clients)

    async def one(path: str, body: dict[str, Any]) -> int:
        async with room:
            try:
                return (await fort.rig.client.post(path, json=body, headers=headers)).status_code
            except httpx.RemoteProtocolError:
                return 0  # broken off in the middle, as its engine's answer was

    return await asyncio.gather(*(one(path, body) for path, body in asked))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_no_private_prompt_leaves_the_fleet(tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_state, "_FIRST_BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(endpoint_state, "_LONGEST_BACK_OFF_SECONDS", 0.02)
    if mode.break_classifier:

        def fails(*_: object, **__: object) -> None:
            raise KeyError(MARK)

        monkeypatch.setattr(Classifier, "classify", fails)
    async with fort(tmp_path, mode) as fortress:
        chaos = asyncio.ensure_future(mode.chaos(fortress))
        statuses = await ask_all(fortress, mode)
        fortress.done.set()
        await chaos
        leaked = [one for one in fortress.seen_outside() if MARK.encode() in one]
        assert leaked == []
        if mode.name in ("all is well", "cached", "secrets change"):
            assert set(statuses) <= ({200} if mode.local is answers else {200, 502, 503})
        assert 500 not in statuses or mode.name == "500"
        assert MARK not in json.dumps(fortress.rig.log())
        told = await fortress.rig.client.get("/readyz")
        assert MARK not in told.text


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_public_does_leave_it_by_the_same_ways(tmp_path: Path, path: str) -> None:
    """Without this, a router that sends nothing anywhere would pass."""
    async with fort(tmp_path, Mode("public", local=hangs_up)) as fortress:
        place = PATHS[path]
        told: Any = [{"role": "user", "content": PUBLIC}] if place == "messages" else PUBLIC
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        reply = await fortress.rig.client.post(path, json={"model": "m", place: told}, headers=headers)
        assert reply.status_code == 200
        assert reply.headers["x-paddock-tier"] == "commercial" if path != "/v1/responses" else True
        assert any(b"Vienna" in one for one in fortress.seen_outside())


async def test_what_is_hidden_behind_a_second_name_does_not_leave(tmp_path: Path) -> None:
    """Of a name that is there twice, JSON's readers take the first or the last: outside, there is one only."""
    async with fort(tmp_path, Mode("twice", local=hangs_up)) as fortress:
        private = json.dumps([{"role": "user", "content": f"{generated(1, 3)[0]} {MARK}"}])
        public = json.dumps([{"role": "user", "content": PUBLIC}])
        raw = f'{{"model": "n", "messages": {private}, "messages": {public}}}'
        headers = {"Authorization": f"Bearer {fortress.keys['web']}", "Content-Type": "application/json"}
        reply = await fortress.rig.client.post("/v1/chat/completions", content=raw, headers=headers)
        assert reply.status_code == 200
        seen = b"".join(fortress.seen_outside())
        assert b"Vienna" in seen
        assert MARK.encode() not in seen


@pytest.mark.parametrize(
    "place",
    [
        {"service_tier": "TEXT"},
        {"reasoning_effort": "TEXT"},
        {"metadata": {"note": "TEXT"}},
        {"metadata": {"TEXT": True}},
        {"metadata": {"TEXT": {"a": {}}}},
        {"user": "TEXT"},
        {"stop": ["TEXT"]},
        {"tool_choice": {"type": "function", "function": {"name": "TEXT"}}},
        {"tools": [{"type": "function", "function": {"name": "f", "description": "TEXT", "parameters": {}}}]},
        {"prediction": {"type": "content", "content": "TEXT"}},
        {"new_field_of_next_year": {"deep": [["TEXT"]]}},
        {"messages": [{"role": "user", "name": "TEXT", "content": PUBLIC}]},
        {"messages": [{"role": "TEXT", "content": PUBLIC}]},
    ],
    ids=str,
)
async def test_no_field_is_a_hiding_place(tmp_path: Path, place: dict[str, Any]) -> None:
    number = " ".join(("4111", "1111", "1111", "1111"))
    filled = json.loads(json.dumps(place).replace("TEXT", f"my card number is {number}"))
    body = {"model": "n", "messages": [{"role": "user", "content": PUBLIC}], **filled}
    async with fort(tmp_path, Mode("hiding place")) as fortress:
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        await fortress.rig.client.post("/v1/chat/completions", json=body, headers=headers)
        assert fortress.seen_outside() == []


# What the rules say while a request is on its way


async def test_who_waits_while_the_rules_change_goes_by_the_new_ones(tmp_path: Path) -> None:
    mode = Mode("waits", parts={"models": SLEEPING, "routing": {"routine": ["local", "cloud"], **ASLEEP}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        fortress.outside["cloud"].script = silent
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        # Nobody may have a second request at the cloud: the next one waits there.
        data = deepcopy(fortress.data)
        data["routing"]["queue"] = {"maxActivePerSlot": 1, "waitSeconds": 5.0, "wakeSeconds": 0.2}
        rig.write_contract(data)
        await eventually(lambda: rig.router.fleet.tiers["cloud"].models["m"].limit == 1)
        cloud = rig.router.fleet.tiers["cloud"].models["m"]
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        pin = {**headers, "X-Paddock-Tier": "cloud"}
        first = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=body, headers=headers | pin))
        await eventually(lambda: fortress.outside["cloud"].asked)
        marked = {"model": "m", "messages": [{"role": "user", "content": f"{PUBLIC} {MARK}"}]}
        second = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=marked, headers=headers | pin))
        await eventually(lambda: cloud.line.size == 1)
        rig.write_contract({**data, "privacy": {"default": "private"}})
        assert (await second).status_code == 403
        await first
        assert not any(MARK.encode() in one for one in fortress.seen_outside())


async def test_a_fallback_that_was_decided_by_old_rules_is_not_taken(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def fails_late(talk: Talk) -> None:
        await gate.wait()
        await talk.hang_up()

    mode = Mode("late", local=fails_late, parts={"routing": {"routine": ["local", "cloud", "commercial"]}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        rig.router.account._limits = replace(LIMITS, first_byte_seconds=5.0)
        body = {"model": "m", "messages": [{"role": "user", "content": f"{PUBLIC} {MARK}"}]}
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        task = asyncio.ensure_future(rig.client.post("/v1/chat/completions", json=body, headers=headers))
        await eventually(lambda: fortress.local[0].asked)
        policy = rig.router.governance.policy
        assert policy is not None
        # A contract in between that changes nothing of the rules must not make it forget who decided.
        rig.write_contract({**fortress.data, "stack": "other"})
        await eventually(lambda: rig.router.governance.policy is not policy)
        rig.write_contract({**fortress.data, "privacy": {"patterns": {"ours": MARK}}})
        await eventually(lambda: policy.withdrawn)
        gate.set()
        assert (await task).status_code in (502, 504)
        assert fortress.seen_outside() == []


@pytest.mark.parametrize("first_good", [True, False])
async def test_rules_that_cannot_be_used_leave_the_last_good_ones_in_force(tmp_path: Path, first_good: bool) -> None:
    mode = Mode("bad rules", local=hangs_up, parts={"privacy": {"patterns": {"ours": "PRJ-[0-9]{6}"}}})
    async with fort(tmp_path, mode) as fortress:
        rig = fortress.rig
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}

        async def leaves(text: str) -> bool:
            before = len(fortress.seen_outside())
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            await rig.client.post("/v1/chat/completions", json=body, headers=headers)
            return len(fortress.seen_outside()) > before

        assert await leaves(PUBLIC)
        if not first_good:
            from agent_runtime.router.privacy_rules import PrivacyRules

            rig.router.governance.privacy = PrivacyRules()
        rig.write_contract({**fortress.data, "privacy": {"patterns": {"theirs": r"(?=look)\d"}}})
        await eventually(lambda: rig.router.governance.privacy.problem)
        assert not await leaves("Ask about PRJ-123456 please")
        assert await leaves(PUBLIC) is first_good
        problems = (await rig.client.get("/readyz")).json()["problems"]
        assert any("privacy.patterns.theirs" in one for one in problems)
        rig.write_contract({**fortress.data, "privacy": {}})
        await eventually(lambda: rig.router.governance.privacy.problem is None)
        assert await leaves(PUBLIC)
        assert await leaves("Ask about PRJ-123456 please")


async def test_rules_that_cannot_be_used_but_are_stricter_count_as_far_as_they_can(tmp_path: Path) -> None:
    async with fort(tmp_path, Mode("stricter", local=hangs_up)) as fortress:
        rig = fortress.rig
        rig.write_contract({**fortress.data, "privacy": {"default": "private", "patterns": {"bad": "("}}})
        await eventually(lambda: rig.router.governance.privacy.problem)
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        assert (await rig.client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 502
        assert fortress.seen_outside() == []


async def test_a_tier_whose_key_is_gone_is_not_shown_a_prompt_and_people_are_told(tmp_path: Path) -> None:
    async with fort(tmp_path, Mode("no key")) as fortress:
        rig = fortress.rig
        headers = {"Authorization": f"Bearer {fortress.keys['web']}"}
        body = {"model": "m", "messages": [{"role": "user", "content": PUBLIC}]}
        for tier in fortress.outside:
            (fortress.secrets / f"tier-{tier}").unlink()
        await eventually(lambda: rig.router.governance.tier_problem)
        reply = await rig.client.post("/v1/chat/completions", json=body, headers=headers)
        assert (reply.status_code, reply.headers["x-paddock-tier"]) == (200, "local")
        assert fortress.seen_outside() == []
        assert "tier-cloud, tier-commercial" in (await rig.client.get("/readyz")).json()["problems"][0]
        pinned = await rig.client.post("/v1/chat/completions", json=body, headers=headers | {"X-Paddock-Tier": "cloud"})
        assert pinned.status_code == 503
        assert "key" in pinned.json()["error"]["message"]
