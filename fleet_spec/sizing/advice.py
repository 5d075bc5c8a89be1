"""What fits on a given GPU: longest context, most requests at a time, finest quantisation; and its speed limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet_spec.catalogue_entry import CatalogueModel
from fleet_spec.gpus import Gpu
from fleet_spec.sizing.estimate import Engine, estimate_memory, fits
from fleet_spec.sizing.weights import gguf_bytes, vllm_bytes

_FINEST_FIRST: dict[Engine, tuple[str, ...]] = {
    "llamacpp": ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"),
    "ollama": ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"),
    "vllm": ("none", "fp8", "awq", "bitsandbytes"),
}
_MOST_PARALLEL = 256
_CONTEXT_STEP_TOKENS = 256


@dataclass(frozen=True)
class Placement:
    """A model on GPUs of one kind, with one engine."""

    model: CatalogueModel
    engine: Engine
    gpu: Gpu
    gpus: int = 1

    def holds(self, quantization: str | None, context_length: int, parallel: int) -> bool:
        """Whether a replica with these settings fits."""
        needed = estimate_memory(
            self.model,
            engine=self.engine,
            quantization=quantization,
            context_length=context_length,
            parallel=parallel,
            gpus=self.gpus,
        )
        return fits(needed, engine=self.engine, gpu_memory_bytes=self.gpu.memory_bytes, gpus=self.gpus)

    def longest_context(self, quantization: str | None, parallel: int) -> int | None:
        """The longest context in tokens that fits, a multiple of 256 and no more than the model was made for.

        None where not even the shortest fits.
        """
        steps = self.model.architecture.context_length // _CONTEXT_STEP_TOKENS
        most = _most(steps, lambda step: self.holds(quantization, step * _CONTEXT_STEP_TOKENS, parallel))
        return most * _CONTEXT_STEP_TOKENS if most else None

    def most_parallel(self, quantization: str | None, context_length: int) -> int | None:
        """How many requests at a time fit, up to 256; None where not even one does."""
        return _most(_MOST_PARALLEL, lambda parallel: self.holds(quantization, context_length, parallel)) or None

    def finest_quantization(self, context_length: int, parallel: int) -> str | None:
        """The quantisation that keeps most of the model and still fits; None where none does."""
        return next((q for q in _FINEST_FIRST[self.engine] if self.holds(q, context_length, parallel)), None)

    def tokens_per_second_bound(self, quantization: str | None) -> float:
        """An upper bound of one request's decoding speed, never reached.

        Each token reads every active weight once, and memory gives them no faster than its bandwidth. What the cache
        adds and what computing takes is left out, so measured speeds are lower.
        """
        if self.engine == "vllm":
            weights_bytes = vllm_bytes(self.model, quantization)
        else:
            weights_bytes = gguf_bytes(self.model, quantization or "Q4_K_M")
        parameters = self.model.parameters
        read_bytes = weights_bytes * (parameters.active or parameters.total) / parameters.total
        return self.gpus * self.gpu.bandwidth_gb_per_second * 1e9 / read_bytes


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest number from 1 to ``limit`` that holds, where every smaller one does too; 0 where none does."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
