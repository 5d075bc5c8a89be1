"""What a model's LoRA adapters take of memory beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from components.engines.vllm import largest_rank
from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.model_spec import ModelSpec
from fleet_spec.sizing.estimate import Engine, MemoryEstimate
from fleet_spec.sizing.tensors import Tensor, tensors_of

_BYTES_PER_WEIGHT = 2


def with_adapters(
    needed: MemoryEstimate, model: ModelSpec, engine: Engine, entry: CatalogueModel | None, project: Path
) -> MemoryEstimate:
    """The memory of one replica that serves a model with its adapters.

    Ollama keeps the base once more for each of them. llama.cpp holds their files beside the base. vLLM makes room for
    as many of the largest rank, in 16 bits, at every matrix of attention and feed-forward network:
    ``adapters x rank x (inputs + outputs) x 2`` (``lora_a_stacked`` and ``lora_b_stacked`` in its vllm/lora/layers).

    Args:
        needed: What it needs without them.
        model: What the config says.
        engine: Which server runs it.
        entry: What the catalogue knows of it.
        project: The directory that relative paths of adapters begin at.
    """
    count = len(model.adapters)
    if count == 0:
        return needed
    if engine == "ollama":
        return MemoryEstimate(
            needed.weights_bytes * (count + 1), needed.kv_cache_bytes * (count + 1), needed.overhead_bytes * (count + 1)
        )
    if engine == "llamacpp":
        files = [project / Path(one.source).expanduser() for one in model.adapters.values()]
        beside = sum(file.stat().st_size for file in files if file.is_file())
    else:
        beside = count * largest_rank(model.adapters) * _widths(entry) * _BYTES_PER_WEIGHT
    return replace(needed, weights_bytes=needed.weights_bytes + beside)


def _widths(entry: CatalogueModel | None) -> int:
    """Inputs and outputs of all matrices that an adapter may change."""
    tensors: Iterable[Tensor] = tensors_of(entry) if entry is not None else ()
    return sum(
        tensor.row_weights + tensor.weights // tensor.row_weights
        for tensor in tensors
        if tensor.role.startswith(("attention_", "feed_forward_"))
    )
