"""What the router tells about the fleet and about itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.router.rig import Talk, contract, eventually, running

pytestmark = pytest.mark.unit


async def ollama(talk: Talk) -> None:
    if talk.asked.path == "/api/ps":
        await talk.reply({"models": [{"name": "tiny:1b", "size": 5}]})
    else:
        await talk.reply({"license": "of the model", "capabilities": ["completion"]})


async def test_ollamas_clients_find_an_ollama(tmp_path: Path) -> None:
    async with running(tmp_path, ollama) as rig:
        assert (await rig.client.get("/")).text == "Ollama is running"
        assert (await rig.client.get("/api/version")).json() == {"version": "0.17.4"}


async def test_both_lists_have_every_name_that_can_be_asked_for(tmp_path: Path) -> None:
    data = contract({"m": {"endpoints": []}}, {"default": {"m": 1}})
    async with running(tmp_path, data=data) as rig:
        tags = (await rig.client.get("/api/tags")).json()["models"]
        assert [tag["name"] for tag in tags] == ["default:latest", "m:latest", "tiny:1b"]
        models = (await rig.client.get("/v1/models")).json()
        assert models["object"] == "list"
        assert [model["id"] for model in models["data"]] == ["default", "m", "tiny:1b"]


@pytest.mark.parametrize("name", ["m", "tiny:1b", "tiny%3A1b", "m:latest"])
async def test_one_model_can_be_asked_for(tmp_path: Path, name: str) -> None:
    async with running(tmp_path, ollama) as rig:
        reply = await rig.client.get(f"/v1/models/{name}")
        assert reply.json()["id"] == name.replace("%3A", ":")
        assert (await rig.client.get("/v1/models/none")).status_code == 404


async def test_show_is_made_for_llama_cpp_and_passed_on_to_ollama(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, capabilities=["chat", "tools"]) as rig:
        shown = (await rig.client.post("/api/show", json={"model": "m"})).json()
        assert shown["capabilities"] == ["completion", "tools"]
        assert shown["model_info"]["tiny.context_length"] == 2048
        assert rig.engine.asked == []
    (tmp_path / "second").mkdir()
    async with running(tmp_path / "second", ollama, engine="ollama") as rig:
        reply = await rig.client.post("/api/show", json={"name": "m", "verbose": True})
        assert reply.json()["license"] == "of the model"
        assert rig.engine.asked[0].json == {"name": "", "verbose": True, "model": "tiny:1b"}
        assert (await rig.client.post("/api/show", json={"model": "none"})).status_code == 404


async def test_ps_puts_what_is_loaded_together(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, ollama) as rig:
        first, second = ({"url": engine.url} for engine in rig.engines)
        rig.write_contract(contract({"a": {"engine": "ollama", "endpoints": [first]}, "b": {"endpoints": [second]}}))
        await eventually(lambda: "b" in rig.router.fleet.models)
        await eventually(lambda: all(e.health == "up" for e in rig.router.fleet.endpoints.values()))
        running_models = (await rig.client.get("/api/ps")).json()["models"]
        assert sorted(model["name"] for model in running_models) == ["b:latest", "tiny:1b"]


async def test_healthy_is_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path, ollama) as rig:
        await eventually(lambda: rig.events("endpoint_up"))
        assert (await rig.client.get("/readyz")).status_code == 200
        rig.engine.healthy = False
        await eventually(lambda: rig.events("endpoint_down"))
        assert (await rig.client.get("/healthz")).status_code == 200
        ready = await rig.client.get("/readyz")
        assert ready.status_code == 503
        model = ready.json()["models"]["m"]
        assert model == {"up": 0, "endpoints": {rig.engine.url: "down: its health check answers 503"}}
