"""The memory of one replica: weights, KV cache, and what the engine needs besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fleet_spec.catalogue_entry import Architecture, CatalogueModel
from fleet_spec.serving_spec import ServingSpec
from fleet_spec.sizing.kv_cache import BATCH_TOKENS, kv_cache_bytes, padded, window_cells
from fleet_spec.sizing.weights import gguf_bytes, vllm_bytes

MIB: Final = 2**20
GIB: Final = 2**30

Engine = Literal["llamacpp", "ollama", "vllm"]

_PROCESS_BYTES: Final = 64 * MIB
"""Program, libraries and buffers of a llama.cpp server process on a CPU, measured."""
_GPU_CONTEXT_BYTES: Final = 512 * MIB
"""CUDA or ROCm context with its kernels and cuBLAS workspace, for each GPU. 300 to 500 MiB are commonly seen."""
_VLLM_ACTIVATION_BYTES: Final = 1536 * MIB
"""Activations of the profiling run and CUDA graphs, for each GPU, at vLLM's default batch."""
VLLM_MEMORY_SHARE: Final = 0.9
"""The share of a GPU that vLLM takes by default (``--gpu-memory-utilization``)."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What one replica needs, in bytes, over all its GPUs or in main memory."""

    weights_bytes: int
    kv_cache_bytes: int
    overhead_bytes: int

    @property
    def total_bytes(self) -> int:
        """All three together."""
        return self.weights_bytes + self.kv_cache_bytes + self.overhead_bytes

    def to_mapping(self) -> dict[str, int]:
        """The estimate as plain JSON data, camelCase keys."""
        return {
            "weightsBytes": self.weights_bytes,
            "kvCacheBytes": self.kv_cache_bytes,
            "overheadBytes": self.overhead_bytes,
            "totalBytes": self.total_bytes,
        }


def estimate_memory(
    model: CatalogueModel,
    *,
    engine: Engine,
    quantization: str | None,
    context_length: int,
    parallel: int = 1,
    cache_type: str = "f16",
    batch_tokens: int = BATCH_TOKENS,
    gpus: int = 1,
) -> MemoryEstimate:
    """Estimate the memory of one replica.

    Args:
        model: Which model.
        engine: Which server runs it.
        quantization: A GGUF level for llama.cpp and Ollama (Q4_K_M where None), a method of vLLM's (none where None).
        context_length: Tokens of one request, prompt and reply together.
        parallel: Requests at the same time.
        cache_type: Format of the KV cache's values.
        batch_tokens: Tokens that llama.cpp or Ollama computes at a time.
        gpus: How many GPUs share the model; 0 for main memory.

    Raises:
        BadInputError: the quantisation or the cache type is not known.
    """
    weights = vllm_bytes(model, quantization) if engine == "vllm" else gguf_bytes(model, quantization or "Q4_K_M")
    return estimate_with_weights(
        model.architecture,
        weights,
        engine=engine,
        context_length=context_length,
        parallel=parallel,
        cache_type=cache_type,
        batch_tokens=batch_tokens,
        gpus=gpus,
    )


def estimate_with_weights(
    figures: Architecture,
    weights_bytes: int,
    *,
    engine: Engine,
    context_length: int,
    parallel: int = 1,
    cache_type: str = "f16",
    batch_tokens: int = BATCH_TOKENS,
    gpus: int = 1,
) -> MemoryEstimate:
    """Estimate the memory of one replica whose weights' size is known, from its file for example.

    The arguments are those of :func:`estimate_memory`.
    """
    if engine == "vllm":
        overhead = max(gpus, 1) * (_GPU_CONTEXT_BYTES + _VLLM_ACTIVATION_BYTES)
    else:
        compute = compute_buffer_bytes(
            figures, context_length=context_length, parallel=parallel, batch_tokens=batch_tokens
        )
        if engine == "ollama":
            # Its runner keeps logits of a whole batch, not of the last tokens alone.
            compute += batch_tokens * figures.vocabulary_size * 4
        overhead = _PROCESS_BYTES + compute if gpus == 0 else gpus * (_GPU_CONTEXT_BYTES + compute)
    cache = kv_cache_bytes(
        figures, context_length=context_length, parallel=parallel, cache_type=cache_type, batch_tokens=batch_tokens
    )
    return MemoryEstimate(weights_bytes, cache, overhead)


def tokens_of_a_batch(serving: ServingSpec, engine: Engine) -> int:
    """Tokens that llama.cpp or Ollama computes at a time under a model's settings."""
    if engine == "ollama":
        return serving.batch_size or BATCH_TOKENS
    return serving.micro_batch_size or min(serving.batch_size or BATCH_TOKENS, BATCH_TOKENS)


def compute_buffer_bytes(
    figures: Architecture, *, context_length: int, parallel: int, batch_tokens: int = BATCH_TOKENS
) -> int:
    """llama.cpp's scratch memory for one batch.

    Activations of a batch in 32 bits (the feed-forward part's two, and eight of the hidden size, as its graph keeps
    them alive together), the attention mask in 16 bits, and the logits of each request's last token. Within 3 % of
    what llama.cpp reports (``compute buffer size``) for the packaged model at contexts from 2,048 to 32,768 tokens.
    """
    experts = figures.experts
    width = figures.feed_forward_size
    if experts is not None:
        width = max(width, experts.feed_forward_size * (experts.active + experts.shared))
    activations = batch_tokens * 4 * (2 * width + 8 * figures.hidden_size)
    masks = batch_tokens * 2 * (padded(context_length) + window_cells(figures, batch_tokens))
    return activations + masks + parallel * figures.vocabulary_size * 4


def fits(estimate: MemoryEstimate, *, engine: Engine, gpu_memory_bytes: int, gpus: int = 1) -> bool:
    """Whether a replica fits on ``gpus`` GPUs of a size. Never true for what llama.cpp or vLLM would refuse to load.

    Tensor parallelism splits weights and cache evenly; what each GPU needs besides is in the overhead already.
    """
    usable_bytes = gpus * gpu_memory_bytes * (VLLM_MEMORY_SHARE if engine == "vllm" else 1.0)
    return estimate.total_bytes <= usable_bytes
