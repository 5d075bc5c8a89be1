"""Adapters in a config: names of their own, and only where something serves them."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_spec.errors import SpecError
from fleet_spec.loading import load_spec

pytestmark = pytest.mark.unit
VLLM = {"model": "llama3.1:8b", "engine": "vllm", "gpu": "nvidia-l4"}


def local(adapters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"models": {"m": {"model": "gemma3:270m", "adapters": adapters}, "other": "gemma3:270m"}, **more}


def cluster(adapters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "target": "kubernetes",
        "models": {"m": {**VLLM, "adapters": adapters, **more}},
        "gpuPools": {"main": {"gpuType": "nvidia-l4", "gpusPerNode": 1, "maxNodes": 2}},
        "router": {"image": "registry.example.com/paddock:1"},
    }


def test_an_adapter_is_weighed_in_aliases_by_its_name() -> None:
    spec = load_spec(local({"law": "law.gguf"}, aliases={"default": {"m": 9, "law": 1}}))
    assert spec.models["m"].adapters["law"].source == "law.gguf"


@pytest.mark.parametrize(
    ("raw", "key", "told"),
    [
        (local({"other": "a.gguf"}), "models.m.adapters.other", "'other' is the name of a model already"),
        (local({"law": "law"}), "models.m.adapters.law.source", "paddock models adapter prepare"),
        (local({"law": {"source": "a.gguf", "rank": 8}}), "models.m.adapters.law.rank", "is for vLLM"),
        (local({"law": "a.gguf"}, aliases={"d": {"lew": 1}}), "aliases.d", "did you mean 'law'?"),
        (local({"law": "a.gguf"}, aliases={"law": {"law": 1}}), "aliases.law", "is also the name of a model"),
        (cluster({"law": "law.gguf"}), "models.m.adapters.law.source", "is no repository on Hugging Face"),
        (cluster({"law": {"source": "a/b", "scale": 0.5}}), "models.m.adapters.law.scale", "as it was trained"),
        (cluster({"law": "a/b"}, engine="ollama"), "models.m.adapters.law", "serves no adapters on the target"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_key_and_fix(raw: dict[str, Any], key: str, told: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(raw)
    assert any(problem.key == key and told in str(problem) for problem in refused.value.problems), refused.value


def test_two_models_cannot_have_adapters_of_one_name() -> None:
    raw = {"models": {name: {"model": "gemma3:270m", "adapters": {"law": "a.gguf"}} for name in ("a", "b")}}
    with pytest.raises(SpecError, match=r"models\.b\.adapters\.law: 'law' is the name of an adapter of 'a' already"):
        load_spec(raw)


def test_an_alias_of_an_adapter_is_no_mistake_where_its_model_has_another() -> None:
    raw = local({"law": "law.gguf"}, aliases={"default": {"law": 1}})
    raw["models"]["m"]["parallel"] = 0
    with pytest.raises(SpecError) as refused:
        load_spec(raw)
    assert [problem.key for problem in refused.value.problems] == ["models.m.parallel"]
