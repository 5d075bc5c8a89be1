"""Which tensors a model of given figures consists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fleet_spec.catalogue_entry import Architecture, CatalogueModel

Role = Literal[
    "token_embedding",
    "output",
    "attention_query",
    "attention_key",
    "attention_value",
    "attention_output",
    "feed_forward_gate",
    "feed_forward_up",
    "feed_forward_down",
    "expert_router",
    "other",
]


@dataclass(frozen=True)
class Tensor:
    """A matrix of weights, or several of the same shape."""

    role: Role
    layer: int
    """Counted from 0; -1 where it belongs to no layer."""
    row_weights: int
    """Weights in a row: the width of what goes in."""
    weights: int
    """Weights in all."""


def tensors_of(model: CatalogueModel) -> Iterator[Tensor]:
    """Every large tensor of a model. What the figures do not tell (norms, a vision encoder) comes as ``other``."""
    told = 0
    for tensor in _text_tensors(model.architecture):
        told += tensor.weights
        yield tensor
    rest = model.parameters.total - told
    if rest > 0:
        yield Tensor("other", -1, model.architecture.hidden_size, rest)


def _text_tensors(figures: Architecture) -> Iterator[Tensor]:
    embedding = figures.vocabulary_size * figures.hidden_size
    # With tied embeddings the one matrix is also the output, and is stored as such.
    yield Tensor("output" if figures.tied_embeddings else "token_embedding", -1, figures.hidden_size, embedding)
    if not figures.tied_embeddings:
        yield Tensor("output", -1, figures.hidden_size, embedding)
    for layer in range(figures.layers):
        yield from _attention(figures, layer)
        yield from _feed_forward(figures, layer)


def _attention(figures: Architecture, layer: int) -> Iterator[Tensor]:
    hidden = figures.hidden_size
    queries, keys = figures.heads * figures.head_size, figures.kv_heads * figures.head_size
    yield Tensor("attention_query", layer, hidden, hidden * queries)
    yield Tensor("attention_key", layer, hidden, hidden * keys)
    yield Tensor("attention_value", layer, hidden, hidden * keys)
    yield Tensor("attention_output", layer, queries, hidden * queries)


def _feed_forward(figures: Architecture, layer: int) -> Iterator[Tensor]:
    hidden, experts = figures.hidden_size, figures.experts
    width, copies = figures.feed_forward_size, 1
    if experts is not None and layer >= experts.dense_layers:
        width, copies = experts.feed_forward_size, experts.count + experts.shared
        yield Tensor("expert_router", layer, hidden, hidden * experts.count)
    size = hidden * width * copies
    if figures.gated_feed_forward:
        yield Tensor("feed_forward_gate", layer, hidden, size)
    yield Tensor("feed_forward_up", layer, hidden, size)
    yield Tensor("feed_forward_down", layer, width, size)
