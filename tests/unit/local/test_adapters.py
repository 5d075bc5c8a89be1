"""Adapters on this machine: which files are served, how the server is told, and what the router is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.answers.key import answerer_digest
from components.local.adapters import adapter_entries, adapter_scales, fingerprint
from components.local.commands import llamacpp_command, ollama_environment
from components.local.fleet import build_contract
from components.local.plan import LocalFacts, LocalModel, plan_fleet
from components.local.provider.ollama_model import OllamaModelType, definition
from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec
from fleet_spec.spec import FleetSpec

pytest.importorskip("gguf")
from tests.tiny_llama import TinyLlama, write_adapter, write_base

pytestmark = pytest.mark.unit
LLAMACPP = LocalFacts(llamacpp_installed=True, ollama_binary=None, weight_modules=frozenset())
OLLAMA = LocalFacts(llamacpp_installed=False, ollama_binary=Path("/bin/ollama"), weight_modules=frozenset())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_base(tmp_path / "base.gguf")
    write_adapter(tmp_path / "law.gguf", seed=2)
    write_adapter(tmp_path / "medicine.gguf", seed=3)
    return tmp_path


def spec_of(project: Path, **adapters: Any) -> FleetSpec:
    digest = hashlib.sha256((project / "base.gguf").read_bytes()).hexdigest()
    model = {"model": "tiny", "contextLength": 256, "weights": {"path": "base.gguf", "sha256": digest}}
    return load_spec({"models": {"m": {**model, "adapters": adapters}}, "aliases": {"default": "m"}})


def planned(project: Path, facts: LocalFacts = LLAMACPP, **adapters: Any) -> LocalModel:
    spec = spec_of(project, **adapters)
    return plan_fleet(spec, facts, spec.catalogue, project)[0]


def test_the_server_is_given_each_adapter_and_the_contract_its_number(project: Path) -> None:
    adapters: dict[str, Any] = {"law": "law.gguf", "medicine": {"source": "medicine.gguf", "scale": 0.5}}
    model = planned(project, **adapters)
    command = llamacpp_command(model, "/w.gguf")
    given = [command[place + 1] for place, word in enumerate(command) if word == "--lora"]
    assert given == [str(project / "law.gguf"), str(project / "medicine.gguf")]
    contract = build_contract(spec_of(project, **adapters), "dev", [model], {"m": ["http://127.0.0.1:1"]})
    told = {name: [(one.id, one.scale) for one in entry.lora] for name, entry in contract.models.items()}
    assert told == {"m": [(0, 0.0), (1, 0.0)], "law": [(0, 1.0), (1, 0.0)], "medicine": [(0, 0.0), (1, 0.5)]}
    assert contract.models["law"].adapter_of == "m"
    assert contract.models["law"].endpoints == contract.models["m"].endpoints


def test_a_model_without_adapters_is_told_of_as_before(project: Path) -> None:
    contract = build_contract(spec_of(project), "dev", [planned(project)], {"m": ["http://127.0.0.1:1"]})
    assert set(contract.models) == {"m"}
    assert contract.models["m"].lora == ()
    assert "--lora" not in llamacpp_command(planned(project), "/w.gguf")


def test_other_adapters_or_another_order_are_another_server(project: Path) -> None:
    both = planned(project, law="law.gguf", medicine="medicine.gguf").adapters
    swapped = planned(project, medicine="medicine.gguf", law="law.gguf").adapters
    stronger = planned(project, law={"source": "law.gguf", "scale": 2}, medicine="medicine.gguf").adapters
    assert len({fingerprint(both), fingerprint(swapped), fingerprint(both[:1]), fingerprint(())}) == 4
    assert fingerprint(stronger) == fingerprint(both), "a scale is the router's to say"
    assert fingerprint(()) == ""


def test_everything_that_is_wrong_with_adapters_is_found_at_once(project: Path) -> None:
    write_adapter(project / "narrow.gguf", figures=TinyLlama(width=32))
    (project / "text.gguf").write_text("no adapter")
    with pytest.raises(SpecError) as refused:
        planned(project, a="missing.gguf", b="narrow.gguf", c="text.gguf", d="base.gguf", law="law.gguf")
    told = {problem.key: problem.message for problem in refused.value.problems}
    assert set(told) == {f"models.m.adapters.{name}.source" for name in "abcd"}
    assert "there is no file" in told["models.m.adapters.a.source"]
    assert "64 x 64 there and 32 x 32 in the adapter" in told["models.m.adapters.b.source"]
    assert "is no GGUF file" in told["models.m.adapters.c.source"]
    assert "not a LoRA adapter" in told["models.m.adapters.d.source"]


def test_on_ollama_each_adapter_is_a_model_of_its_own(project: Path) -> None:
    model = planned(project, OLLAMA, law="law.gguf")
    entry = build_contract(spec_of(project, law="law.gguf"), "dev", [model], {"m": ["http://127.0.0.1:1"]})
    assert entry.models["law"].model == "law"
    assert entry.models["law"].lora == entry.models["m"].lora == ()
    assert ollama_environment(model, project)["OLLAMA_MAX_LOADED_MODELS"] == "2"


def test_what_ollama_cannot_apply_is_refused_before_it_is_tried(project: Path) -> None:
    with pytest.raises(SpecError, match="Ollama applies an adapter as it is"):
        planned(project, OLLAMA, law={"source": "law.gguf", "scale": 0.5})
    write_adapter(project / "law.gguf", architecture="gemma3")
    spec = load_spec({"models": {"m": {"model": "gemma3:1b", "adapters": {"law": "law.gguf"}}}})
    with pytest.raises(SpecError, match="Ollama applies no adapters to gemma3 models"):
        plan_fleet(spec, OLLAMA, spec.catalogue, project)


def test_ollama_is_told_to_make_the_adapters_model_from_its_base() -> None:
    given = {"serverUrl": "http://127.0.0.1:1", "model": "law", "base": "tiny", "baseDigest": "d"}
    given |= {"adapterFile": "/a/law.gguf", "adapterSha256": "ab" * 32}
    inputs, failures = OllamaModelType().check(given, {})
    assert failures == []
    assert definition(inputs) == {"from": "tiny", "adapters": {"law.gguf": f"sha256:{'ab' * 32}"}}
    _, failures = OllamaModelType().check({key: given[key] for key in ("serverUrl", "model", "base")}, {})
    assert [failure.property_name for failure in failures] == ["adapterFile"]


def test_entries_of_adapters_keep_what_the_base_can_do(project: Path) -> None:
    model = planned(project, law="law.gguf")
    base = build_contract(spec_of(project), "dev", [model], {"m": ["http://127.0.0.1:1"]}).models["m"]
    ((name, entry),) = adapter_entries("m", base, model.adapters)
    assert name == "law"
    assert entry.lora == adapter_scales(model.adapters, "law")
    changed = {"model", "adapter_of", "adapter_sha256", "lora"}
    assert entry.model_dump(exclude=changed) == base.model_dump(exclude=changed)


def test_an_adapter_that_was_trained_again_is_another_answerer(project: Path) -> None:
    """Answers that the router has kept are those of the file that gave them."""

    def answerer() -> bytes:
        (adapter,) = planned(project, law="law.gguf").adapters
        spec, model = spec_of(project, law="law.gguf"), planned(project, law="law.gguf")
        entry = build_contract(spec, "dev", [model], {"m": ["http://127.0.0.1:1"]}).models["law"]
        assert entry.adapter_sha256 == adapter.sha256
        return answerer_digest("law", entry, "local")

    before = answerer()
    assert answerer() == before
    write_adapter(project / "law.gguf", seed=9, rank=8)
    assert answerer() != before
