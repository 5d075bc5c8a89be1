"""Keys come, go and run out while requests are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router.settings import Settings
from fleet_spec.keys import hash_of, new_key
from tests.unit.router.rig import (
    HELLO,
    Rig,
    ScriptedEngine,
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

pytestmark = pytest.mark.unit

BODY = {"model": "m", "messages": [HELLO]}


async def quick(talk: Talk) -> None:
    await asyncio.sleep(0.002)
    await talk.reply(openai_whole())


class Gated:
    """A stream of two halves, the second when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(openai_chunk(content="first ")))
        await self.open.wait()
        await talk.chunk(sse(openai_chunk(content="second"), openai_end(), b"[DONE]"))
        await talk.end()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def mounted(directory: Path, version: int, keys: dict[str, str]) -> None:
    """Write secrets as Kubernetes does: a new directory, and one link that is renamed over the old one."""
    fresh = directory / f"..version-{version}"
    fresh.mkdir(parents=True)
    for name, key in keys.items():
        (fresh / name).write_text(key + "\n")
    link = directory / "..data_new"
    link.symlink_to(fresh.name)
    link.replace(directory / "..data")
    for name in keys:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    for path in directory.iterdir():
        if not path.name.startswith("..") and path.name not in keys:
            path.unlink()


@asynccontextmanager
async def keyed(
    tmp_path: Path, script: Any = quick, *, host: str = "127.0.0.1", **keys: dict[str, Any]
) -> AsyncIterator[tuple[Rig, ScriptedEngine, dict[str, str], dict[str, Any]]]:
    """A router with keys of its contract, and a mount of secrets with the key ``default``."""
    engine = ScriptedEngine(script)
    await engine.start()
    plain = {name: new_key() for name in (*keys, "default")}
    data = contract({"m": {"endpoints": [{"url": engine.url}]}})
    data["keys"] = {name: {"hash": hash_of(plain[name]), **said} for name, said in keys.items()}
    secrets = tmp_path / "secrets"
    mounted(secrets, 0, {"default": plain["default"]})
    settings = Settings(tmp_path / "fleet.json", host=host, secrets=secrets)
    try:
        async with running(tmp_path, data=data, settings=settings) as rig:
            yield rig, engine, plain, data
            await demand_quiet(rig)
    finally:
        await engine.stop()


async def ask(rig: Rig, key: str, **fields: Any) -> httpx.Response:
    return await rig.client.post("/v1/chat/completions", json={**BODY, **fields}, headers=bearer(key))


async def test_a_key_is_rotated_under_load_without_a_request_refused(tmp_path: Path) -> None:
    async with keyed(tmp_path, web={}) as (rig, _, plain, data):
        current, stop = plain["web"], asyncio.Event()
        statuses: list[int] = []

        async def load() -> None:
            while not stop.is_set():
                statuses.append((await ask(rig, current)).status_code)

        loads = [asyncio.ensure_future(load()) for _ in range(4)]
        for _ in range(5):
            fresh = new_key()
            # As `paddock keys rotate` does: the old key goes on for a while beside the new one.
            data["keys"] = {"web": {"hash": hash_of(fresh)}, "web-previous": {"hash": hash_of(current)}}
            rig.write_contract(data)
            await eventually(lambda fresh=fresh: hash_of(fresh) in rig.router.governance.access._callers)
            old, current = current, fresh
            done = len(statuses)
            await eventually(lambda done=done: len(statuses) > done + 8)
            del data["keys"]["web-previous"]
            rig.write_contract(data)
            await eventually(lambda old=old: hash_of(old) not in rig.router.governance.access._callers)
            assert (await ask(rig, old)).status_code == 401
        stop.set()
        await asyncio.gather(*loads)
        assert set(statuses) == {200}


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_stream_that_was_let_in_ends_and_the_next_request_of_its_connection_is_refused(
    tmp_path: Path, how: str
) -> None:
    gate = Gated()
    async with keyed(tmp_path, gate, web={}, other={}) as (rig, _, plain, data):
        async with rig.client.stream(
            "POST", "/v1/chat/completions", json={**BODY, "stream": True}, headers=bearer(plain["web"])
        ) as reply:
            lines = reply.aiter_lines()
            assert "first" in await anext(lines)
            if how == "revoked":
                del data["keys"]["web"]
            else:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                data["keys"]["web"]["expires"] = now
            rig.write_contract({**data, "stack": "later"})
            await eventually(lambda: rig.router.fleet.stack == "later")
            gate.open.set()
            rest = [line async for line in lines if line]
            assert "second" in rest[0]
            assert rest[-1] == "data: [DONE]"
        refused = await ask(rig, plain["web"])
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == ("expired_api_key" if how == "expired" else "invalid_api_key")
        gate.open.set()
        assert (await ask(rig, plain["other"])).status_code == 200


async def test_a_mount_is_swapped_whole_as_kubernetes_does_it(tmp_path: Path) -> None:
    async with keyed(tmp_path, web={}) as (rig, _, plain, _data):
        key = plain["default"]
        for version in range(1, 6):
            assert (await ask(rig, key)).status_code == 200
            fresh = new_key()
            mounted(tmp_path / "secrets", version, {"default": fresh, f"extra-{version}": new_key()})
            await eventually(lambda fresh=fresh: hash_of(fresh) in rig.router.governance.access._callers)
            assert (await ask(rig, key)).status_code == 401
            assert f"extra-{version - 1}" not in rig.router.governance.access.names
            key = fresh
        assert rig.router.governance.secrets_problem is None
        assert rig.events("secrets_unusable") == []
        assert key not in "".join(rig.log_lines)


async def test_a_mount_that_cannot_be_used_keeps_the_last_keys_and_is_told(tmp_path: Path) -> None:
    async with keyed(tmp_path, web={}, watch={"scopes": ["metrics"]}) as (rig, _, plain, _data):
        mounted(tmp_path / "secrets", 1, {"default": "two words"})
        await eventually(lambda: rig.router.governance.secrets_problem)
        assert (await ask(rig, plain["default"])).status_code == 200
        ready = await rig.client.get("/readyz")
        assert ready.status_code == 200
        assert "blank" in ready.json()["problems"][0]
        told = await rig.client.get("/api/paddock/status", headers=bearer(plain["watch"]))
        assert told.json()["problems"] == ready.json()["problems"]
        mounted(tmp_path / "secrets", 2, {"default": plain["default"]})
        await eventually(lambda: rig.router.governance.secrets_problem is None)
        assert "problems" not in (await rig.client.get("/readyz")).json()


OWN_PATHS = ("/metrics", "/api/paddock/status", "/api/paddock/costs", "/api/paddock/experiments")


async def test_each_scope_opens_its_own_doors_and_no_other(tmp_path: Path) -> None:
    scopes = {"talker": ["chat"], "watcher": ["metrics"], "boss": ["admin"]}
    keys: dict[str, Any] = {name: {"scopes": scope} for name, scope in scopes.items()}
    async with keyed(tmp_path, **keys) as (rig, _, plain, _data):
        opened = {
            name: {path for path in OWN_PATHS if (await rig.client.get(path, headers=bearer(plain[name]))).is_success}
            for name in scopes
        }
        assert opened == {"talker": set(), "watcher": set(OWN_PATHS), "boss": set()}
        vote = {"requestId": "none", "score": 1}
        for name, status in (("talker", 404), ("watcher", 403), ("boss", 403)):
            told = await rig.client.post("/api/paddock/feedback", json=vote, headers=bearer(plain[name]))
            assert told.status_code == status, told.text
        statuses = {name: (await ask(rig, plain[name])).status_code for name in scopes}
        assert statuses == {"talker": 200, "watcher": 403, "boss": 403}
        for name, status in (("talker", 403), ("watcher", 403)):
            told = await rig.client.post("/api/pull", json={"model": "x"}, headers=bearer(plain[name]))
            assert told.status_code == status


async def test_a_page_asks_first_whether_it_may_ask_and_needs_no_key_for_that(tmp_path: Path) -> None:
    async with keyed(tmp_path, web={}) as (rig, engine, plain, _data):
        page = {"Origin": "https://app.example.com"}
        asking = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        told = await rig.client.options("/v1/chat/completions", headers=asking)
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == page["Origin"]
        assert "authorization" in told.headers["access-control-allow-headers"].lower()
        assert engine.asked == []
        refused = await rig.client.post("/v1/chat/completions", json=BODY, headers=page)
        assert refused.status_code == 401
        # Without this line, a page could not read why it was refused.
        assert refused.headers["access-control-allow-origin"] == page["Origin"]
        let_in = await rig.client.post("/v1/chat/completions", json=BODY, headers=page | bearer(plain["web"]))
        assert let_in.status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example.com"}, {"Origin": "https://evil.example.com"}, {"Origin": "null"}]
)
async def test_without_keys_strangers_stay_out_whatever_else_is_configured(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with keyed(tmp_path) as (rig, engine, plain, _data):
        assert not rig.router.governance.access.required
        for extra in ({}, bearer(plain["default"])):
            for path in ("/v1/chat/completions", "/api/chat", "/api/pull"):
                assert (await rig.client.post(path, json=BODY, headers=headers | extra)).status_code == 403
            for path in OWN_PATHS:
                assert (await rig.client.get(path, headers=headers | extra)).status_code == 403
        assert engine.asked == []


async def test_a_contract_whose_keys_clash_leaves_those_before_in_force_and_is_told(tmp_path: Path) -> None:
    async with keyed(tmp_path, web={}, watch={"scopes": ["metrics"]}) as (rig, _, plain, data):
        rig.write_contract({**data, "keys": {**data["keys"], "default": {"hash": hash_of(new_key())}}})
        await eventually(lambda: rig.router.governance.access.problem)
        assert (await ask(rig, plain["web"])).status_code == 200
        assert (await rig.client.get("/readyz")).status_code == 200
        told = await rig.client.get("/api/paddock/status", headers=bearer(plain["watch"]))
        assert "'default'" in told.json()["problems"][0]


async def test_beyond_loopback_a_contract_without_keys_lets_nobody_in(tmp_path: Path) -> None:
    async with keyed(tmp_path, host="0.0.0.0", web={}) as (rig, engine, plain, data):
        rig.write_contract({**data, "keys": {}})
        await eventually(lambda: rig.router.governance.access.names == ["default"])
        assert (await rig.client.post("/v1/chat/completions", json=BODY)).status_code == 401
        assert (await ask(rig, plain["web"])).status_code == 401
        assert (await ask(rig, plain["default"])).status_code == 200
        mounted(tmp_path / "secrets", 1, {})
        await eventually(lambda: rig.router.governance.access.names == [])
        assert (await ask(rig, plain["default"])).status_code == 401
        assert len(engine.asked) == 1
