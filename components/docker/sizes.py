"""How much memory a replica needs and may use, and whether it fits its GPUs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.docker.model import EngineName
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import Problem
from fleet_spec.gpus import GPUS
from fleet_spec.model_spec import ModelSpec
from fleet_spec.quantities import amount
from fleet_spec.quantization import ollama_source
from fleet_spec.sizing.estimate import (
    GIB,
    MIB,
    VLLM_MEMORY_SHARE,
    MemoryEstimate,
    estimate_memory,
    fits,
    tokens_of_a_batch,
)
from fleet_spec.sizing.weights import UnknownQuantizationError

UNKNOWN_LIMIT_BYTES = 16 * GIB
"""What a replica may use where nothing is known of its model."""
GPU_HOST_LIMIT_BYTES = 8 * GIB
"""The least that a replica with GPUs may use of main memory: its processes, and weights on their way to the GPU."""
_HEADROOM = 1.25
"""A limit is this much over what is reckoned: it is there to stop a leak, not to end a server that works."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of main memory of one replica, and of its weights on disk."""

    limit_bytes: int
    needed_bytes: int | None
    weights_bytes: int | None


def sizes_of(
    key: str, model: ModelSpec, engine: EngineName, entry: CatalogueModel | None, context_length: int
) -> tuple[Sizes, list[Problem]]:
    """The sizes of one replica, and a limit of the config's that it would not fit into."""
    named = model.resources.limits.memory
    limit_bytes = whole_mib(amount(named)) if named is not None else None
    found = _estimate(model, engine, entry, context_length, gpus=0)
    if found is None:
        return Sizes(limit_bytes or UNKNOWN_LIMIT_BYTES, None, None), []
    if model.gpu is not None:
        default = max(GPU_HOST_LIMIT_BYTES, _whole_gib(found.weights_bytes * _HEADROOM))
        return Sizes(limit_bytes or default, None, found.weights_bytes), []
    if limit_bytes is not None and limit_bytes < found.total_bytes:
        needed = f"{math.ceil(found.total_bytes / GIB)}Gi"
        return Sizes(limit_bytes, found.total_bytes, found.weights_bytes), [
            Problem(
                f"{key}.resources.limits.memory",
                f"{named!r} is less than the {needed} that {model.model} needs without a GPU",
                f"write {needed} or more",
            )
        ]
    default = _whole_gib(found.total_bytes * _HEADROOM + GIB)
    return Sizes(limit_bytes or default, found.total_bytes, found.weights_bytes), []


def gpu_problems(
    key: str, model: ModelSpec, engine: EngineName, entry: CatalogueModel, context_length: int
) -> list[Problem]:
    """What is wrong with the size of a model for its GPUs; nothing where their memory is not known."""
    if model.gpu is None or model.gpu.type not in GPUS:
        return []
    count, memory_bytes = model.gpu.count, GPUS[model.gpu.type].memory_bytes
    needed = _estimate(model, engine, entry, context_length, gpus=count)
    share = model.vllm.gpu_memory_share / VLLM_MEMORY_SHARE if engine == "vllm" else 1.0
    if needed is None or fits(needed, engine=engine, gpu_memory_bytes=int(memory_bytes * share), gpus=count):
        return []
    return [
        Problem(
            f"{key}.gpu",
            f"{model.model} with {context_length} tokens of context needs {needed.total_bytes / GIB:.1f} GiB, "
            f"and {count} x {model.gpu.type} has {count * memory_bytes / GIB:.1f} GiB",
            "take a larger GPU or more of them, a smaller contextLength or parallel, or coarser quantised weights",
        )
    ]


def _estimate(
    model: ModelSpec, engine: EngineName, entry: CatalogueModel | None, context_length: int, gpus: int
) -> MemoryEstimate | None:
    if entry is None:
        return None
    try:
        return estimate_memory(
            entry,
            engine=engine,
            quantization=_quantization(model, engine, entry),
            context_length=context_length,
            # vLLM hands its cache out by pages: it starts where one request has room, and makes the others wait.
            parallel=1 if engine == "vllm" else model.parallel,
            cache_type=model.serving.kv_cache_type or "f16",
            batch_tokens=tokens_of_a_batch(model.serving, engine),
            gpus=gpus,
        )
    except UnknownQuantizationError:
        return None


def _quantization(model: ModelSpec, engine: EngineName, entry: CatalogueModel) -> str | None:
    sources = entry.sources
    if engine == "vllm":
        return model.quantization
    if model.weights is not None:
        packaged = sources.packaged
        known = packaged is not None and packaged.sha256 == model.weights.sha256
        return packaged.quantization if packaged is not None and known else model.quantization
    if engine == "llamacpp":
        return sources.llamacpp.quantization if sources.llamacpp is not None else None
    return ollama_source(sources.ollama, model.quantization)[1] if sources.ollama is not None else None


def _whole_gib(size_bytes: float) -> int:
    return math.ceil(size_bytes / GIB) * GIB


def whole_mib(size_bytes: float) -> int:
    """A size as pulumi-docker can say it: in whole MiB, the last one begun."""
    return math.ceil(size_bytes / MIB) * MIB
