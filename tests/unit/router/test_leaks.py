"""A private prompt never leaves the fleet: hundreds of them, by every way in, while everything goes wrong."""

from __future__ import annotations

import asyncio
import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router import endpoint_state
from agent_runtime.router.prompts.classifier import Classifier
from tests.unit.router.fort import (
    ASLEEP,
    MARK,
    PATHS,
    PUBLIC,
    SLEEPING,
    Fort,
    Mode,
    answers,
    cut_off,
    error_within,
    fort,
    half,
    hangs_up,
    nonsense,
    refuses,
    silent,
    slow,
)
from tests.unit.router.private_prompts import generated, labelled

pytestmark = pytest.mark.unit

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


FULL = {"queue": {"maxActivePerSlot": 1, "maxWaiting": 1, "waitSeconds": 0.05}}
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
