"""Settings of how a model is served: one meaning over engines, and a clear no where an engine has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fleet_spec.catalogue import load_catalogue
from fleet_spec.catalogue_entry import OllamaSource, OllamaTag
from fleet_spec.errors import Problem, SpecError
from fleet_spec.loading import load_spec
from fleet_spec.quantization import file_problem, gguf_level, ollama_source, quantization_problem
from fleet_spec.serving_spec import ServingSpec
from fleet_spec.sizing.estimate import estimate_memory, tokens_of_a_batch
from fleet_spec.sizing.gguf_file import GgufHeader

pytestmark = pytest.mark.unit
LLAMA = load_catalogue().get("llama3.1:8b")


def serving(**settings: Any) -> ServingSpec:
    return ServingSpec.model_validate(settings)


def on_kubernetes(engine: str = "vllm", **model: Any) -> dict[str, Any]:
    return {
        "target": "kubernetes",
        "router": {"image": "registry.example.com/paddock:1"},
        "gpuPools": {"l4": {"gpuType": "nvidia-l4"}},
        "models": {"m": {"model": "llama3.1:8b", "gpu": "nvidia-l4", "engine": engine, **model}},
    }


def locally(engine: str, **model: Any) -> dict[str, Any]:
    return {"models": {"m": {"model": "gemma3:270m", "engine": engine, **model}}}


def problems(config: dict[str, Any]) -> dict[str, Problem]:
    with pytest.raises(SpecError) as caught:
        load_spec(config)
    return {problem.key: problem for problem in caught.value.problems}


def test_a_model_without_settings_leaves_all_to_its_engine() -> None:
    assert load_spec(locally("auto")).models["m"].serving.given == frozenset()


def test_a_method_of_guessing_ahead_may_be_named_in_short() -> None:
    short = serving(speculative="ngram").speculative
    assert short == serving(speculative={"method": "ngram", "tokens": 8, "matchTokens": 4}).speculative


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"speculative": "draft"}, "needs a model"),
        ({"speculative": {"method": "ngram", "model": "x/y"}}, "remove it"),
        ({"speculative": {"method": "draft", "model": "x/y", "matchTokens": 3}}, "matchTokens"),
        ({"microBatchSize": 512, "batchSize": 256}, "at most that"),
        ({"microBatchSize": 4096}, "over batchSize 2048"),
        ({"kvCacheType": "q8_0", "flashAttention": False}, "flashAttention: false"),
        ({"batchThreads": 2}, "name both"),
        ({"threads": 0}, "greater than or equal to 1"),
        ({"kvCacheType": "q5_1"}, "f16"),
        ({"temperature": 1}, "Extra inputs"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValidationError, match=fix):
        serving(**settings)


@pytest.mark.parametrize(
    ("config", "setting", "fix"),
    [
        (locally("llamacpp", serving={"compileLevel": 3}), "compileLevel", "vllm"),
        (locally("llamacpp", serving={"kvCacheType": "fp8"}), "kvCacheType", "q8_0"),
        (
            locally("llamacpp", serving={"speculative": {"method": "draft", "model": "small.gguf"}}),
            "speculative.model",
            "from the root",
        ),
        (locally("ollama", serving={"kvCacheType": "fp8"}), "kvCacheType", "q8_0"),
        (locally("ollama", serving={"microBatchSize": 64}), "microBatchSize", "remove"),
        (locally("ollama", serving={"speculative": "ngram"}), "speculative", "llamacpp"),
        (locally("ollama", serving={"prefixCache": False}), "prefixCache", "remove"),
        (locally("ollama", serving={"loadMode": "lock"}), "loadMode", "copy"),
        (on_kubernetes("ollama", serving={"threads": 4}), "threads", "resources"),
        (on_kubernetes("ollama", serving={"gpuLayers": 4}), "gpuLayers", "gpu"),
        (on_kubernetes(serving={"kvCacheType": "q8_0"}), "kvCacheType", "fp8"),
        (on_kubernetes(serving={"flashAttention": False}), "flashAttention", "remove"),
        (on_kubernetes(serving={"threads": 2}), "threads", "remove"),
        (on_kubernetes(serving={"gpuLayers": 2}), "gpuLayers", "llamacpp"),
        (on_kubernetes(serving={"loadMode": "copy"}), "loadMode", "remove"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_with_the_way_out(config: dict[str, Any], setting: str, fix: str) -> None:
    problem = problems(config)[f"models.m.serving.{setting}"]
    assert fix in problem.fix


def test_everything_that_cannot_be_done_is_found_at_once() -> None:
    found = problems(on_kubernetes("ollama", serving={"threads": 4, "compileLevel": 1, "kvCacheType": "fp8"}))
    assert {"threads", "compileLevel", "kvCacheType"} <= {key.rpartition(".")[2] for key in found}


def test_the_engine_that_auto_stands_for_is_meant() -> None:
    config = on_kubernetes("auto", serving={"speculative": "ngram"})
    assert "models.m.serving.speculative" in problems(config)


def test_a_setting_that_stands_in_two_places_is_refused() -> None:
    config = on_kubernetes(serving={"prefixCache": True, "compileLevel": 0}, vllm={"prefixCache": False})
    assert set(problems(config)) == {"models.m.vllm.prefixCache"}


@pytest.mark.parametrize(
    ("config", "shown", "fix"),
    [
        (on_kubernetes("ollama", quantization="Q6_K"), "Q4_K_M, Q8_0, F16", "leave it out"),
        (on_kubernetes("ollama", quantization="bitsandbytes"), "vLLM", "engine: vllm"),
        (on_kubernetes(quantization="Q4_K_M"), "GGUF", "bitsandbytes"),
        (on_kubernetes(quantization="awq"), "16 bits", "fp8"),
        (locally("llamacpp", quantization="Q8_0"), "Q4_K_M", "weights"),
    ],
)
def test_a_quantisation_that_is_not_to_be_had_is_refused(config: dict[str, Any], shown: str, fix: str) -> None:
    problem = problems(config)["models.m.quantization"]
    assert shown in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    "config",
    [
        on_kubernetes("ollama", quantization="q4_k_m"),
        on_kubernetes("ollama", quantization="Q8_0"),
        on_kubernetes(quantization="bitsandbytes"),
        on_kubernetes(quantization="fp8"),
        locally("llamacpp", quantization="Q4_K_M"),
        locally("ollama", quantization="Q8_0"),
    ],
)
def test_a_quantisation_that_the_engine_serves_is_let_be(config: dict[str, Any]) -> None:
    load_spec(config)


def test_ollama_pulls_the_tag_of_the_level_that_is_asked_for() -> None:
    source = OllamaSource(
        tag="tiny:1b", quantization="Q4_K_M", others=(OllamaTag(tag="tiny:1b-q8_0", quantization="Q8_0"),)
    )
    assert ollama_source(source, None) == ("tiny:1b", "Q4_K_M")
    assert ollama_source(source, "q8_0") == ("tiny:1b-q8_0", "Q8_0")
    sources = LLAMA.sources.model_copy(update={"ollama": source})
    entry = LLAMA.model_copy(update={"sources": sources})
    assert quantization_problem("models.m", "ollama", "Q8_0", entry, own_weights=False) is None
    refused = quantization_problem("models.m", "ollama", "Q6_K", entry, own_weights=False)
    assert refused is not None
    assert "Q4_K_M or Q8_0" in refused.fix


def test_a_cluster_pulls_and_sizes_the_level_that_is_asked_for() -> None:
    from components.kubernetes.plan import plan_fleet
    from components.kubernetes.sizes import estimate

    spec = load_spec(on_kubernetes("ollama", quantization="Q8_0"))
    assert plan_fleet(spec, "test", load_catalogue()).models[0].source == "llama3.1:8b-instruct-q8_0"
    usual = load_spec(on_kubernetes("ollama")).models["m"]
    assert (
        estimate(spec.models["m"], "ollama", LLAMA, 8192, 1).weights_bytes
        > 1.5 * estimate(usual, "ollama", LLAMA, 8192, 1).weights_bytes
    )


def test_llamacpp_has_one_file_of_the_catalogue_where_weights_are_fetched() -> None:
    def refused(wanted: str) -> Problem | None:
        return quantization_problem("models.m", "llamacpp", wanted, LLAMA, own_weights=False, packaged=False)

    assert refused("Q4_K_M") is None
    problem = refused("Q8_0")
    assert problem is not None
    assert "the catalogue's file is Q4_K_M" in problem.message


def test_a_repository_of_awq_weights_is_served_as_such() -> None:
    sources = LLAMA.sources.model_copy(update={"vllm": "someone/llama-3.1-8b-AWQ"})
    entry = LLAMA.model_copy(update={"sources": sources})
    assert quantization_problem("models.m", "vllm", "awq", entry, own_weights=False) is None


def test_a_file_says_itself_how_it_is_quantised() -> None:
    header = GgufHeader(Path("/models/tiny.gguf"), {"general.file_type": 15}, {})
    assert gguf_level(header) == "Q4_K_M"
    assert file_problem("models.m", "q4_k_m", header) is None
    wrong = file_problem("models.m", "Q8_0", header)
    assert wrong is not None
    assert "tiny.gguf says of itself that it is Q4_K_M" in wrong.message
    assert file_problem("models.m", "Q8_0", GgufHeader(Path("x"), {}, {})) is None, "a file that says nothing"


def test_a_cache_of_fewer_bits_takes_less_memory() -> None:
    def cache_bytes(cache_type: str, engine: Any = "llamacpp") -> int:
        return estimate_memory(
            LLAMA, engine=engine, quantization=None, context_length=8192, parallel=4, cache_type=cache_type
        ).kv_cache_bytes

    assert cache_bytes("q8_0") == cache_bytes("f16") * 34 / 64
    assert cache_bytes("q4_0") == cache_bytes("f16") * 18 / 64
    assert cache_bytes("fp8", "vllm") == cache_bytes("f16", "vllm") / 2


def test_a_plan_lets_a_model_in_that_fits_with_a_smaller_cache_alone() -> None:
    """Checked where the plan checks it: the KV cache of an L4 that is too small for 16 bits has room for 8."""
    from components.kubernetes.plan import plan_fleet

    def planned(kv_cache_type: str) -> None:
        raw = on_kubernetes(contextLength=120_000, serving={"kvCacheType": kv_cache_type}, quantization="bitsandbytes")
        plan_fleet(load_spec(raw), "test", load_catalogue())

    planned("fp8")
    with pytest.raises(SpecError, match="GiB"):
        planned("f16")


@pytest.mark.parametrize(
    ("settings", "engine", "tokens"),
    [
        ({}, "llamacpp", 512),
        ({"batchSize": 4096}, "llamacpp", 512),
        ({"batchSize": 128}, "llamacpp", 128),
        ({"microBatchSize": 1024}, "llamacpp", 1024),
        ({"batchSize": 1024}, "ollama", 1024),
    ],
)
def test_the_batch_that_takes_memory_is_the_one_that_is_computed(
    settings: dict[str, Any], engine: Any, tokens: int
) -> None:
    assert tokens_of_a_batch(serving(**settings), engine) == tokens
