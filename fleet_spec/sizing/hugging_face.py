"""What a Hugging Face ``config.json`` says of a model: its figures, and how many weights they add up to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from fleet_spec.catalogue_entry import Architecture, CatalogueModel, Experts, SlidingWindow
from fleet_spec.errors import BadInputError
from fleet_spec.sizing.tensors import tensors_of

_MOST_BYTES: Final = 4 * 2**20
"""No config.json comes near; a file of weights under that name is not read into memory."""
_MOST_LAYERS: Final = 1_000
"""A config with more is a mistake, and would take long to add up."""

# What the same figure is called by families of models.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "head_dimension": ("head_dim",),
    "feed_forward_size": ("intermediate_size", "ffn_dim", "n_inner"),
    "vocabulary_size": ("vocab_size",),
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len"),
}
_OPTIONAL: Final = frozenset({"kv_heads", "head_dimension"})
_TYING_FAMILIES: Final = ("gemma",)
"""Families whose input and output embeddings are one matrix though their config does not say so."""


class HuggingFaceConfigError(BadInputError):
    """A config.json that cannot be used."""


def read_hugging_face_config(path: Path) -> CatalogueModel:
    """The model that a config.json describes, as an entry like the catalogue's.

    Its parameters are those of the matrices that the figures tell of; in a vision model those of its text part.

    Raises:
        HuggingFaceConfigError: it is not there, no JSON, or figures are missing or contradict each other.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise HuggingFaceConfigError(f"{path} is too large for a config.json. fix: name a model's config.json")
        data: object = json.loads(path.read_bytes())
    except OSError as error:
        raise HuggingFaceConfigError(f"cannot read {path}: {error.strerror}. fix: correct the path") from error
    except (ValueError, RecursionError) as error:
        raise HuggingFaceConfigError(f"{path} is no JSON. fix: name a model's config.json") from error
    if not isinstance(data, dict):
        raise HuggingFaceConfigError(f"{path} holds no object. fix: name a model's config.json")
    whole = cast("dict[str, Any]", data)
    text = whole.get("text_config")
    config = {**whole, **cast("dict[str, Any]", text)} if isinstance(text, dict) else whole
    family = str(whole.get("model_type", "unknown"))
    try:
        return _model(_architecture(path, config, family), family)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise HuggingFaceConfigError(
            f"{path}: {key or 'its figures'}: {first['msg']}. fix: name the config.json of a causal language model"
        ) from error


def _architecture(path: Path, config: Mapping[str, Any], family: str) -> Architecture:
    figures = {name: _first(config, names) for name, names in _NAMES.items()}
    missing = [_NAMES[name][0] for name, value in figures.items() if value is None and name not in _OPTIONAL]
    if missing:
        raise HuggingFaceConfigError(
            f"{path} says nothing of {', '.join(missing)}. fix: name the config.json of a causal language model"
        )
    if isinstance(figures["layers"], int) and figures["layers"] > _MOST_LAYERS:
        raise HuggingFaceConfigError(f"{path} has {figures['layers']} layers. fix: correct num_hidden_layers")
    tied = config.get("tie_word_embeddings")
    latent = _count(config.get("kv_lora_rank"))
    rope = _count(config.get("qk_rope_head_dim")) or 0
    return Architecture.model_validate(
        {
            **{name: value for name, value in figures.items() if value is not None},
            "kv_heads": figures["kv_heads"] or figures["heads"],
            "tied_embeddings": tied if isinstance(tied, bool) else family.startswith(_TYING_FAMILIES),
            "experts": _experts(config),
            "sliding_window": _sliding_window(config, figures["layers"]),
            **({"kv_latent_size": latent + rope} if latent is not None else {}),
        },
        by_name=True,
    )


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((value for name in names if (value := _count(config.get(name))) is not None), None)


def _count(value: object) -> int | None:
    """The value where it is a number of something, which JSON's true is not; else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _experts(config: Mapping[str, Any]) -> Experts | None:
    count = _first(config, ("num_local_experts", "num_experts", "n_routed_experts"))
    if count is None or count == 1:
        return None
    width = _first(config, ("moe_intermediate_size", "intermediate_size"))
    return Experts.model_validate(
        {
            "count": count,
            "active": _first(config, ("num_experts_per_tok", "num_experts_per_token")) or count,
            "feed_forward_size": width,
            "shared": _first(config, ("n_shared_experts",)) or 0,
            "dense_layers": _first(config, ("first_k_dense_replace",)) or 0,
        },
        by_name=True,
    )


def _sliding_window(config: Mapping[str, Any], layers: int | None) -> SlidingWindow | None:
    """Where some layers see a window alone. A window for all layers is left out: engines differ over it."""
    tokens = _first(config, ("sliding_window",))
    if tokens is None or not layers:
        return None
    every = _first(config, ("sliding_window_pattern",))
    kinds = config.get("layer_types")
    if every is None and isinstance(kinds, list):
        full = sum(kind == "full_attention" for kind in cast("list[object]", kinds))
        every = layers // full if full else None
    if every is None or every < 2:
        return None
    return SlidingWindow(tokens=tokens, full_attention_every=every)


def _model(figures: Architecture, family: str) -> CatalogueModel:
    def of(total: int, active: int | None) -> CatalogueModel:
        return CatalogueModel.model_validate(
            {
                "name": "config:json",
                "family": family,
                "parameters": {"total": total, "active": active},
                "architecture": figures,
                "licence": "unknown",
                "capabilities": ["completion"],
                "use_cases": ["general"],
                "sources": {},
            },
            by_name=True,
        )

    experts = figures.experts
    tensors = list(tensors_of(of(2, 1 if experts is not None else None)))
    total = sum(tensor.weights for tensor in tensors)
    if experts is None:
        return of(total, None)
    copies = experts.count + experts.shared
    routed = sum(
        tensor.weights
        for tensor in tensors
        if tensor.role.startswith("feed_forward") and tensor.layer >= experts.dense_layers
    )
    active = total - routed + routed * (experts.active + experts.shared) // copies
    # The catalogue's entries tell experts by their active weights being fewer than all.
    return of(total, min(active, total - 1))
