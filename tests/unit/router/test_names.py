"""Endpoints that are found by name come and go with what the name stands for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.balancing import discovery
from tests.unit.router.rig import Rig, ScriptedEngine, Talk, contract, eventually, openai_whole, running

pytestmark = pytest.mark.unit

HOST = "model.fleet.test"


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole())


class Names:
    """A name service that says what a test tells it to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: tuple[str, ...] | OSError = ()
        self.asked = 0
        monkeypatch.setattr(discovery, "lookup", self.lookup)
        monkeypatch.setattr(discovery, "_EVERY_SECONDS", 0.1)

    async def lookup(self, host: str, port: int) -> tuple[str, ...]:
        assert host == HOST
        self.asked += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


class Pods:
    """Engines at several addresses of this machine and one port, as the pods of a headless Service are."""

    def __init__(self) -> None:
        self.port = 0
        self.engines: dict[str, ScriptedEngine] = {}

    async def start(self, address: str) -> ScriptedEngine:
        engine = ScriptedEngine(whole)
        await engine.start(self.port, address)
        self.port = engine.port
        self.engines[address] = engine
        return engine

    async def stop(self) -> None:
        for engine in self.engines.values():
            await engine.stop()


@asynccontextmanager
async def fleet_by_name(tmp_path: Path, *addresses: str, **entry: Any) -> AsyncIterator[tuple[Rig, Pods]]:
    pods = Pods()
    for address in addresses or ("127.0.0.1",):
        await pods.start(address)
    endpoint = {"url": f"http://{HOST}:{pods.port}", "discover": True}
    try:
        async with running(tmp_path, data=contract({"m": {"endpoints": [endpoint], **entry}})) as rig:
            yield rig, pods
    finally:
        await pods.stop()


def endpoints(rig: Rig) -> set[str]:
    return {replica.endpoint.url for replica in rig.router.fleet.models["m"].replicas}


async def test_every_address_is_an_endpoint_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    async with fleet_by_name(tmp_path, *names.answer) as (rig, pods):
        replies = [await rig.completion() for _ in range(6)]
        assert {reply.headers["x-paddock-endpoint"] for reply in replies} == {
            f"http://{address}:{pods.port}" for address in names.answer
        }
        for engine in pods.engines.values():
            assert f"Host: {HOST}:{pods.port}\r\n".encode() in engine.asked[0].head
        assert rig.events("name")[0]["addresses"] == list(names.answer)


async def test_an_address_of_ipv6_is_written_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("fd00::1",)
    async with fleet_by_name(tmp_path) as (rig, pods):
        await eventually(lambda: endpoints(rig) == {f"http://[fd00::1]:{pods.port}"})


async def test_addresses_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("127.0.0.1",)
    async with fleet_by_name(tmp_path, "127.0.0.1", "127.0.0.2") as (rig, pods):
        await eventually(lambda: endpoints(rig) == {f"http://127.0.0.1:{pods.port}"})
        names.answer = ("127.0.0.1", "127.0.0.2")
        await eventually(lambda: len(endpoints(rig)) == 2)
        names.answer = ("127.0.0.2",)
        await eventually(lambda: endpoints(rig) == {f"http://127.0.0.2:{pods.port}"})
        assert (await rig.completion()).headers["x-paddock-endpoint"] == f"http://127.0.0.2:{pods.port}"


async def test_a_look_up_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("127.0.0.1",)
    async with fleet_by_name(tmp_path) as (rig, _):
        await eventually(lambda: endpoints(rig))
        names.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        await eventually(lambda: any(line["problem"] for line in rig.events("name")))
        assert (await rig.completion()).status_code == 200


async def test_the_first_request_waits_for_the_first_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    async with fleet_by_name(tmp_path) as (rig, _):
        task = asyncio.ensure_future(rig.completion())
        await eventually(lambda: rig.router.fleet.models["m"].line.size == 1)
        names.answer = ("127.0.0.1",)
        assert (await task).status_code == 200


async def test_a_name_that_stands_for_nothing_has_no_endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    async with fleet_by_name(tmp_path) as (rig, _):
        await eventually(lambda: names.asked)
        reply = await rig.completion()
        assert reply.status_code == 503
        assert "it has no endpoints" in reply.json()["error"]["message"]


async def test_a_sleeping_model_wakes_up_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    async with fleet_by_name(tmp_path, sleeps=True) as (rig, _):
        task = asyncio.ensure_future(rig.completion())
        await eventually(lambda: names.asked > 1 and rig.router.fleet.models["m"].line.size == 1)
        names.answer = ("127.0.0.1",)
        assert (await task).status_code == 200


async def test_a_pod_that_has_gone_is_looked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.answer = ("127.0.0.1",)
    async with fleet_by_name(tmp_path, "127.0.0.1", "127.0.0.2") as (rig, pods):
        await eventually(lambda: endpoints(rig))
        monkeypatch.setattr(discovery, "_EVERY_SECONDS", 3600.0)
        asked = names.asked
        await eventually(lambda: names.asked > asked)  # the last look-up that was due soon
        names.answer = ("127.0.0.2",)
        await pods.engines["127.0.0.1"].stop()
        await eventually(lambda: endpoints(rig) == {f"http://127.0.0.2:{pods.port}"})
        assert (await rig.completion()).status_code == 200


async def test_a_pod_that_leaves_finishes_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await gate.wait()
        await talk.reply(openai_whole())

    names = Names(monkeypatch)
    names.answer = ("127.0.0.1",)
    async with fleet_by_name(tmp_path, "127.0.0.1", "127.0.0.2") as (rig, pods):
        pods.engines["127.0.0.1"].script = slow
        task = asyncio.ensure_future(rig.completion())
        await eventually(lambda: pods.engines["127.0.0.1"].asked)
        names.answer = ("127.0.0.2",)
        await eventually(lambda: endpoints(rig) == {f"http://127.0.0.2:{pods.port}"})
        gate.set()
        assert (await task).headers["x-paddock-endpoint"] == f"http://127.0.0.1:{pods.port}"
