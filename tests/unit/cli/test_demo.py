"""`paddock demo`: each part is asked, what one fails at does not stop the others, and the exit code tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from agent_runtime.agents.tools.catalogue import ToolSettings
from agent_runtime.cost_optimized import CostOptimizedLLMService
from agent_runtime.fleet import Fleet
from cli.asking import Question, Reply
from cli.commands import demo
from cli.one_call import ProductionInfrastructure
from cli.project import Project
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from tests.programs import REPOSITORY
from tests.unit.agents.teams.scripted import Script

ROOT = "http://127.0.0.1:1"
CONTRACT = FleetContract.from_mapping(
    {
        "version": 1,
        "stack": "dev",
        "target": "local",
        "router": {"url": ROOT, "openai": f"{ROOT}/v1", "ollama": ROOT, "metrics": f"{ROOT}/metrics"},
        "models": {
            "assistant": {
                "model": "gemma3:270m",
                "engine": "llamacpp",
                "contextLength": 2048,
                "capabilities": ["chat"],
                "endpoints": [{"url": "http://127.0.0.1:2"}],
            },
            "vectors": {
                "model": "nomic-embed-text",
                "engine": "ollama",
                "contextLength": 512,
                "capabilities": ["embedding"],
                "endpoints": [{"url": "http://127.0.0.1:3"}],
            },
        },
        "aliases": {"default": {"assistant": 1.0}},
    }
)
COMPLETION = {
    "choices": [{"message": {"content": "Tokyo."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2},
}
COSTS = {"total": {"requests": 4, "promptTokens": 90, "completionTokens": 9, "usd": 0.001, "commercialUsd": 0.003}}


class Answering:
    """A router that answers to each name as a test says."""

    def __init__(self, replies: Mapping[str, Reply]) -> None:
        self.replies = replies
        self.asked: dict[str, Question] = {}

    def ask(self, name: str, question: Question) -> Reply:
        self.asked[name] = question
        return self.replies[name]

    def in_flight(self, model: str) -> int | None:
        return 0


def answered(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/paddock/costs":
        return httpx.Response(200, json=COSTS)
    headers = {"X-Paddock-Tier": "local", "X-Paddock-Model": "assistant", "X-Paddock-Cost-Usd": "0.0005"}
    return httpx.Response(200, json=COMPLETION, headers=headers)


def refused(request: httpx.Request) -> httpx.Response:
    return httpx.Response(503, json={"error": {"message": "no model is up", "code": "unavailable"}})


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Every model answers, and the stack is up already."""
    asking = Answering({"assistant": Reply("Tokyo.", seconds=0.2), "vectors": Reply("a vector of 4 numbers")})
    bring_up(monkeypatch, asking, answered)
    return asking


def bring_up(monkeypatch: pytest.MonkeyPatch, asking: Answering, serve: Any, target: str = "local") -> None:
    def deploy(stack: str, *, project: Project, settings: ToolSettings) -> ProductionInfrastructure:
        builder = Script({"gatherer": ["?"], "analyzer": ["."], "synthesizer": ["gemma3:270m [1]."]}).builder(settings)
        return ProductionInfrastructure(
            service=CostOptimizedLLMService(ROOT, transport=httpx.MockTransport(serve)),
            research_team=builder.create_multi_agent_system("research"),
            builder=builder,
            fleet=Fleet(CONTRACT),
            contract=CONTRACT,
            changes={"created": 6},
        )

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(demo, "check_stack", lambda project, stack: SimpleNamespace(target=target))  # pyright: ignore
    monkeypatch.setattr(demo, "deploy_production_llm_infrastructure", deploy)
    monkeypatch.setattr(demo, "_asking", lambda production: asking)  # pyright: ignore


def test_every_part_is_asked_and_shown(answering: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run("dev", yes=False, as_json=False)
    said = capsys.readouterr()
    assert "assistant: Tokyo.  (0.2 s)" in said.out
    assert "Tokyo.  (local tier, assistant, 0.000500 USD)" in said.out
    assert "gemma3:270m [1]." in said.out
    assert "[1] fleet.md:1" in said.out
    assert "4 requests, 90 + 9 tokens: 0.0010 USD; commercially 0.0030 USD" in said.out
    assert "everything answered" in said.err
    assert answering.asked["vectors"].embedding
    assert not answering.asked["assistant"].embedding


def test_as_json_it_is_one_document(answering: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run("dev", yes=False, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["succeeded"] is True
    assert shown["changes"] == {"created": 6}
    assert shown["models"]["vectors"]["answer"] == "a vector of 4 numbers"
    assert shown["service"]["usd"] == 0.0005
    assert shown["research"]["sources"][0]["location"] == "fleet.md:1"
    assert shown["costs"] == COSTS


def test_what_one_part_fails_at_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asking = Answering({"assistant": Reply(problem="it crashed"), "vectors": Reply("a vector of 4 numbers")})
    bring_up(monkeypatch, asking, refused)
    with pytest.raises(SystemExit) as ended:
        demo.run("dev", yes=False, as_json=True)
    assert ended.value.code == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["succeeded"] is False
    assert shown["models"]["assistant"]["problem"] == "it crashed"
    assert shown["models"]["vectors"]["problem"] is None
    assert "503: no model is up" in shown["service"]["problem"]
    assert shown["research"]["output"].startswith("gemma3:270m [1].")
    assert "no model is up" in shown["costs"]["problem"]


def test_machines_that_cost_money_come_up_only_where_somebody_agreed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bring_up(monkeypatch, Answering({}), answered, target="kubernetes")
    with (tmp_path / "nobody").open("w+") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(BadInputError, match="add --yes"):
            demo.run("prod", yes=False, as_json=False)


def test_the_research_is_about_the_fleet_as_its_contract_has_it() -> None:
    said = demo.description(CONTRACT)
    assert "The fleet serves the model gemma3:270m as assistant: engine llamacpp" in said
    assert f"The router answers at {ROOT}." in said
