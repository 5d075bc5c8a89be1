"""The description of the router's API is true: its paths are the router's, and its answers are as it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent_runtime.router.administration import ADMIN_OPERATIONS, BLOBS
from agent_runtime.router.description import openapi, text
from agent_runtime.router.dialects.operations import OPERATIONS
from agent_runtime.router.local import LOCAL
from agent_runtime.router.own_paths import OWN_PATHS
from agent_runtime.router.page.files import ASSET_PATHS
from tests.programs import REPOSITORY
from tests.unit.router.fort import answers
from tests.unit.router.rig import Rig, Talk, contract, ndjson, running

pytestmark = pytest.mark.unit

CASES = sorted((path, method) for path, methods in openapi()["paths"].items() for method in methods)
CHECKS: Any = [content_type_conformance, response_schema_conformance, status_code_conformance]


def test_the_described_paths_are_those_that_the_router_answers() -> None:
    there = {*OPERATIONS, *LOCAL, *OWN_PATHS, *ADMIN_OPERATIONS} - ASSET_PATHS
    assert set(openapi()["paths"]) == there | {"/api/show", "/api/ps", "/v1/models/{model}", f"{BLOBS}{{digest}}"}


def test_the_written_description_is_the_codes() -> None:
    written = (REPOSITORY / "docs" / "reference" / "router.openapi.json").read_text(encoding="utf-8")
    assert written == text(), "write it anew: python -m agent_runtime.router.description"


def test_every_schema_of_it_is_one() -> None:
    for methods in openapi()["paths"].values():
        for described in methods.values():
            for content in described.get("requestBody", {}).get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(content["schema"])


async def engine(talk: Talk) -> None:
    """Answers what it is asked, be it a question or a change."""
    path = talk.asked.path
    if talk.asked.method == "HEAD" or path.startswith(BLOBS):
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    elif path in ADMIN_OPERATIONS:
        await talk.stream(ndjson({"status": "success"}), content_type="application/x-ndjson")
    elif path in ("/api/show", "/api/ps"):
        await talk.reply({"models": [], "details": {}, "model_info": {}, "capabilities": ["completion"]})
    elif "embed" in path:
        vectors = {"embedding": [0.5], "embeddings": [[0.5]], "data": [{"index": 0, "embedding": [0.5]}]}
        await talk.reply({"object": "list", "model": "tiny:1b", **vectors})
    else:
        await answers(talk)


@dataclass
class Server:
    """A router that runs in a thread of its own."""

    port: int
    rig: Rig


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A router for an Ollama, ``o``, and a llama.cpp server, ``l``."""
    path = tmp_path_factory.mktemp("described")
    started: list[Server] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def run() -> None:
        async with running(path, engine, engine) as rig:
            entry = {"capabilities": ["chat", "completion", "embedding", "vision", "tools"]}
            models = {
                name: {**entry, "engine": kind, "endpoints": [{"url": scripted.url}]}
                for name, kind, scripted in zip("ol", ("ollama", "llamacpp"), rig.engines, strict=True)
            }
            rig.write_contract(contract(models))
            while set(rig.router.fleet.models) != {"o", "l"}:
                await asyncio.sleep(0.02)
            started.append(Server(rig.port, rig))
            ready.set()
            await done.wait()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(30)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(30)


@pytest.fixture(scope="module")
def described() -> Any:
    """The description, with the names of models that the router has, and of one that it has not."""
    document = openapi()
    for methods in document["paths"].values():
        for one in methods.values():
            schema = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "model" in schema.get("properties", {}):
                schema["properties"]["model"] = {"enum": ["o", "l", "none"]}
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize(("path", "method"), CASES)
def test_whatever_is_asked_is_answered_as_described(server: Server, described: Any, path: str, method: str) -> None:
    @settings(
        max_examples=10,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=described[path][method].as_strategy())
    def ask(case: Any) -> None:
        reply = case.call(base_url=f"http://127.0.0.1:{server.port}", timeout=20)
        assert reply.status_code not in (500, 502), reply.text
        case.validate_response(reply, checks=CHECKS)

    ask()
    assert server.rig.events("fault") == []
