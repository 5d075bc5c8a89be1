"""vLLM: arguments of ``vllm serve``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from fleet_spec.container_spec import VllmSpec
from fleet_spec.model_spec import AdapterSpec
from fleet_spec.serving_spec import ServingSpec, SpeculativeSpec

_DEFAULT_RANK: Final = 16
_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be."""


def serve_command(
    *,
    source: str,
    served_name: str,
    port: int,
    context_length: int,
    quantization: str | None,
    gpus: int,
    vllm: VllmSpec,
    serving: ServingSpec,
    adapters: Mapping[str, AdapterSpec] | None = None,
) -> list[str]:
    """The command that serves a model.

    Args:
        source: A repository on Hugging Face, or a folder.
        served_name: What the server calls it.
        port: Where it listens, on every address: its container is alone there.
        context_length: Tokens that one request may use.
        quantization: One of vLLM's methods; None serves the weights as they are.
        gpus: How many GPUs the model is split over.
        vllm: What vLLM alone can be told.
        serving: What every engine can be told; it wins over what ``vllm`` says of the same.
        adapters: LoRA adapters by the name that the server gives them.
    """
    command = [
        *("vllm", "serve", source),
        *("--served-model-name", served_name),
        *("--host", "0.0.0.0"),  # noqa: S104 - the container's own address
        *("--port", str(port)),
        *("--max-model-len", str(context_length)),
        *("--max-num-seqs", str(vllm.max_sequences)),
        *("--gpu-memory-utilization", str(vllm.gpu_memory_share)),
        *("--tensor-parallel-size", str(vllm.tensor_parallel or gpus)),
        *("--dtype", vllm.data_type),
    ]
    if quantization not in (None, "none"):
        command += ["--quantization", quantization]
    return [*command, *setting_arguments(vllm, serving), *adapter_arguments(adapters or {}), *vllm.arguments]


def adapter_arguments(adapters: Mapping[str, AdapterSpec]) -> list[str]:
    """The options that serve adapters beside their base, each under a name of its own; nothing without any.

    A batch may hold requests for all of them.
    """
    if not adapters:
        return []
    return [
        "--enable-lora",
        *("--max-loras", str(len(adapters))),
        *("--max-lora-rank", str(largest_rank(adapters))),
        *("--lora-modules", *(f"{name}={one.source}" for name, one in adapters.items())),
    ]


def largest_rank(adapters: Mapping[str, AdapterSpec]) -> int:
    """The rank for which the server keeps room at each adapter: the largest of them, as one of the few that it takes.

    Args:
        adapters: One or more, by name.
    """
    rank = max(one.rank or _DEFAULT_RANK for one in adapters.values())
    return next(known for known in _RANKS if known >= rank)


def setting_arguments(vllm: VllmSpec, serving: ServingSpec) -> list[str]:
    """The options of ``vllm serve`` that stand for the settings. Flash attention is always on there."""
    prefix_cache = vllm.prefix_cache if serving.prefix_cache is None else serving.prefix_cache
    arguments = ["--enable-prefix-caching" if prefix_cache else "--no-enable-prefix-caching"]
    if serving.kv_cache_type == "fp8":
        arguments += ["--kv-cache-dtype", "fp8"]
    if serving.batch_size is not None:
        arguments += ["--max-num-batched-tokens", str(serving.batch_size)]
    level = vllm.compile_level if serving.compile_level is None else serving.compile_level
    if level == 0:
        arguments.append("--enforce-eager")
    elif level is not None:
        arguments.append(f"-O{level}")
    if serving.speculative is not None:
        arguments += ["--speculative-config", json.dumps(_speculative(serving.speculative), sort_keys=True)]
    return arguments


def _speculative(wanted: SpeculativeSpec) -> dict[str, str | int]:
    if wanted.method == "draft":
        assert wanted.model is not None, "the spec asks for it"  # noqa: S101
        return {"method": "draft_model", "model": wanted.model, "num_speculative_tokens": wanted.tokens}
    return {
        "method": "ngram",
        "num_speculative_tokens": wanted.tokens,
        "prompt_lookup_max": wanted.match_tokens,
        "prompt_lookup_min": wanted.match_tokens,
    }
