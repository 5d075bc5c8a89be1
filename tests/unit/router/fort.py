"""A router with everything on, before scripted engines in every tier, of which those outside note what they see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import (
    OLLAMA_DONE,
    QUICK,
    Rig,
    Script,
    Talk,
    contract,
    demand_quiet,
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


SLEEPING = {name: {"model": "tiny:1b", "engine": "llamacpp", "contextLength": 9999, "sleeps": True} for name in "mn"}
ASLEEP = {"queue": {"wakeSeconds": 0.1}}
