"""How many bytes of keys and values a model keeps for the tokens it has seen."""

from __future__ import annotations

from typing import Final

from fleet_spec.catalogue_entry import Architecture
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.formats import KV_CACHE_BITS

BATCH_TOKENS: Final = 512
"""Tokens that llama.cpp and Ollama compute at a time by default (``n_ubatch``)."""
_CELL_MULTIPLE: Final = 256
"""llama.cpp rounds the cells of a cache up to a multiple of this (``llama_context``, ``GGML_PAD``)."""


def kv_cache_bytes(
    figures: Architecture,
    *,
    context_length: int,
    parallel: int,
    cache_type: str = "f16",
    batch_tokens: int = BATCH_TOKENS,
) -> int:
    """The KV cache of one replica.

    For each layer and token, keys and values of every KV head: ``2 x kv_heads x head_size`` values
    (https://arxiv.org/abs/2305.13245 for grouped queries). Layers with a sliding window keep the window and the batch
    under way, and no more (llama_kv_cache_iswa in llama.cpp). Under multi-head latent attention a token leaves one
    latent vector (https://arxiv.org/abs/2405.04434, section 2.1).

    Args:
        figures: The model's.
        context_length: Tokens of one request, prompt and reply together.
        parallel: Requests at the same time; each has a cache of its own.
        cache_type: Format of a value, one of :data:`KV_CACHE_BITS`.
        batch_tokens: Tokens computed at a time, which a layer with a window keeps besides.

    Raises:
        BadInputError: the cache type is not known.
    """
    if cache_type not in KV_CACHE_BITS:
        raise BadInputError(f"{cache_type!r} is no type of KV cache. fix: one of {', '.join(KV_CACHE_BITS)}")
    values = figures.kv_latent_size or 2 * figures.kv_heads * figures.head_size
    full_layers, window_layers = layers_by_reach(figures)
    cells = padded(context_length)
    total_cells = full_layers * cells + window_layers * min(cells, window_cells(figures, batch_tokens))
    return round(total_cells * values * KV_CACHE_BITS[cache_type] / 8) * parallel


def layers_by_reach(figures: Architecture) -> tuple[int, int]:
    """How many layers see the whole context, and how many a window of it."""
    layers, window = figures.caching_layers, figures.sliding_window
    if window is None:
        return layers, 0
    full = layers // window.full_attention_every
    return full, layers - full


def window_cells(figures: Architecture, batch_tokens: int = BATCH_TOKENS) -> int:
    """Tokens that a layer with a sliding window keeps; 0 where there is no such layer."""
    window = figures.sliding_window
    return 0 if window is None else padded(window.tokens + batch_tokens)


def padded(cells: int) -> int:
    """A number of cells as llama.cpp allocates it."""
    return -(-cells // _CELL_MULTIPLE) * _CELL_MULTIPLE
