"""Whether a replica fits: on its GPUs, or in the memory that its pod gets. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache

from components.kubernetes.model import EngineName, GpuRequest
from components.kubernetes.quantities import amount
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.errors import Problem
from fleet_spec.gpus import GPUS
from fleet_spec.model_spec import ModelSpec
from fleet_spec.quantization import ollama_source
from fleet_spec.sizing.estimate import GIB, VLLM_MEMORY_SHARE, MemoryEstimate, estimate_memory, fits, tokens_of_a_batch
from fleet_spec.sizing.weights import UnknownQuantizationError

_estimate_memory: Callable[..., MemoryEstimate] = lru_cache(maxsize=256)(estimate_memory)
"""The sum over a model's tensors is taken once, however many models of a fleet are the same."""


def estimate(
    model: ModelSpec, engine: EngineName, entry: CatalogueModel, context_length: int, gpus: int
) -> MemoryEstimate:
    """What one replica needs.

    Raises:
        UnknownQuantizationError: the quantisation is one whose size is not known.
    """
    quantization = model.quantization
    if engine == "ollama":
        source = entry.sources.ollama
        quantization = ollama_source(source, quantization)[1] if source is not None else None
    return _estimate_memory(
        entry,
        engine=engine,
        quantization=quantization,
        context_length=context_length,
        # vLLM hands its cache out by pages: it starts where one request has room, and makes the others wait.
        parallel=1 if engine == "vllm" else model.parallel,
        cache_type=model.serving.kv_cache_type or "f16",
        batch_tokens=tokens_of_a_batch(model.serving, engine),
        gpus=gpus,
    )


def gpu_problems(
    key: str,
    model: ModelSpec,
    engine: EngineName,
    entry: CatalogueModel,
    context_length: int,
    request: GpuRequest | None,
) -> list[Problem]:
    """What is wrong with the size of a model for its GPUs; nothing where their memory is not known."""
    if request is None or model.gpu is None:
        return []
    try:
        needed = estimate(model, engine, entry, context_length, request.count)
    except UnknownQuantizationError as error:
        message, _, fix = str(error).partition(". fix: ")
        return [Problem(f"{key}.quantization", message, f"write {fix}")] if engine == "vllm" else []
    memory_bytes = _gpu_memory_bytes(model)
    if memory_bytes is None:
        return []
    share = model.vllm.gpu_memory_share / VLLM_MEMORY_SHARE if engine == "vllm" else 1.0
    if fits(needed, engine=engine, gpu_memory_bytes=int(memory_bytes * share), gpus=request.count):
        return []
    have = f"{request.count} x {memory_bytes / GIB:.1f} GiB" if request.count > 1 else f"{memory_bytes / GIB:.1f} GiB"
    return [
        Problem(
            f"{key}.gpu",
            f"{model.model} with {context_length} tokens of context needs {needed.total_bytes / GIB:.1f} GiB, "
            f"and {model.gpu.type} has {have}",
            "take a larger GPU or more of them, a smaller contextLength or parallel, or coarser quantised weights",
        )
    ]


def _gpu_memory_bytes(model: ModelSpec) -> int | None:
    """The memory of one GPU or slice; None where the type is not known."""
    if model.gpu is None:
        return None
    if model.gpu.mig_profile is not None:
        found = re.search(r"\.(\d+)gb$", model.gpu.mig_profile)
        return int(found[1]) * GIB if found is not None else None
    known = GPUS.get(model.gpu.type)
    return known.memory_bytes if known is not None else None


def memory_needed(
    model: ModelSpec, engine: EngineName, entry: CatalogueModel | None, context_length: int
) -> str | None:
    """The main memory that a replica without a GPU needs, in whole GiB; None where it is not known or has a GPU."""
    if model.gpu is not None or entry is None:
        return None
    try:
        needed = estimate(model, engine, entry, context_length, gpus=0)
    except UnknownQuantizationError:
        return None
    return f"{math.ceil(needed.total_bytes / GIB)}Gi"


def memory_problems(key: str, model: ModelSpec, needed: str | None) -> list[Problem]:
    """A limit under what the model needs: the kernel would end the server while it loads."""
    limit = model.resources.limits.memory
    if needed is None or limit is None or amount(limit) >= amount(needed):
        return []
    return [
        Problem(
            f"{key}.resources.limits.memory",
            f"{limit!r} is less than the {needed} that {model.model} needs without a GPU",
            f"write {needed} or more",
        )
    ]
