"""Whether each model of a fleet fits, and how fast it can be at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cli.plan.adapters import with_adapters
from components.kubernetes.plan import DEFAULT_CONTEXT_LENGTH_TOKENS as KUBERNETES_CONTEXT_TOKENS
from components.local.plan import DEFAULT_CONTEXT_LENGTH_TOKENS as LOCAL_CONTEXT_TOKENS
from components.local.plan import weights_path
from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.catalogue_entry import Architecture, CatalogueModel
from fleet_spec.errors import BadInputError
from fleet_spec.gpus import GPUS
from fleet_spec.load import Capacity, throughput_bound
from fleet_spec.model_spec import ModelSpec
from fleet_spec.prices.advice import Holding, cheapest_holding
from fleet_spec.quantization import ollama_source
from fleet_spec.sizing.estimate import (
    GIB,
    VLLM_MEMORY_SHARE,
    Engine,
    MemoryEstimate,
    estimate_with_weights,
    fits,
    tokens_of_a_batch,
)
from fleet_spec.sizing.gguf_file import read_gguf
from fleet_spec.sizing.weights import gguf_bytes, vllm_bytes
from fleet_spec.spec import FleetSpec


@dataclass(frozen=True)
class Figures:
    """What is known of a model's weights."""

    architecture: Architecture
    weights_bytes: int
    active_share: float
    """The share of the weights that one token passes through."""


@dataclass(frozen=True)
class Size:
    """One replica of a model."""

    engine: Engine
    quantization: str | None
    context_length: int | None
    memory: MemoryEstimate | None
    """None where nothing is known of the model."""
    fits: bool | None
    """None where nothing is known of the model or of the memory that it gets."""
    reason: str
    """Why it fits or does not, or why that is not known."""
    throughput_bound: float | None
    """Tokens a second that a replica cannot exceed; None without a GPU whose bandwidth is known."""


_gguf_bytes: Callable[..., int] = lru_cache(maxsize=512)(gguf_bytes)
_vllm_bytes: Callable[..., int] = lru_cache(maxsize=512)(vllm_bytes)
"""The sums over a model's tensors are taken once, however many models of a fleet are the same."""


def size(name: str, spec: FleetSpec, catalogue: Catalogue, project: Path, machine_memory_bytes: int | None) -> Size:
    """Size one replica.

    Args:
        name: The model's, in the config.
        spec: The config.
        catalogue: The models to know.
        project: The project's directory, for files of weights.
        machine_memory_bytes: What this machine or the Docker host has; None where that is not known.
    """
    model = spec.models[name]
    entry = _entry(catalogue, model.model)
    engine = _engine(model, spec, entry)
    quantization = _quantization(model, engine, entry)
    try:
        figures = _figures(model, spec.target, engine, quantization, entry, project)
    except BadInputError as error:
        return Size(engine, quantization, model.context_length, None, None, _sentence(error), None)
    if figures is None:
        reason = f"{model.model} is not in the catalogue"
        return Size(engine, quantization, model.context_length, None, None, reason, None)
    default = KUBERNETES_CONTEXT_TOKENS if spec.target == "kubernetes" else LOCAL_CONTEXT_TOKENS
    tokens = model.context_length or min(default, figures.architecture.context_length)
    alone = _memory(figures, model, engine, tokens, model.gpu.count if model.gpu is not None else 0)
    needed = with_adapters(alone, model, engine, entry, project)
    verdict, reason = _fits(needed, model, spec, engine, machine_memory_bytes)
    bound = _bound(figures, alone, model, engine, tokens, spec.load.of(name).input_tokens)
    return Size(engine, quantization, tokens, needed, verdict, reason, bound)


def capacity(name: str, spec: FleetSpec, size: Size) -> Capacity | None:
    """What a replica does of the expected load: as measured, else a share of its bound; None where neither is known."""
    profile = spec.load.of(name)
    if profile.tokens_per_second is not None:
        return Capacity(profile.tokens_per_second, profile)
    if size.throughput_bound is None:
        return None
    return Capacity(size.throughput_bound * spec.load.bound_share, profile)


def cheapest_holders(name: str, spec: FleetSpec, size: Size, catalogue: Catalogue, project: Path) -> list[Holding]:
    """The GPUs of the price table that hold a replica with its context and parallelism, cheapest first.

    The arguments are those of :func:`size`, and what it gave. Any provider counts where the config names none.
    """
    model = spec.models[name]
    entry = _entry(catalogue, model.model)
    figures = _figures(model, spec.target, size.engine, size.quantization, entry, project)
    tokens = size.context_length
    if figures is None or tokens is None:
        return []

    def needed(gpus: int) -> MemoryEstimate:
        return with_adapters(_memory(figures, model, size.engine, tokens, gpus), model, size.engine, entry, project)

    return cheapest_holding(needed, engine=size.engine, prices=spec.prices)


def _entry(catalogue: Catalogue, name: str) -> CatalogueModel | None:
    try:
        return catalogue.get(name)
    except UnknownModelError:
        return None


def _engine(model: ModelSpec, spec: FleetSpec, entry: CatalogueModel | None) -> Engine:
    if model.engine != "auto":
        return model.engine
    packaged = entry is not None and entry.sources.packaged is not None
    return "llamacpp" if spec.target == "local" and (packaged or model.weights is not None) else "ollama"


def _quantization(model: ModelSpec, engine: Engine, entry: CatalogueModel | None) -> str | None:
    if engine == "vllm" or entry is None:
        return model.quantization
    sources = entry.sources
    if engine == "ollama" and sources.ollama is not None:
        return ollama_source(sources.ollama, model.quantization)[1]
    source = sources.ollama if engine == "ollama" else sources.packaged or sources.llamacpp
    return source.quantization if source is not None else "Q4_K_M"


def _figures(
    model: ModelSpec,
    target: str,
    engine: Engine,
    quantization: str | None,
    entry: CatalogueModel | None,
    project: Path,
) -> Figures | None:
    path = weights_path(model, project)
    # A Docker host's own files are read where they happen to be here, too.
    if path is not None and (target != "docker" or path.is_file()):
        file = read_gguf(path)
        return Figures(file.architecture, file.weights_bytes, 1.0)
    if entry is None:
        return None
    weights = _vllm_bytes(entry, quantization) if engine == "vllm" else _gguf_bytes(entry, quantization or "Q4_K_M")
    share = (entry.parameters.active or entry.parameters.total) / entry.parameters.total
    return Figures(entry.architecture, weights, share)


def _memory(figures: Figures, model: ModelSpec, engine: Engine, tokens: int, gpus: int) -> MemoryEstimate:
    return estimate_with_weights(
        figures.architecture,
        figures.weights_bytes,
        engine=engine,
        context_length=tokens,
        # vLLM hands its cache out by pages: it starts where one request has room, and makes the others wait.
        parallel=1 if engine == "vllm" else model.parallel,
        cache_type=model.serving.kv_cache_type or "f16",
        batch_tokens=tokens_of_a_batch(model.serving, engine),
        gpus=gpus,
    )


def _fits(
    needed: MemoryEstimate, model: ModelSpec, spec: FleetSpec, engine: Engine, machine_memory_bytes: int | None
) -> tuple[bool | None, str]:
    gib = f"{needed.total_bytes / GIB:.1f} GiB"
    if model.gpu is None:
        if spec.target == "kubernetes":
            return True, f"takes {gib} of main memory; its pod asks for as much"
        if machine_memory_bytes is None:
            return None, f"takes {gib} of main memory; say in docker.memory what the host has"
        there = needed.total_bytes <= machine_memory_bytes
        whose = "this machine's" if spec.target == "local" else "the host's"
        return there, f"takes {gib} of {whose} {machine_memory_bytes / GIB:.1f} GiB"
    one_gpu = gpu_memory_bytes(model)
    if one_gpu is None:
        return None, f"takes {gib}; the memory of {model.gpu.type} is not known"
    share = model.vllm.gpu_memory_share / VLLM_MEMORY_SHARE if engine == "vllm" else 1.0
    there = fits(needed, engine=engine, gpu_memory_bytes=int(one_gpu * share), gpus=model.gpu.count)
    count = f"{model.gpu.count} x " if model.gpu.count > 1 else ""
    return there, f"takes {gib} of {count}{one_gpu / GIB:.1f} GiB"


def gpu_memory_bytes(model: ModelSpec) -> int | None:
    """The memory of one GPU of a model, or of its slice; None where the kind is not known."""
    if model.gpu is None:
        return None
    if model.gpu.mig_profile is not None:
        return int(model.gpu.mig_profile.partition("g.")[2].removesuffix("gb")) * GIB
    known = GPUS.get(model.gpu.type)
    return known.memory_bytes if known is not None else None


def _bound(
    figures: Figures, needed: MemoryEstimate, model: ModelSpec, engine: Engine, tokens: int, input_tokens: int
) -> float | None:
    known = GPUS.get(model.gpu.type) if model.gpu is not None else None
    if model.gpu is None or known is None or model.gpu.mig_profile is not None:
        return None
    parallel = model.parallel
    if engine == "vllm":
        room = model.gpu.count * known.memory_bytes * model.vllm.gpu_memory_share
        left = room - needed.weights_bytes - needed.overhead_bytes
        parallel = max(1, min(model.vllm.max_sequences, int(left // max(needed.kv_cache_bytes, 1))))
    return throughput_bound(
        figures.architecture,
        figures.weights_bytes * figures.active_share,
        gpu=known,
        gpus=model.gpu.count,
        parallel=parallel,
        context_tokens=min(input_tokens, tokens),
    )


def _sentence(error: BadInputError) -> str:
    return str(error).partition(" fix: ")[0].rstrip(".")
