"""What each engine is told of a model's settings, in its own words."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from components.engines import llamacpp, ollama, vllm
from components.local.llamacpp_settings import add_options
from fleet_spec.checks_serving import setting_problems
from fleet_spec.container_spec import VllmSpec
from fleet_spec.serving_spec import EngineName, ServingSpec

pytestmark = pytest.mark.unit

EVERY_SETTING: dict[str, Any] = {
    "kv_cache_type": {"llamacpp": "q8_0", "ollama": "q8_0", "vllm": "fp8"},
    "flash_attention": True,
    "batch_size": 1024,
    "micro_batch_size": 256,
    "threads": 3,
    "batch_threads": 4,
    "prefix_cache": True,
    "compile_level": 2,
    "speculative": {"method": "ngram", "tokens": 5, "matchTokens": 3},
    "gpu_layers": 7,
    "load_mode": "copy",
}
ALWAYS_SO = {("ollama", "prefix_cache"), ("vllm", "flash_attention"), ("vllm", "prefix_cache")}
"""What an engine does without being told."""


def serving(**settings: Any) -> ServingSpec:
    return ServingSpec.model_validate(settings)


def told(engine: str, settings: ServingSpec) -> object:
    if engine == "llamacpp":
        return llamacpp.setting_arguments(settings)
    if engine == "ollama":
        environment = ollama.server_environment(keep_alive="10m", parallel=1, context_length=4096, serving=settings)
        return environment, ollama.model_parameters(settings)
    return vllm.setting_arguments(VllmSpec(), settings)


@pytest.mark.parametrize("engine", ["llamacpp", "ollama", "vllm"])
@pytest.mark.parametrize("name", ServingSpec.model_fields)
def test_no_engine_ignores_a_setting_in_silence(engine: EngineName, name: str) -> None:
    value = EVERY_SETTING[name]
    value = value[engine] if isinstance(value, dict) and engine in value else value
    settings = ServingSpec.model_validate(
        {name: value, **({"threads": 2} if name == "batch_threads" else {})}, by_name=True
    )
    without = ServingSpec(threads=2) if name == "batch_threads" else ServingSpec()
    refused = list(setting_problems("models.m", engine, "local", settings))
    heard = told(engine, settings) != told(engine, without)
    assert heard or refused or (engine, name) in ALWAYS_SO
    assert not (heard and refused)


def test_llamacpp_is_told_in_the_words_of_its_own_server() -> None:
    settings = serving(
        kvCacheType="q4_0",
        batchSize=1024,
        threads=2,
        batchThreads=4,
        prefixCache=False,
        gpuLayers=0,
        loadMode="lock",
        speculative={"method": "ngram", "tokens": 6},
    )
    words = " ".join(llamacpp.setting_arguments(settings))
    for part in (
        "--cache-type-k q4_0 --cache-type-v q4_0",
        "--flash-attn on",
        "--batch-size 1024 --ubatch-size 512",
        "--threads 2 --threads-batch 4",
        "--n-gpu-layers 0",
        "--no-cache-prompt",
        "--load-mode mmap+mlock",
        "--spec-type ngram-simple --spec-ngram-simple-size-n 4 --spec-ngram-simple-size-m 6",
    ):
        assert part in words


def test_a_smaller_batch_than_llamacpps_own_parts_makes_them_smaller_too() -> None:
    assert "--batch-size 128 --ubatch-size 128" in " ".join(llamacpp.setting_arguments(serving(batchSize=128)))


def test_the_embedded_server_reads_whatever_llamacpp_may_be_told() -> None:
    settings = [
        serving(kvCacheType=kind, flashAttention=None if kind != "f16" else False, loadMode=mode, prefixCache=keep)
        for kind, mode, keep in (("f16", "map", True), ("q8_0", "copy", False), ("q4_0", "lock", True))
    ]
    settings.append(serving(speculative={"method": "draft", "model": "/small.gguf"}, threads=2, batchThreads=2))
    for one in settings:
        parser = argparse.ArgumentParser()
        add_options(parser)
        parser.parse_args(llamacpp.setting_arguments(one))


def test_a_draft_model_is_named_to_llamacpp_and_vllm() -> None:
    settings = serving(speculative={"method": "draft", "model": "/models/small.gguf", "tokens": 4})
    assert llamacpp.setting_arguments(settings)[-4:] == [
        *("--spec-draft-model", "/models/small.gguf"),
        *("--spec-draft-n-max", "4"),
    ]
    arguments = vllm.setting_arguments(VllmSpec(), serving(speculative={"method": "draft", "model": "a/b"}))
    told = json.loads(arguments[arguments.index("--speculative-config") + 1])
    assert told == {"method": "draft_model", "model": "a/b", "num_speculative_tokens": 8}


def test_ollama_is_told_by_its_environment_and_by_the_model() -> None:
    settings = serving(kvCacheType="q8_0", threads=2, batchSize=256, gpuLayers=0, loadMode="copy")
    environment = ollama.server_environment(keep_alive="1h", parallel=3, context_length=2048, serving=settings)
    assert environment == {
        "OLLAMA_KEEP_ALIVE": "1h",
        "OLLAMA_NUM_PARALLEL": "3",
        "OLLAMA_CONTEXT_LENGTH": "2048",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_FLASH_ATTENTION": "1",  # or it would keep 16 bits, with a line in its log
    }
    assert ollama.model_parameters(settings) == {"num_thread": 2, "num_batch": 256, "num_gpu": 0, "use_mmap": False}
    assert ollama.model_parameters(ServingSpec()) == {}


def test_vllm_is_told_on_its_command_line() -> None:
    command = vllm.serve_command(
        source="meta-llama/Llama-3.1-8B-Instruct",
        served_name="llama3.1:8b",
        port=8000,
        context_length=4096,
        quantization="bitsandbytes",
        gpus=2,
        vllm=VllmSpec(arguments=("--seed", "7")),
        serving=serving(kvCacheType="fp8", batchSize=4096, prefixCache=False, compileLevel=3, speculative="ngram"),
    )
    words = " ".join(command)
    for part in (
        "vllm serve meta-llama/Llama-3.1-8B-Instruct",
        "--quantization bitsandbytes",
        "--tensor-parallel-size 2",
        "--kv-cache-dtype fp8",
        "--max-num-batched-tokens 4096",
        "--no-enable-prefix-caching",
        "-O3",
    ):
        assert part in words
    assert command[-2:] == ["--seed", "7"], "what a person adds comes last, and wins"
    told = json.loads(command[command.index("--speculative-config") + 1])
    assert told == {"method": "ngram", "num_speculative_tokens": 8, "prompt_lookup_max": 4, "prompt_lookup_min": 4}


def test_what_vllm_alone_was_told_before_still_counts() -> None:
    old = VllmSpec.model_validate({"prefixCache": False, "compileLevel": 0})
    assert vllm.setting_arguments(old, ServingSpec()) == ["--no-enable-prefix-caching", "--enforce-eager"]
    assert vllm.setting_arguments(VllmSpec(), serving(compileLevel=0)) == ["--enable-prefix-caching", "--enforce-eager"]
