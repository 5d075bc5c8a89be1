"""How large a model's weights are, for the lists that clients show."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache

from fleet_spec.contract import EngineName, ModelEndpoints
from fleet_spec.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a model's weights. Nothing is made up: what is not known is 0 or empty."""

    size_bytes: int = 0
    """As the contract says (``sizeBytes``), or else estimated from the catalogue for its engine's usual source."""
    parameter_size: str = ""
    """The number of parameters as Ollama writes it: 8.0B, 268.10M."""
    quantization: str = ""


def weights_of(entry: ModelEndpoints) -> Weights:
    """What is known of the weights behind an entry of the contract."""
    known = _in_catalogue(entry.model, entry.engine)
    told: object = (entry.model_extra or {}).get("sizeBytes")
    if isinstance(told, int) and not isinstance(told, bool) and told > 0:
        return Weights(told, known.parameter_size, known.quantization)
    return known


@lru_cache(maxsize=1024)
def _in_catalogue(name: str, engine: EngineName) -> Weights:
    # Only lists need the catalogue, and reading it takes a moment: it loads when the first is asked for.
    catalogue = importlib.import_module("fleet_spec.catalogue")
    sizes = importlib.import_module("fleet_spec.sizing.weights")
    try:
        model = catalogue.load_catalogue().get(name)
    except BadInputError:
        return Weights()
    parameters = _written(model.parameters.total)
    if engine == "vllm":
        return Weights(sizes.vllm_bytes(model, None), parameters, "")
    source = model.sources.ollama if engine == "ollama" else model.sources.llamacpp if engine == "llamacpp" else None
    if source is None:
        return Weights(0, parameters, "")
    try:
        return Weights(sizes.gguf_bytes(model, source.quantization), parameters, source.quantization)
    except BadInputError:
        return Weights(0, parameters, source.quantization)


def _written(count: int) -> str:
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.2f}M"
